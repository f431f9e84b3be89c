"""The queues in which RabbitMQ keeps messages until their time, as Celery names and ties them.

There is a queue for each bit of a delay in whole seconds: what waits in ``celery_delayed_<n>`` leaves it
after 2^n seconds.  The routing key of a message begins with the bits, the highest first, and its way goes
by them from exchange to exchange, through the queues whose bit is 1, to ``celery_delayed_delivery``, to
which the task queues are bound.

Units: seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from amqp import spec

LEVELS = 28
LONGEST = 2**LEVELS - 1
"""Eight years and a half; what is due later comes back and is sent away again."""

DELIVERY = "celery_delayed_delivery"
KINDS = ("quorum", "classic")
"""Of the delay queues, the one that is better first: quorum queues lose nothing on the way between two."""

LONGEST_KEY = 255
"""Bytes of a routing key."""

Frame = tuple[Any, str, tuple[Any, ...]]
"""A method, the signature of its arguments, and these."""

_KEY = re.compile(r"(?:[01]\.){28}")
_EXCHANGE = re.compile(r"celery_delayed_(?:\d+|delivery)")
_TRACES = re.compile(r"x-death|x-(?:first|last)-death-.+")


def level(number: int) -> str:
    """The name of a delay queue, and of its exchange."""
    return f"celery_delayed_{number}"


DELAY_QUEUES = [level(number) for number in range(LEVELS)]


def way(delay: float, queue: str) -> tuple[str, str]:
    """Exchange and key of a message that shall be in ``queue`` in ``delay`` seconds or a little sooner.

    Celery's clients send to the highest level.  The one of the first bit that is 1 is the same, and spares
    the broker to match the zeros one after the other: most of the work.
    """
    seconds = min(max(int(delay), 1), LONGEST)
    return level(seconds.bit_length() - 1), ".".join(f"{seconds:0{LEVELS}b}") + f".{queue}"


def binding_key(queue: str) -> str:
    """What binds ``queue`` to ``DELIVERY``: no other queue's name fits, even if it ends in this one."""
    return "*." * LEVELS + queue


def can_wait(queue: str) -> bool:
    """False for names that no binding can mean alone, or that leave no room for the bits."""
    fits = len(binding_key(queue).encode()) <= LONGEST_KEY
    return fits and not {"*", "#"}.intersection(queue.split("."))


def has_waited(exchange: str, key: str) -> bool:
    """True of a message that has come from there."""
    # Asked of each message, most of which have no exchange.
    return bool(exchange and _EXCHANGE.fullmatch(exchange) and _KEY.match(key))


def without_traces(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers without what the broker has noted of the queues that a message has been in.

    It drops a message that comes to such a queue once more, because it takes that for a loop.
    """
    return {name: value for name, value in headers.items() if not _TRACES.fullmatch(name)}


# -- declarations, none of which is answered ---------------------------------------------------


def presence() -> Iterator[Frame]:
    """Fails where something is missing."""
    for name in (*DELAY_QUEUES, DELIVERY):
        yield _exchange(name, passive=True)
    for name in DELAY_QUEUES:
        yield _queue(name, {}, passive=True)


def declarations(kind: str) -> Iterator[Frame]:
    """All of it, with queues of this kind; whoever sees ``DELIVERY`` has the rest too."""
    for number, name in enumerate(DELAY_QUEUES):
        yield _exchange(name)
        yield _queue(name, _arguments(number, kind))
    for number in range(LEVELS - 1, -1, -1):
        above = "*." * (LEVELS - 1 - number)
        yield _bound(spec.Queue.Bind, level(number), level(number), f"{above}1.#")
        if number:
            yield _bound(spec.Exchange.Bind, level(number - 1), level(number), f"{above}0.#")
    yield _exchange(DELIVERY)
    yield _bound(spec.Exchange.Bind, DELIVERY, level(0), "*." * (LEVELS - 1) + "0.#")


def binding(queue: str) -> Frame:
    """``queue`` gets what has waited for it."""
    return _bound(spec.Queue.Bind, queue, DELIVERY, binding_key(queue))


def last_word() -> Frame:
    """Answered, once all before it has been done."""
    return spec.Exchange.Declare, "BssbbbbbF", (0, DELIVERY, "topic", True, True, False, False, False, {})


def _exchange(name: str, *, passive: bool = False) -> Frame:
    return spec.Exchange.Declare, "BssbbbbbF", (0, name, "topic", passive, True, False, False, True, {})


def _queue(name: str, arguments: dict[str, Any], *, passive: bool = False) -> Frame:
    return spec.Queue.Declare, "BsbbbbbF", (0, name, passive, True, False, False, True, arguments)


def _bound(method: Any, target: str, source: str, key: str) -> Frame:
    return method, "BsssbF", (0, target, source, key, True, {})


def _arguments(number: int, kind: str) -> dict[str, Any]:
    arguments = {
        "x-queue-type": kind,
        "x-overflow": "reject-publish",
        "x-message-ttl": 2**number * 1000,
        "x-dead-letter-exchange": level(number - 1) if number else DELIVERY,
    }
    return arguments | ({"x-dead-letter-strategy": "at-least-once"} if kind == "quorum" else {})
