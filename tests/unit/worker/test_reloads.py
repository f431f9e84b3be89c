"""Who is told what when generations come up or fail."""

from __future__ import annotations

import pytest

from workerd.worker.reloads import Reloads


class Told:
    """Everything that a Reloads told."""

    def __init__(self) -> None:
        self.facts: list[object] = []
        self.reloads = Reloads(
            on_first=lambda: self.facts.append("first"),
            on_end=self.facts.append,
            on_first_failure=lambda reason, text: self.facts.append((reason, text)),
        )

    def ask(self, who: str) -> None:
        self.reloads.ask(lambda ok, message, text: self.facts.append((who, ok, message)))


@pytest.fixture
def told() -> Told:
    told = Told()
    told.reloads.succeeded(1, 3)
    assert told.facts == ["first"]
    told.facts.clear()
    return told


def test_a_failed_first_generation_is_no_reload() -> None:
    told = Told()
    told.reloads.failed(1, "no such module", "Traceback")
    assert told.facts == [("no such module", "Traceback")]


def test_who_asked_hears_of_the_reload_that_began_after_the_request(told: Told) -> None:
    told.ask("a")
    told.reloads.begun()
    told.ask("b")  # while it is under way: the next one serves it
    told.reloads.succeeded(2, 1)
    assert told.facts == [("a", True, "generation 2 serves, with 1 task"), True]

    told.facts.clear()
    told.reloads.begun()
    told.reloads.failed(3, "bad code", "Traceback")
    assert told.facts == [("b", False, "generation 3 failed: bad code"), False]


def test_tasks_that_the_new_code_has_not_are_named(told: Told) -> None:
    told.ask("a")
    told.reloads.begun()
    told.reloads.succeeded(2, 1, [f"proj.t{number:02}" for number in range(12)])
    first_ten = ", ".join(f"proj.t{number:02}" for number in range(10))
    assert told.reloads.last == (f"generation 2 serves, with 1 task; no longer there: {first_ten} and 2 more")


def test_a_stop_tells_everyone_who_waits(told: Told) -> None:
    told.ask("a")
    told.reloads.begun()
    told.ask("b")
    told.reloads.overtaken("the daemon is stopping")
    assert [fact[:2] for fact in told.facts if isinstance(fact, tuple)] == [("a", False), ("b", False)]
