from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from tests.unit.control.fakes import FakeDaemon, FakeReply
from workerd.control.commands import builtin_commands
from workerd.control.daemon import Daemon
from workerd.control.registry import Call, NoArguments, Registry, Request, command
from workerd.errors import ConfigError, ExitCode, UsageError


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


def ask(daemon: FakeDaemon, name: str, *, stream: bool = False, **args: Any) -> FakeReply:
    reply = FakeReply()
    builtin_commands().run(daemon, Call(name, args, stream), "inc1", reply)
    return reply


def test_ping_names_the_process_and_its_incarnation(daemon: FakeDaemon) -> None:
    assert ask(daemon, "ping").value == {"pid": os.getpid(), "incarnation": "inc1"}


def test_status_is_the_daemons_own_with_its_incarnation(daemon: FakeDaemon) -> None:
    assert ask(daemon, "status").value == daemon.status() | {"incarnation": "inc1"}


def test_a_stop_without_a_stream_answers_before_it_has_ended(daemon: FakeDaemon) -> None:
    assert ask(daemon, "stop", timeout=5).value == {"pid": os.getpid()}
    assert daemon.asked == [("stop", False, 5.0)]


def test_a_streamed_stop_tells_the_drain_and_ends_with_the_exit_code(daemon: FakeDaemon) -> None:
    reply = ask(daemon, "stop", stream=True, now=True)
    assert daemon.asked == [("stop", True, None)]

    daemon.tell(event="draining", waiting_for=["proj.add"], seconds_left=3.0)
    assert [fact["event"] for fact in reply.events] == ["stopping", "draining"]
    daemon.tell(event="stopped", code=75)

    assert reply.value == {"pid": os.getpid(), "code": 75}
    assert daemon.subscribers == []


def test_a_reload_answers_when_the_new_generation_serves(daemon: FakeDaemon) -> None:
    reply = ask(daemon, "reload")
    assert daemon.reload_done is not None

    daemon.reload_done(True, "generation 2 serves", "")

    assert reply.value == {"message": "generation 2 serves"}


def test_a_reload_that_waits_for_older_children_tells_of_them(daemon: FakeDaemon) -> None:
    reply = ask(daemon, "reload", stream=True, wait=True)
    assert daemon.asked == [("reload", True)]
    daemon.tell(event="older", children=1, waiting_for=["proj.add[4f2a]"])
    daemon.tell(event="link-down", reason="gone")
    assert [fact["event"] for fact in reply.events] == ["older"]

    daemon.reload_done(True, "generation 2 serves; no older child is left", "")  # type: ignore[misc]

    assert reply.value == {"message": "generation 2 serves; no older child is left"}
    assert daemon.subscribers == []


def test_a_failed_reload_carries_the_apps_traceback(daemon: FakeDaemon) -> None:
    reply = ask(daemon, "reload")
    assert daemon.reload_done is not None

    daemon.reload_done(False, "proj cannot be imported; the old code goes on serving", "Traceback: boom")

    assert reply.error is not None and reply.error.exit_code is ExitCode.FAILED
    assert str(reply.error) == "proj cannot be imported; the old code goes on serving"
    assert reply.traceback == "Traceback: boom"


def test_a_restart_that_cannot_start_the_new_code_is_an_error(daemon: FakeDaemon) -> None:
    reply = ask(daemon, "restart", stream=True)
    assert reply.events[0]["incarnation"] == "inc1"

    daemon.tell(event="restart-failed", error="no", traceback="T")

    assert reply.error is not None and reply.error.what == "no"
    assert reply.traceback == "T"
    assert daemon.subscribers == []


def test_a_restart_without_a_stream_answers_at_once(daemon: FakeDaemon) -> None:
    reply = ask(daemon, "restart")

    assert reply.value is not None and reply.value["incarnation"] == "inc1"
    assert daemon.asked == ["restart"]


def test_scale_answers_with_the_new_bounds(daemon: FakeDaemon) -> None:
    value = ask(daemon, "scale", spec="+2").value
    assert value is not None
    assert (value["lower"], value["upper"], value["was"], value["wanted"]) == (4, 4, 2, 4)


def test_scale_is_of_the_default_pool_and_for_real_unless_it_says_otherwise(daemon: FakeDaemon) -> None:
    ask(daemon, "scale", spec="3"), ask(daemon, "scale", spec="3", pool="video", dry_run=True)
    assert daemon.asked == [("scale", "3", "default", False), ("scale", "3", "video", True)]


def test_limit_and_terminate_pass_on_what_they_are_given(daemon: FakeDaemon) -> None:
    ask(daemon, "limit", task="proj.add", soft=5), ask(daemon, "limit", task="proj.add", reset=True)
    ask(daemon, "limit", task="proj.add", rate="10/m")
    ask(daemon, "terminate", id="4f2a"), ask(daemon, "terminate", id="4f2a", kill=True)
    assert daemon.asked == [
        ("limit", "proj.add", 5, None, None, False),
        ("limit", "proj.add", None, None, None, True),
        ("limit", "proj.add", None, None, "10/m", False),
        ("terminate", "4f2a", False),
        ("terminate", "4f2a", True),
    ]
    assert isinstance(ask(daemon, "limit", task="proj.add", soft=-1).error, UsageError)


def test_an_unknown_command_names_the_nearest(daemon: FakeDaemon) -> None:
    error = ask(daemon, "statsu").error
    assert isinstance(error, UsageError)
    assert error.hint == "did you mean 'stats'?"
    assert "known commands: ping" in str(ask(daemon, "xyzzy").error)


@pytest.mark.parametrize("args", [{"spec": 3}, {}, {"spec": "1", "pol": "x"}])
def test_wrong_arguments_are_named_and_never_reach_the_handler(
    daemon: FakeDaemon, args: dict[str, Any]
) -> None:
    error = ask(daemon, "scale", **args).error

    assert isinstance(error, UsageError)
    assert "it takes: spec" in str(error)
    assert daemon.bounds == (2, 2)


def test_a_handler_with_a_bug_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    @command("bad", NoArguments, text="fail")
    def bad(daemon: Daemon, request: Request[NoArguments]) -> None:
        raise RuntimeError("boom")

    reply = FakeReply()
    with caplog.at_level(logging.ERROR):
        Registry([bad]).run(FakeDaemon(), Call("bad"), "inc1", reply)

    assert reply.error is not None and reply.error.exit_code is ExitCode.BUG
    assert "boom" in caplog.text


def test_a_name_can_be_taken_once() -> None:
    registry = builtin_commands()

    with pytest.raises(ConfigError, match="two commands named 'ping'"):
        registry.add(registry.find("ping"))
    own = [one for one in registry if one.remote is None]
    assert {one.name for one in own if not one.changes} == {"ping", "status", "health", "metrics"}
