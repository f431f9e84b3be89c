"""A pool, a source and a result writer that remember what they were asked, and a hand-driven timer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from workerd.protocol.dead import Letter
from workerd.protocol.message import AmqpPayload, Message
from workerd.source.base import Delivery
from workerd_pool import Cause

Done = Callable[[], None]


@dataclass
class FakeTimer:
    entries: list[Any] = field(default_factory=list)

    def call_after(self, secs: float, fun: Callable[..., None], args: tuple[Any, ...] = (), **_: Any) -> Any:
        entry = Entry(secs, fun, args)
        self.entries.append(entry)
        return entry


@dataclass
class Entry:
    secs: float
    fun: Callable[..., None]
    args: tuple[Any, ...]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def fire(self) -> None:
        if not self.cancelled:
            self.fun(*self.args)


@dataclass
class FakePool:
    alive: int = 2
    jobs: list[Any] = field(default_factory=list)
    closed_slots: int = 0
    interrupted: list[tuple[int, str, float | None]] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    limited: list[tuple[int, float | None, float | None]] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    """Jobs that no child has read: an interruption takes them back through ``on_returned``."""
    on_returned: Callable[[Any], None] | None = None
    most: int | None = None
    """Bytes of a job's arguments for which there is memory."""

    @property
    def free(self) -> int:
        return self.alive - len(self.jobs)

    def submit(self, job: Any) -> None:
        assert self.free > 0
        if self.most is not None and len(job.body) > self.most:
            raise OSError(24, "Too many open files")
        self.jobs.append(job)

    def interrupt_job(self, number: int, cause: str, text: str = "", grace: float | None = None) -> bool:
        if number in self.unread:
            (job,) = (job for job in self.jobs if job.id == number)
            self.jobs.remove(job)
            assert self.on_returned is not None
            self.on_returned(job)
            return False
        self.interrupted.append((number, cause, grace))
        return True

    def kill_job(self, number: int, words: str) -> bool:
        self.killed.append(number)
        return number not in self.unread

    def limit_job(self, number: int, soft: float | None, hard: float | None) -> bool:
        self.limited.append((number, soft, hard))
        return True

    def finish(self, index: int = 0) -> Any:
        return self.jobs.pop(index)


@dataclass
class FakeSource:
    """``confirm`` says whether the broker answers at once."""

    survives_link: bool = True
    sure_until: float = math.inf
    confirm: bool = True
    settled: list[Any] = field(default_factory=list)
    given_back: list[Any] = field(default_factory=list)
    aside: list[tuple[Any, str]] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    deaths: list[int] = field(default_factory=list)  # of what was given back
    rooms: dict[str, int] = field(default_factory=dict)
    notes: dict[Any, int] = field(default_factory=dict)
    waiting: list[Done] = field(default_factory=list)  # for the broker's answer
    pending: int = 0
    parks: bool = True
    parked_tags: list[Any] = field(default_factory=list)
    refusals: list[Done] = field(default_factory=list)  # what says so of each that was parked

    @property
    def parked(self) -> int:
        return len(self.parked_tags)

    def can_park(self, delivery: Delivery) -> bool:
        return self.parks

    def park(self, delivery: Delivery, then: Done, refused: Done) -> None:
        self.parked_tags.append(delivery.tag)
        self.refusals.append(refused)
        self._answer(then)

    @property
    def room(self) -> int:
        """Of the default pool's queues."""
        return self.rooms["default"]

    def fetch(self, group: str, room: int) -> None:
        self.rooms[group] = room

    def drain(self) -> None:
        self.rooms = dict.fromkeys(self.rooms, 0)

    def note(self, delivery: Delivery, deaths: int) -> None:
        self.notes[delivery.tag] = deaths

    def settle(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        self.settled += [delivery.tag for delivery in deliveries]
        self._answer(then)

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        self.given_back += [delivery.tag for delivery in deliveries]
        self.deaths += [delivery.deaths for delivery in deliveries]
        self._answer(then)

    def put_aside(self, delivery: Delivery, letter: Letter, then: Done | None = None) -> None:
        self.aside.append((delivery.tag, letter.reason))
        self.letters.append(letter)
        self._answer(then)

    def _answer(self, then: Done | None) -> None:
        if then is not None and self.confirm:
            then()
        elif then is not None:
            self.waiting.append(then)


@dataclass
class FakeResults:
    confirm: bool = True
    stored: list[tuple[str, str, bytes]] = field(default_factory=list)
    pending: int = 0
    held: list[Done] = field(default_factory=list)

    def store(
        self, task_id: str, state: str, meta: bytes, then: Done | None, reply_to: str | None = None
    ) -> None:
        self.stored.append((task_id, state, meta))
        if then is None:
            return
        if self.confirm:
            then()
        else:
            self.held.append(then)


@dataclass
class FakeDeath:
    pid: int = 4711
    cause: Cause = Cause.SIGNAL
    words: str = "killed by signal 9 (SIGKILL)"
    status: str = "signal 9 (SIGKILL)"
    hard_limit: float | None = None


def message(task_id: str = "id-1", task: str = "proj.add", **fields: Any) -> Message:
    body = fields.pop("body", b"[[], {}, {}]")
    payload = fields.pop("payload", None)
    payload = payload or msgspec.msgpack.encode(AmqpPayload({}, {}, body, "", "celery", False))
    return Message(
        id=task_id, task=task, protocol=2, payload=payload, content_type="application/json", **fields
    )


def delivery(tag: Any = "t1", content: Message | None = None, **fields: Any) -> Delivery:
    problem, queue = fields.pop("problem", ""), fields.pop("queue", "celery")
    content = None if problem else (content or message(task_id=f"id-{tag}"))
    return Delivery(tag=tag, queue=queue, message=content, raw=b"raw", problem=problem, **fields)
