"""Workflows, written once for both sides: ``kit`` has Celery's names for them, or ours."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import celery
import redis

from tests.support.ids import named

Build = Callable[[Any], Any]

_HEADERS = (
    "task", "id", "group", "group_index", "root_id", "parent_id", "argsrepr", "kwargsrepr", "retries",
    "ignore_result", "replaced_task_nesting", "stamps", "shadow", "expires", "timelimit", "lang",
)  # fmt: skip


def kit_of(module: Any, add: Any, total: Any) -> SimpleNamespace:
    """What the workflows below are made of."""
    names = ("chain", "group", "chord", "signature")
    return SimpleNamespace(add=add, total=total, **{name: getattr(module, name) for name in names})


def celery_kit(add: Any, total: Any) -> SimpleNamespace:
    return kit_of(celery, add, total)


def our_kit(add: Any, total: Any) -> SimpleNamespace:
    import workerd  # a Celery of another version lives where there is none

    return kit_of(workerd, add, total)


def _stamped(k: Any) -> Any:
    whole = k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.total.s())
    whole.stamp(tenant="blue", run=7)
    return whole


def _linked(k: Any) -> Any:
    whole = k.add.s(1, 1)
    whole.link(k.add.s(5))
    whole.link_error(k.add.si(0, 0))
    return whole


def _linked_chain(k: Any) -> Any:
    whole = k.add.s(1, 1) | k.add.s(2) | k.add.s(3)
    whole.link(k.add.s(4))
    whole.link_error(k.add.si(0, 0))
    return whole


def _linked_chord(k: Any) -> Any:
    whole = k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.total.s())
    whole.link(k.add.s(4))
    return whole


FORMS: Mapping[str, Build] = MappingProxyType(
    {
        "call": lambda k: k.add.s(1, 2),
        "partial": lambda k: k.add.s(2).clone((1,)),
        "options": lambda k: k.add.s(1, 2).set(priority=3, expires=None),
        "linked": _linked,
        "chain": lambda k: k.add.s(1, 2) | k.add.s(3) | k.add.s(4),
        "chain of one": lambda k: k.chain(k.add.s(1, 2)),
        "chain of a list": lambda k: k.chain([k.add.s(1, 2), k.add.s(3)]),
        "immutable step": lambda k: k.add.s(1, 2) | k.add.si(3, 3) | k.add.s(4),
        "chain in a chain": lambda k: k.chain(k.add.s(1, 2), k.add.s(3) | k.add.s(4), k.add.s(5)),
        "linked chain": _linked_chain,
        "group": lambda k: k.group(k.add.s(1, 1), k.add.s(2, 2)),
        "group of one": lambda k: k.group([k.add.s(1, 1)]),
        "group in a group": lambda k: k.group(
            k.add.s(1, 1), k.group(k.add.s(2, 2), k.add.s(3, 3)), k.add.s(4, 4)
        ),
        "chain in a group": lambda k: k.group(k.add.s(1, 1) | k.add.s(2), k.add.s(3, 3)),
        "chain to a group": lambda k: k.add.s(1, 2) | k.group(k.add.s(3), k.add.s(4)),
        "chain to a group of one": lambda k: k.add.s(1, 2) | k.group(k.add.s(3)),
        "chord": lambda k: k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.total.s()),
        "chord by a pipe": lambda k: k.group(k.add.s(1, 1), k.add.s(2, 2)) | k.total.s(),
        "chord of one": lambda k: k.chord([k.add.s(1, 1)], k.total.s()),
        "chord with nothing": lambda k: k.chord([], k.total.s()),
        "chord and a step": lambda k: k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.total.s()) | k.add.s(5),
        "chord and two steps": lambda k: (
            k.group(k.add.s(1, 1), k.add.s(2, 2)) | k.total.s() | k.add.s(5) | k.add.s(6)
        ),
        "chord to a group": lambda k: (
            k.group(k.add.s(1, 1), k.add.s(2, 2)) | k.total.s() | k.group(k.add.s(5), k.add.s(6))
        ),
        "chord to a chord": lambda k: (
            k.group(k.add.s(1, 1), k.add.s(2, 2))
            | k.total.s()
            | k.group(k.add.s(5), k.add.s(6))
            | k.total.s()
        ),
        "linked chord": _linked_chord,
        "chain in a header": lambda k: k.chord([k.add.s(1, 1) | k.add.s(2), k.add.s(3, 3)], k.total.s()),
        "chord in a header": lambda k: k.chord(
            [k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.total.s()), k.add.s(3, 3)], k.total.s()
        ),
        "group in a header": lambda k: k.chord(
            [k.add.s(1, 1), k.group(k.add.s(2, 2), k.add.s(3, 3))], k.total.s()
        ),
        "chain to a group in a header": lambda k: k.chord(
            [k.add.s(1, 1) | k.group(k.add.s(2), k.add.s(3)), k.add.s(4, 4)], k.total.s()
        ),
        "chain as a body": lambda k: k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.total.s() | k.add.s(5)),
        "group as a body": lambda k: k.chord(
            [k.add.s(1, 1), k.add.s(2, 2)], k.group(k.total.s(), k.total.s())
        ),
        "chord as a body": lambda k: k.chord(
            [k.add.s(1, 1), k.add.s(2, 2)], k.chord([k.total.s(), k.total.s()], k.total.s())
        ),
        "chain to a chord": lambda k: k.add.s(1, 1) | k.group(k.add.s(2), k.add.s(3)) | k.total.s(),
        "chain to a chord and on": lambda k: (
            k.add.s(1, 1) | k.group(k.add.s(2), k.add.s(3)) | k.total.s() | k.add.s(4) | k.add.s(5)
        ),
        "chain to two chords": lambda k: (
            k.add.s(1, 1) | k.group(k.add.s(2), k.add.s(3)) | k.total.s()
            | k.group(k.add.s(4), k.add.s(5)) | k.total.s()
        ),
        "chord in a group": lambda k: k.group(
            k.chord([k.add.s(1, 1), k.add.s(2, 2)], k.total.s()), k.add.s(3, 3)
        ),
        "chord in a chain in a group": lambda k: k.group(
            k.add.s(1, 1) | k.group(k.add.s(2), k.add.s(3)) | k.total.s(), k.add.s(3, 3)
        ),
        "map": lambda k: k.add.map([1, 2]),
        "starmap": lambda k: k.add.starmap([(1, 2), (3, 4)]),
        "chunks": lambda k: k.add.chunks([(1, 2), (3, 4), (5, 6)], 2),
        "starmap to a step": lambda k: k.add.starmap([(1, 2), (3, 4)]) | k.total.s(),
        "stamped": _stamped,
    }
)  # fmt: skip


ENDS: Mapping[str, Any] = MappingProxyType(
    {
        "call": 3,
        "partial": 3,
        "linked": 2,
        "chain": 10,
        "immutable step": 10,
        "chain in a chain": 15,
        "linked chain": 7,
        "group": [2, 4],
        "chain in a group": [4, 6],
        "chain to a group": [6, 7],
        "chord": 6,
        "chord of one": 2,
        "chord with nothing": 0,
        "chord and a step": 11,
        "chord to a group": [11, 12],
        "chord to a chord": 23,
        "linked chord": 6,
        "chain in a header": 10,
        "chord in a header": 12,
        "group in a header": 12,
        "chain to a group in a header": 17,
        "chain as a body": 11,
        "group as a body": [6, 6],
        "chord as a body": 12,
        "chain to a chord": 9,
        "chain to a chord and on": 18,
        "chain to two chords": 27,
        "chord in a group": [6, 6],
        "chord in a chain in a group": [9, 6],
        "starmap": [3, 7],
        "chunks": [[3, 7], [11]],
        "starmap to a step": 10,
        "stamped": 6,
    }
)
"""What the workflows end in, where ``total`` adds up a list and the lists in it."""


class Spread:
    """A task whose calls go to ``queues`` by turns."""

    def __init__(self, task: Any, queues: Iterator[str]) -> None:
        self._task, self._queues = task, queues

    def s(self, *args: Any) -> Any:
        return self._task.s(*args).set(queue=next(self._queues))

    def si(self, *args: Any) -> Any:
        return self._task.si(*args).set(queue=next(self._queues))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


def messages(client: Any, queue: str = "celery") -> list[Any]:
    """What is in a queue, oldest first, in a form in which two sides can be compared."""
    names: dict[str, str] = {}
    raw = client.lrange(queue, 0, -1)[::-1]
    return [named(_plain(json.loads(one)), names) for one in raw]


def _plain(envelope: Mapping[str, Any]) -> dict[str, Any]:
    headers, properties = envelope["headers"], envelope["properties"]
    args, kwargs, embed = json.loads(base64.b64decode(envelope["body"]))
    return {
        "headers": {name: headers.get(name) for name in _HEADERS},
        "eta": headers["eta"] is not None,
        "stamped": sorted(headers["stamped_headers"] or ()),
        "priority": properties["priority"],
        "key": properties["delivery_info"]["routing_key"],
        "body": [args, kwargs, embed],
    }


def nothing(*args: Any) -> None:
    """What the tasks do where only their messages matter."""


def celery_messages(url: str) -> dict[str, Any]:
    """The messages of each workflow, as an unmodified client sends them through the Redis at ``url``."""
    app = celery.Celery("client", broker=url, backend=url)
    kit = celery_kit(*(app.task(name=f"proj.{name}")(nothing) for name in ("add", "total")))
    found = {}
    with redis.Redis.from_url(url) as client:
        for form, build in FORMS.items():
            build(kit).apply_async()
            found[form] = messages(client)
            client.delete("celery")
    return found


if __name__ == "__main__":
    # In a process of its own, which ends like this: its results want the server to their own ends.
    sys.stdout.write(json.dumps(celery_messages(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)
