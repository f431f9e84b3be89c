"""Who is told what when generations come up, are complete, or fail."""

from __future__ import annotations

import pytest

from workerd.worker.pool.reloads import Change, Reloads

SERVES = "generation 2 serves, with 1 task"


class Told:
    """Everything that a Reloads told."""

    def __init__(self) -> None:
        self.facts: list[object] = []
        self.reloads = Reloads(
            on_first=lambda: self.facts.append("first"),
            on_end=self.facts.append,
            on_first_failure=lambda reason, text: self.facts.append((reason, text)),
        )

    def ask(self, who: str, *, whole: bool = False) -> None:
        self.reloads.ask(lambda ok, message, text: self.facts.append((who, ok, message)), whole=whole)

    def up(self, generation: int, change: Change | None = None) -> None:
        """It serves, and all that has nothing to do is exchanged."""
        self.reloads.came_up(generation, change or Change(1))
        self.reloads.settled(generation)

    def take(self) -> list[object]:
        facts = list(self.facts)
        self.facts.clear()
        return facts


@pytest.fixture
def told() -> Told:
    told = Told()
    told.up(1)
    told.reloads.complete(1)
    assert told.take() == ["first"]
    return told


def test_code_that_cannot_be_used_at_the_start_is_no_reload() -> None:
    told = Told()
    told.reloads.failed(1, "no such module", "Traceback", 0)
    assert told.facts == [("no such module", "Traceback")]


def test_who_asked_hears_of_the_reload_that_began_after_the_request(told: Told) -> None:
    told.ask("a")
    told.reloads.begun(2)
    told.ask("b")  # while it is under way: the next one serves it
    told.reloads.came_up(2, Change(1))
    assert told.take() == []
    told.reloads.settled(2)
    assert told.take() == [("a", True, SERVES), True]

    told.reloads.begun(3)
    told.reloads.failed(3, "bad code", "Traceback", 2)
    failed = "generation 3 failed: bad code; the old code goes on serving"
    assert told.take() == [("b", False, failed), False]
    assert (told.reloads.up, told.reloads.traceback) == (2, "Traceback")


def test_who_waits_for_the_whole_hears_when_no_older_child_is_left(told: Told) -> None:
    told.ask("a"), told.ask("b", whole=True)
    assert told.reloads.asked_whole
    told.reloads.begun(2)
    told.up(2)
    assert told.take() == [("a", True, SERVES), True]
    assert told.reloads.asked_whole
    told.reloads.complete(2)
    assert told.take() == [("b", True, f"{SERVES}; no older child is left")]
    assert not told.reloads.asked_whole


def test_a_generation_that_fails_while_it_replaces_the_old_one_is_a_failed_reload(told: Told) -> None:
    told.ask("a")
    told.reloads.begun(2)
    told.reloads.came_up(2, Change(1))
    told.reloads.failed(2, "one of its children: no", "Traceback", 1)
    failed = "generation 2 failed: one of its children: no; the old code goes on serving"
    assert told.take() == [("a", False, failed), False]
    told.reloads.settled(1)
    told.reloads.complete(1)
    assert told.take() == []
    assert told.reloads.up == 1


def test_one_that_fails_late_is_told_to_who_waits_for_it_and_not_to_who_waits_for_the_next(
    told: Told,
) -> None:
    told.ask("a", whole=True)
    told.reloads.begun(2)
    told.up(2)
    told.ask("b")
    told.reloads.begun(3)
    assert told.take() == [True]
    told.reloads.failed(2, "late", "", 1)
    assert told.take() == [("a", False, "generation 2 failed: late; the old code goes on serving")]
    told.up(3)
    assert told.take() == [("b", True, "generation 3 serves, with 1 task"), True]


def test_a_reload_of_a_daemon_that_never_came_up_may_fail_or_be_its_first() -> None:
    told = Told()
    told.ask("a")
    told.reloads.begun(2)
    told.reloads.failed(2, "no such module", "Traceback", 0)
    assert told.take() == [("a", False, "generation 2 failed: no such module; nothing serves yet"), False]
    told.ask("b")
    told.reloads.begun(3)
    told.up(3)
    assert told.take() == ["first", ("b", True, "generation 3 serves, with 1 task"), True]


def test_tasks_that_the_new_code_has_not_are_named(told: Told) -> None:
    told.reloads.begun(2)
    told.up(2, Change(1, [f"proj.t{number:02}" for number in range(12)]))
    first_ten = ", ".join(f"proj.t{number:02}" for number in range(10))
    assert told.reloads.last == f"{SERVES}; no longer there: {first_ten} and 2 more"


def test_what_needs_a_restart_is_named(told: Told) -> None:
    told.reloads.begun(2)
    told.up(2, Change(1, restart=["setting queues", "worker step proj.Step"]))
    names = "setting queues, worker step proj.Step"
    assert told.reloads.last == f"{SERVES}; in force only after `workerd restart`: {names}"


def test_a_stop_tells_everyone_who_waits(told: Told) -> None:
    told.ask("a", whole=True)
    told.reloads.begun(2)
    told.up(2)
    told.ask("b")
    told.reloads.begun(3)
    told.ask("c")
    told.take()
    told.reloads.overtaken("the daemon is stopping")
    assert sorted(map(str, told.take())) == [
        f"('{who}', False, 'no reload: the daemon is stopping')" for who in "abc"
    ]
