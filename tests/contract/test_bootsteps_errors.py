"""What a step raises in each of its hooks: half starts are undone, nothing on the way down is held up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.contract.fakes import Parent, abc, made, raiser, recorder
from workerd.bootsteps import RUN, TERMINATE, Blueprint, State

Request = Callable[[Blueprint, Parent], None]


def test_a_half_start_is_undone_in_reverse_and_the_error_goes_up_as_it_is(parent: Parent) -> None:
    error = OSError("no room")
    blueprint = abc(parent, c={"start": raiser(error)})

    with pytest.raises(OSError, match="no room") as caught:
        blueprint.start(parent)

    assert caught.value is error
    assert error.__notes__ == ["raised by the start of C, a step of the Worker blueprint"]
    assert parent.journal == ["start A", "start B", "start C", "stop B", "stop A"]
    assert blueprint.state is State.INIT


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_half_start_is_undone_for_every_kind_of_exception(parent: Parent, error: BaseException) -> None:
    blueprint = abc(parent, b={"start": raiser(error)})

    with pytest.raises(type(error)):
        blueprint.start(parent)

    assert parent.journal == ["start A", "start B", "stop A"]


def test_an_error_while_a_half_start_is_undone_is_logged_and_hides_nothing(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    blueprint = abc(parent, a={"stop": raiser(ValueError("worse"))}, b={"start": raiser(OSError("first"))})

    with pytest.raises(OSError, match="first"):
        blueprint.start(parent)

    assert "Error on stopping A: ValueError('worse')" in caplog.text


def test_a_blueprint_whose_start_failed_may_start_again(parent: Parent) -> None:
    errors = [OSError("once")]
    blueprint = abc(parent, b={"start": lambda parent: errors and raiser(errors.pop())(parent)})

    with pytest.raises(OSError, match="once"):
        blueprint.start(parent)
    blueprint.start(parent)

    assert blueprint.state is RUN
    assert parent.journal[-3:] == ["start A", "start B", "start C"]


@pytest.mark.parametrize("hook", ["close", "stop", "terminate", "shutdown"])
@pytest.mark.parametrize("error", [RuntimeError("stuck"), SystemExit(3)], ids=repr)
def test_an_error_on_the_way_down_is_logged_and_holds_up_nothing(
    parent: Parent, hook: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    blueprint = abc(parent, b={hook: raiser(error)})
    blueprint.start(parent)

    blueprint.stop(parent, terminate=hook == "terminate")
    blueprint.shutdown(parent)

    assert f"B: {error!r}" in caplog.text
    stops = [line for line in parent.journal if line.startswith(("stop", "terminate"))]
    assert [line[-1] for line in stops] == ["C", "B", "A"]
    assert parent.journal[-3:] == ["shutdown C", "shutdown B", "shutdown A"]
    assert blueprint.state is TERMINATE


def test_an_interrupt_out_of_a_stop_leaves_the_rest_to_the_next_stop(parent: Parent) -> None:
    interrupts = [KeyboardInterrupt()]
    blueprint = abc(parent, b={"stop": lambda parent: interrupts and raiser(interrupts.pop())(parent)})
    blueprint.start(parent)

    with pytest.raises(KeyboardInterrupt):
        blueprint.stop(parent)
    blueprint.stop(parent)

    assert parent.journal[-3:] == ["stop C", "stop B", "stop A"]
    assert blueprint.join(0)


def test_a_restart_after_a_half_start_stops_nothing_twice(parent: Parent) -> None:
    blueprint = abc(parent, b={"start": raiser(OSError())})
    with pytest.raises(OSError):
        blueprint.start(parent)
    before = list(parent.journal)

    blueprint.restart(parent)

    assert parent.journal == before


@pytest.mark.parametrize("error", [RuntimeError("callback"), SystemExit(3)], ids=repr)
def test_a_failing_callback_holds_up_no_stop(
    parent: Parent, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    blueprint = made(recorder("A"), parent=parent, on_close=fail, on_stopped=fail)
    blueprint.start(parent)
    blueprint.stop(parent)

    assert parent.journal[-1] == "stop A"
    assert f"Error on closing the Worker blueprint: {error!r}" in caplog.text


def test_send_all_raises_unless_told_to_log(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    blueprint = abc(parent, b={"close": raiser(RuntimeError("no"))})

    with pytest.raises(RuntimeError, match="no") as caught:
        blueprint.send_all(parent, "close")
    assert caught.value.__notes__ == ["raised by close of B, a step of the Worker blueprint"]
    blueprint.send_all(parent, "close", "closing", propagate=False)

    assert "Error on closing B: RuntimeError('no')" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("no info"), SystemExit(3)], ids=repr)
def test_an_error_in_info_is_logged_by_name_and_costs_the_others_nothing(
    parent: Parent, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Any, parent: Any) -> None:
        raise error

    blueprint = made(
        recorder("A", info=fail), recorder("B", info=lambda self, parent: {"b": 2}), parent=parent
    )

    assert blueprint.info(parent) == {"b": 2}
    assert f"Error on info of A: {error!r}" in caplog.text


@pytest.mark.parametrize("hook", ["__init__", "include_if", "create"])
@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_an_error_while_a_step_is_made_names_it_and_nothing_has_started(
    parent: Parent, hook: str, error: type[BaseException]
) -> None:
    def fail(self: Any, parent: Any) -> None:
        raise error

    with pytest.raises(error) as caught:
        made(recorder("Even"), recorder("Odd", **{hook: fail}), parent=parent)

    assert caught.value.__notes__ == ["raised while Odd, a step of the Worker blueprint, was made"]
    assert parent.journal == []


def test_a_hook_that_is_left_is_logged_and_the_others_go_on(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def around(hook: str) -> Iterator[None]:
        yield
        if hook == "stop":
            raise TimeoutError("not over")

    added = [recorder("A"), recorder("B")]
    blueprint = Blueprint(added, "Worker", around=around).apply(parent)
    blueprint.start(parent)
    blueprint.stop(parent)

    assert "Error on stopping B: TimeoutError('not over')" in caplog.text
    assert parent.journal[-2:] == ["stop B", "stop A"]
