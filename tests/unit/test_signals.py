"""Signals of the app: who is called, for whom, and for how long."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from workerd import signals
from workerd.signals import Signal


@pytest.fixture
def signal() -> Signal:
    return Signal("task_done", ("result",))


def test_a_receiver_gets_the_signal_its_sender_and_what_it_says(signal: Signal) -> None:
    got: list[dict[str, Any]] = []

    @signal.connect
    def receive(**words: Any) -> str:
        got.append(words)
        return "seen"

    assert signal.send(sender="main@here", result=3) == [(receive, "seen")]
    assert got == [{"signal": signal, "sender": "main@here", "result": 3}]


def test_a_receiver_of_one_sender_hears_no_other(signal: Signal) -> None:
    got: list[Any] = []

    @signal.connect(sender="a")
    def receive(sender: Any, **words: Any) -> None:
        got.append(sender)

    signal.send("b"), signal.send("a")
    assert got == ["a"]
    assert signal.has_listeners("a") and not signal.has_listeners("b")


def test_receivers_are_called_in_the_order_of_their_connection_and_once(signal: Signal) -> None:
    got: list[str] = []

    def first(**words: Any) -> None:
        got.append("first")

    def second(**words: Any) -> None:
        got.append("second")

    for receiver in (first, second, first):
        assert signal.connect(receiver) is receiver
    signal.send(None)
    assert got == ["first", "second"]


def test_one_dispatch_uid_is_connected_once(signal: Signal) -> None:
    got: list[int] = []
    receivers = [lambda n=n, **words: got.append(n) for n in range(2)]
    for receiver in receivers:
        signal.connect(receiver, dispatch_uid="mine")
    signal.send(None)
    assert got == [0]
    assert signal.disconnect(dispatch_uid="mine") and not signal.disconnect(dispatch_uid="mine")
    assert signal.send(None) == []


def test_what_a_receiver_raises_is_logged_and_returned_and_the_next_is_called(
    signal: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    def bad(**words: Any) -> None:
        raise ValueError("no database")

    def good(**words: Any) -> int:
        return 7

    signal.connect(bad), signal.connect(good)
    (_, raised), (_, returned) = signal.send(None)
    assert isinstance(raised, ValueError) and returned == 7
    assert "of task_done raised ValueError('no database')" in caplog.text and "Traceback" in caplog.text


def test_an_exception_for_the_process_goes_up(signal: Signal) -> None:
    @signal.connect
    def leave(**words: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        signal.send(None)


def test_receivers_are_held_weakly_unless_told_otherwise(signal: Signal) -> None:
    class Holder:
        def receive(self, **words: Any) -> str:
            return "here"

    holder = Holder()
    signal.connect(holder.receive)
    signal.connect(Holder().receive)
    gc.collect()
    assert [answer for _, answer in signal.send(None)] == ["here"]
    assert signal.disconnect(holder.receive)
    signal.connect(Holder().receive, weak=False)
    gc.collect()
    assert [answer for _, answer in signal.send(None)] == ["here"]


def test_a_receiver_that_is_gone_is_not_taken_for_one_that_has_its_place_in_memory(signal: Signal) -> None:
    def make(name: str) -> Any:
        def receive(**words: Any) -> str:
            return name

        return receive

    for _ in range(20):
        signal.connect(make("gone"))
    last = signal.connect(make("here"))
    assert signal.send(None) == [(last, "here")]


def test_a_receiver_must_take_what_later_versions_add(signal: Signal) -> None:
    def narrow(sender: Any) -> None: ...

    with pytest.raises(ValueError, match=r"cannot receive task_done: it must take \*\*words"):
        signal.connect(narrow)
    assert repr(signal) == "<Signal: task_done providing_args={'result'}>"


def test_a_receiver_with_retry_is_tried_again_and_held(
    signal: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def connect(fails: int) -> None:
        @signal.connect(retry=True, dispatch_uid=str(fails))
        def flaky(**words: Any) -> str:
            tries.append(fails)
            if tries.count(fails) <= fails:
                raise OSError("busy")
            return f"tried {tries.count(fails)}"

    connect(2), connect(9)
    gc.collect()
    (_, first), (_, second) = signal.send(None)
    assert first == "tried 3" and isinstance(second, OSError)
    assert tries == [2, 2, 2, 9, 9, 9]
    assert caplog.text.count("raised OSError('busy'); trying again\n") == 4


def test_a_signal_is_heard_while_anybody_is_connected_for_any_sender(signal: Signal) -> None:
    def receive(**words: Any) -> None: ...

    assert not signal.heard
    signal.connect(receive, sender="a")
    assert signal.heard and not signal.has_listeners("b")
    signal.disconnect(receive, sender="a")
    assert not signal.heard


def test_there_is_every_signal_of_celery_but_those_of_pools_that_are_not_here() -> None:
    from celery import signals as celerys

    missing = {
        name
        for name, theirs in vars(celerys).items()
        if isinstance(theirs, celerys.Signal)
        and not (hasattr(signals, name) and theirs.providing_args <= {*getattr(signals, name).says})
    }
    assert missing == {
        f"eventlet_pool_{moment}" for moment in ("started", "preshutdown", "postshutdown", "apply")
    }
    own = {name for name, ours in vars(signals).items() if isinstance(ours, Signal)}
    assert own == {*signals.__all__} - {"Signal"}
    assert all(getattr(signals, name).name == name for name in own)
