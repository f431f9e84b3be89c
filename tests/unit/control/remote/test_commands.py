"""Commands of remote control: Celery's answers, word for word."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.control.remote.fakes import NO_ANSWER, Box
from tests.unit.protocol.wire_vectors import vector
from workerd.control.commands import builtin_commands
from workerd.control.registry import Door, Registry, Remote
from workerd.control.remote.making import app_command
from workerd.errors import ConfigError

CAPTURED = [
    (method, one["arguments"], one["reply_body"]["worker1@example.com"])
    for method, calls in vector("control-command-replies")["replies"].items()
    for one in calls
]
BETTER = {
    # There 0 to 1 id is shown in no order; and a rate that cannot be read is said to be one.
    ("rate_limit", "x/y"): {"error": "Invalid rate limit string: rate 'x/y' cannot be read"},
    # Every pool may become one that moves between two sizes.
    ("autoscale", "3"): {"ok": "autoscale now max=3 min=1"},
}


@pytest.mark.parametrize(("method", "arguments", "answer"), CAPTURED)
def test_captured_calls_are_answered_as_celery_answers(
    method: str, arguments: dict[str, Any], answer: Any
) -> None:
    box = Box()
    if "already enabled" in str(answer):
        box.node.sends_task_events = True  # it was captured with -E, which is also why its disabling fails
    if "already disabled" in str(answer):
        box.node.sends_task_events = False
    ours = box.ask(method, **arguments)
    key = (method, str(arguments.get("rate_limit") or arguments.get("max")))
    assert same_words(ours) == same_words(BETTER.get(key, answer))


def same_words(answer: Any) -> Any:
    """Sets of ids are shown in any order."""
    return (
        {key: sorted(re.findall(r"[\w-]+", str(text))) for key, text in answer.items()} if answer else answer
    )


@pytest.mark.parametrize(
    ("signal", "kill"),
    [
        (None, False),
        ("TERM", False),
        ("SIGTERM", False),
        (15, False),
        ("kill", True),
        ("SIGKILL", True),
        (9, True),
    ],
)
def test_two_signals_end_tasks(signal: Any, kill: bool) -> None:
    box = Box()
    assert box.ask("terminate", signal=signal, task_id="zzz-here") == {"ok": "terminate: zzz-here"}
    assert box.node.asked == [("terminate", ["zzz-here"], kill)]
    assert box.node.ids == ["zzz-here"]


@pytest.mark.parametrize("signal", ["HUP", "SIGUSR1", 1, "nonsense"])
def test_other_signals_are_refused_before_anything_is_done(signal: Any) -> None:
    box = Box()
    assert (
        "TERM interrupts, KILL kills"
        in box.ask("revoke", task_id="a", terminate=True, signal=signal)["error"]
    )
    assert not box.node.ids


def test_stamps_may_be_written_as_words() -> None:
    box = Box()
    box.ask("revoke_by_stamped_headers", headers=["a=1", "b=x=y"])
    assert box.node.asked == [("stamps", {"a": ["1"], "b": ["x=y"]})]
    assert "header=value" in box.ask("revoke_by_stamped_headers", headers=["a"])["error"]


def test_words_of_a_command_line_are_numbers_where_numbers_are_meant() -> None:
    box = Box()
    assert box.ask("pool_grow", n="2") == {"ok": "pool will grow"}
    assert box.daemon.bounds == (4, 4)
    assert "wrong arguments for 'pool_grow'" in box.ask("pool_grow", n="many")["error"]


def test_a_pool_that_scales_itself_is_not_grown() -> None:
    box = Box()
    box.daemon.bounds = (1, 4)
    assert "not supported with autoscale" in box.ask("pool_grow")["error"]
    assert box.ask("autoscale", max=2) == {"ok": "autoscale now max=2 min=1"}


def test_further_options_of_a_queue_are_handed_on() -> None:
    box = Box()
    box.ask("add_consumer", queue="q", exchange="e", max_priority=5)
    [(_, queue, options)] = box.node.asked
    assert (queue, options["exchange"], options["max_priority"]) == ("q", "e", 5)


def test_registered_shows_the_attributes_that_are_asked_for() -> None:
    box = Box()
    assert box.ask("registered") == ["capapp.add [rate_limit=5/s]"]
    shown = box.ask("registered", taskinfoitems=["max_retries", "_private", 3], builtins=True)
    assert shown == ["capapp.add [max_retries=3]", "celery.chord"]


# -- commands of an app -----------------------------------------------------------------------------


def of_app(function: Any, **remote: Any) -> Box:
    registry = Registry([app_command(function, Remote("control", **remote))])
    return Box(registry=registry)


def test_a_function_becomes_a_command_with_its_defaults_and_types() -> None:
    def widen(state: Any, n: int = 1, why: str | None = None) -> dict[str, str]:
        """Let N more messages wait.

        And more words.
        """
        return {"ok": f"{state.hostname} {n!r} {why}"}

    box = of_app(widen, positional=(("n", int),), alias="stretch")
    assert box.ask("widen") == {"ok": "worker1@example.com 1 None"}
    assert box.ask("stretch", n="3", why="x") == {"ok": "worker1@example.com 3 x"}
    assert "unknown field" in box.ask("widen", m=1)["error"]
    [command] = box.pidbox._registry
    assert (command.help, command.changes) == ("Let N more messages wait.", True)


def test_a_function_may_take_what_it_does_not_name() -> None:
    def takes_all(state: Any, **rest: Any) -> Any:
        return rest

    assert of_app(takes_all).ask("takes_all", a=1, b=[2]) == {"a": 1, "b": [2]}


def test_what_a_function_raises_is_answered_as_celery_answers() -> None:
    def fail(state: Any) -> None:
        raise ValueError("no")

    box = of_app(fail)
    assert box.ask("fail") == {"error": "ValueError('no')"}
    assert box.ask("fail") != NO_ANSWER


def test_an_answer_that_cannot_be_written_says_so() -> None:
    def odd(state: Any) -> Any:
        return object()

    assert "cannot be written as json" in of_app(odd).ask("odd")["error"]


@pytest.mark.parametrize("function", [lambda: 1, lambda state, *rest: 1, lambda *, state: 1])
def test_a_function_that_cannot_be_called_by_name_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError):
        app_command(function, Remote("inspect"))


def test_every_command_for_the_broker_is_at_the_socket_too_but_those_that_are_other_ones_there() -> None:
    registry = builtin_commands()
    remote = [one for one in registry if one.remote is not None]
    assert {one.name for one in remote if Door.SOCKET not in one.doors} == {"ping", "terminate", "shutdown"}
