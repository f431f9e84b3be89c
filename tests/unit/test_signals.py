"""Signals of the app: who is called, for whom, and for how long."""

from __future__ import annotations

import gc
from typing import Any

import pytest

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


def test_a_receiver_must_take_what_later_versions_add(signal: Signal) -> None:
    def narrow(sender: Any) -> None: ...

    with pytest.raises(ValueError, match=r"cannot receive task_done: it must take \*\*words"):
        signal.connect(narrow)
    assert repr(signal) == "<Signal: task_done providing_args={'result'}>"
