"""Dead letters for people: found by their ids, shown in lines, and as plain values."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from workerd.cli.clientapp import client_app
from workerd.cli.common import Common
from workerd.cli.known_queues import known_queues
from workerd.cli.reaching import embedded, opened
from workerd.cli.table import span
from workerd.errors import UsageError, WorkerdError
from workerd.protocol.incoming import open_payload
from workerd.protocol.lenient import printable
from workerd.source.dead_queues import DeadLetter, DeadQueues, open_dead_queues

SHORTEST = 4
"""Characters of an id that may stand for the whole."""


class Room:
    """The dead queues that an operator means: the one that is named, or all that are known."""

    def __init__(self, found: DeadQueues, queues: Sequence[str]) -> None:
        self.found, self.queues = found, queues

    def letters(self) -> Generator[DeadLetter, None, None]:
        """Queue after queue, the oldest first."""
        for queue in self.queues:
            yield from self.found.scan(queue)

    def oldest(self, most: int | None) -> list[DeadLetter]:
        """The first ``most`` of them; None: all."""
        letters = self.letters()
        found = list(islice(letters, most))
        letters.close()  # else the rest would be given back when nobody looks any more
        return found

    def find(self, ids: Sequence[str]) -> list[DeadLetter]:
        """One dead letter for each of ``ids``: a task's id, a letter's own, or the beginning of one.

        Errors: WorkerdError when there is none, UsageError when there are several.
        """
        exact: dict[str, list[DeadLetter]] = {wanted: [] for wanted in ids}
        begun: dict[str, list[DeadLetter]] = {wanted: [] for wanted in ids}
        for letter in self.letters():
            names = (letter.id, letter.key)
            for wanted in dict.fromkeys(ids):
                if wanted in names:
                    exact[wanted].append(letter)
                elif len(wanted) >= SHORTEST and any(name.startswith(wanted) for name in names):
                    begun[wanted].append(letter)
        return [self._only(wanted, letters or begun[wanted]) for wanted, letters in exact.items()]

    def _only(self, wanted: str, letters: Sequence[DeadLetter]) -> DeadLetter:
        if not letters:
            places = ", ".join(f"{queue}.dead" for queue in self.queues)
            raise WorkerdError(f"no dead letter {wanted!r} in {places}", "see `workerd dead list`")
        if len(letters) > 1:
            names = ", ".join(
                f"{one.key} ({one.queue}.dead, {moment(one.letter.time)})" for one in letters[:5]
            )
            raise UsageError(f"{len(letters)} dead letters are called {wanted!r}", f"write one of: {names}")
        return letters[0]


@contextmanager
def room_of(common: Common, queue: str | None) -> Iterator[Room]:
    """The room of ``queue``, or of all that are known, at the broker that is set.

    Errors: UnavailableError, ConfigError.
    """
    with client_app(common) as app, embedded(app), app.broker.reaching():
        found = opened(app, open_dead_queues)
        try:
            if queue:
                queues = [queue.removesuffix(".dead")]
            else:
                queues = sorted(known_queues(common) | found.names() | {app.conf.task_default_queue})
            yield Room(found, queues)
        finally:
            found.close()


def lines(letters: Sequence[DeadLetter]) -> Iterator[str]:
    """A table, the ids first."""
    taken = [letter.id for letter in letters]
    rows = [("ID", "QUEUE", "TASK", "PUT ASIDE", "DEATHS", "REASON")]
    for one in letters:
        # Where several have a task's id, it would name none of them.
        name = one.id if taken.count(one.id) == 1 else one.key
        reason = " ".join(one.letter.reason.split())
        reason = reason if len(reason) <= 100 else f"{reason[:99]}…"
        rows.append((name, one.queue, task(one), moment(one.letter.time), str(one.letter.deaths), reason))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[5]])


def values(one: DeadLetter) -> dict[str, Any]:
    """A dead letter as plain values."""
    return {
        "id": one.id,
        "letter": one.key,
        "queue": one.queue,
        "origin": one.letter.queue,
        "task": one.message.task if one.message is not None else None,
        "time": one.letter.time,
        "node": one.letter.node,
        "reason": one.letter.reason,
        "deaths": one.letter.deaths,
        "bytes": len(one.raw),
    }


def details(one: DeadLetter, now: float) -> Iterator[str]:
    """All that is known of a dead letter; ``now`` is Unix time."""
    age = f" ({span(max(now - one.letter.time, 0))} ago)" if one.letter.time else ""
    args, kwargs = call_of(one)
    rows = {
        "id": one.id,
        "letter": one.key,
        "queue": f"{one.letter.queue}, in {one.queue}.dead",
        "task": task(one),
        "put aside": f"{moment(one.letter.time)}{age} by {one.letter.node or '?'}",
        "reason": one.letter.reason,
        "deaths": str(one.letter.deaths),
        "args": args,
        "kwargs": kwargs,
        "headers": json.dumps(one.headers, default=str, ensure_ascii=False) if one.headers else "",
        "message": f"{len(one.raw)} bytes; --raw writes them out",
    }
    for name, text in rows.items():
        if text:
            yield f"{name:<10} {printable(text)}"


def call_of(one: DeadLetter) -> tuple[str, str]:
    """The arguments: from a body of JSON, else as the sender has written them into the headers."""
    if one.message is None:
        return "", ""
    try:
        args, kwargs, _ = open_payload(one.message.payload).load(("json",))
    except Exception:  # noqa: BLE001 - whatever makes it unreadable is why it is here
        return one.message.argsrepr, one.message.kwargsrepr
    return json.dumps(args, ensure_ascii=False), json.dumps(kwargs, ensure_ascii=False)


def task(one: DeadLetter) -> str:
    """The task's name, or what stands for it."""
    return one.message.task if one.message is not None else "?"


def moment(time: float) -> str:
    """A Unix time in the local zone."""
    return datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else "?"


def keys(letters: Iterable[DeadLetter]) -> set[str]:
    """The letters' own names."""
    return {letter.key for letter in letters}
