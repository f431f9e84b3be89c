"""When a child's frames are read: at once, or, if it has much to do, a moment later and together."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from workerd_pool.attention import MUCH, REST, SMALL, Attention


class Loop:
    """Readers and timers, and nothing happens by itself."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], object]] = {}
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> None:
        self.readers[fds] = lambda: callback(*args)

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> None:
        self.timers.append((delay, lambda: callback(*args)))

    def ring(self) -> None:
        for _, callback in self.timers:
            callback()
        self.timers.clear()


class Child:
    """One that has ``jobs`` and whose last read brought two small frames."""

    def __init__(self, jobs: int = MUCH) -> None:
        self.jobs = dict.fromkeys(range(jobs))
        self.at_end = False
        self.outlet = SimpleNamespace(at_rest=True)
        self.sockets = SimpleNamespace(taken=2 * SMALL, up=SimpleNamespace(fileno=lambda: 7))


@pytest.fixture
def loop() -> Loop:
    return Loop()


def attending(loop: Loop, child: Any, heard: list[Any] | None = None) -> Attention:
    attention = Attention(loop, ([] if heard is None else heard).append)  # type: ignore[arg-type]
    attention.listen(child)
    return attention


def test_a_child_with_much_to_do_is_left_alone_and_heard_again(loop: Loop) -> None:
    child, heard = Child(), []
    attention = attending(loop, child, heard)
    attention.rest(child, 2)  # type: ignore[arg-type]
    attention.rest(child, 2)  # type: ignore[arg-type]
    assert loop.readers == {}
    assert [delay for delay, _ in loop.timers] == [REST]
    loop.ring()
    loop.readers[7]()
    assert heard == [child]


@pytest.mark.parametrize("why", ["little to do", "large frames", "it prints"])
def test_a_child_that_would_wait_for_us_is_heard_at_once(loop: Loop, why: str) -> None:
    child = Child(MUCH - 1 if why == "little to do" else MUCH)
    child.sockets.taken += why == "large frames"
    child.outlet.at_rest = why != "it prints"
    attending(loop, child).rest(child, 2)  # type: ignore[arg-type]
    assert 7 in loop.readers and loop.timers == []


def test_a_child_that_ends_while_it_is_left_alone_is_not_heard_again(loop: Loop) -> None:
    child = Child()
    attention = attending(loop, child)
    attention.rest(child, 2)  # type: ignore[arg-type]
    child.at_end = True
    attention.stop(child)  # type: ignore[arg-type]
    loop.ring()
    attention.rest(child, 2)  # type: ignore[arg-type]
    assert loop.readers == {} and loop.timers == []
