"""Entries of the Redis lists and of the in-flight store: bytes in, deliveries out.

An entry in flight is ``[<message>,"","<queue>"]``: kombu restores it to that queue whatever exchange the
message came through.  It is made by concatenation, so the message is kept byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, tzinfo

from workerd.protocol.message import MalformedError, message_from_redis
from workerd.protocol.rewriting import mark_redelivered
from workerd.source.base import Delivery
from workerd.source.redis.keys import Keys

_JOINT = b',"",'

BATCH = 100
"""Messages that one script returns: whole messages travel with it."""


def tail_of(queue: str) -> str:
    """What follows a message of ``queue`` in its in-flight entry."""
    return f"{_JOINT.decode()}{json.dumps(queue)}]"


def split_entry(entry: bytes) -> tuple[bytes, str]:
    """The message and its queue; ValueError when the entry is not one of ours."""
    # A quote inside the queue's JSON text is escaped, so the last joint is the one that we wrote.
    at = entry.rindex(_JOINT)
    return entry[1:at], str(json.loads(entry[at + len(_JOINT) : -1]))


Read = Callable[[str, str, bytes], Delivery]
"""From tag, queue and bytes to a delivery."""


def delivery_of(tag: str, queue: str, raw: bytes, zone: tzinfo = UTC) -> Delivery:
    """A delivery, with the problem told if the message cannot be read.

    ``zone`` is that of times without an offset.
    """
    try:
        message = message_from_redis(raw, zone)
    except MalformedError as exc:
        return Delivery(tag, queue, None, raw, problem=str(exc))
    return Delivery(tag, queue, message, raw, redelivered=message.redelivered)


def returning(delivery: Delivery, keys: Keys) -> tuple[str, bytes]:
    """The list to which a delivery is given back, and its bytes, marked where they can be."""
    priority = delivery.message.priority if delivery.message is not None else 0
    name = keys.list_for(delivery.queue, priority)
    try:
        return name, mark_redelivered(delivery.raw, delivery.deaths)
    except MalformedError:
        return name, delivery.raw


def batches(
    deliveries: Sequence[Delivery], keys: Keys, first: int
) -> Iterator[tuple[list[str], list[str | bytes], list[str]]]:
    """The lists, arguments and tags of scripts that return ``deliveries`` to the heads of their lists.

    The last deliveries come first, because each is put before those that were moved already.  The
    first of the lists is the script's key number ``first``.
    """
    for end in range(len(deliveries), 0, -BATCH):
        lists: list[str] = []
        args: list[str | bytes] = []
        tags: list[str] = []
        for delivery in reversed(deliveries[max(end - BATCH, 0) : end]):
            name, raw = returning(delivery, keys)
            if name not in lists:
                lists.append(name)
            args += (delivery.tag, str(lists.index(name) + first), raw)
            tags.append(delivery.tag)
        yield lists, args, tags
