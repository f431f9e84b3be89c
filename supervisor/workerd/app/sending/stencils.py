"""Calls like earlier ones: what a task's messages share is made once, and only what differs is written.

A call is like another when its task and its options are the same, but for those that say its place: ids,
group, countdown, reply address.  These take the long way each time: options that are no texts, numbers or
marks, expiries, workflows, compression, messages that a receiver of ``before_task_publish`` may change, and
those whose way is asked of code.

Errors:  those of the long way for what cannot be sent; an option is checked when it is first seen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workerd.app.sending.call import CallOptions, call_arguments, checked
from workerd.app.sending.drafting import countdown_zone, draft_of, reply_queue
from workerd.app.sending.outlet.base import Posting
from workerd.app.sending.signals import wanted
from workerd.protocol.brief import brief
from workerd.protocol.moment import written
from workerd.protocol.outgoing import NO_EMBED, new_id, reply_address
from workerd.protocol.serial import dump_call
from workerd.protocol.stencil import PLACES, Filled, Filling, Stencil
from workerd.signals import before_task_publish

if TYPE_CHECKING:
    from workerd.app.base import App

_OWN = frozenset(
    {"task_id", "countdown", "group_id", "group_index", "root_id", "parent_id", "reply_to", "add_to_parent"}
)
"""Options in which calls of one kind may differ."""

_LONG = frozenset({"eta", "expires", "compression", "correlation_id", "link", "link_error", "chain", "chord"})
"""Options that make another message of each call, or a long one."""

_UNSET = tuple((_OWN | _LONG) - {"add_to_parent"})

_SIMPLE = frozenset({str, int, float, bool, type(None)})
"""Types of options that nobody can change in place."""

_MOST = 512
"""Kinds that are remembered; an app whose calls are of more makes them anew now and then."""


class Kind(NamedTuple):
    """What calls of one kind share."""

    stencil: Stencil
    posting: Posting
    serializer: str
    coding: tuple[str, str]
    levels: int


class _Memory:
    """What is known for as long as settings and process stay the same."""

    def __init__(self, version: int) -> None:
        self.version, self.process = version, os.getpid()
        self.seen: set[Any] = set()
        self.kinds: dict[Any, Kind | None] = {}  # None: such a call goes the long way


class Stencils:
    """The kinds of calls that one app has made."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._memory = _Memory(-1)

    def __len__(self) -> int:
        """How many kinds have been seen lately."""
        return len(self._memory.seen)

    def find(self, name: str, options: Mapping[str, Any]) -> Kind | None:
        """The kind of this call, if there were others of it; None sends it the long way."""
        if before_task_publish.heard or not _LONG.isdisjoint(options):
            return None
        types = tuple(map(type, options.values()))
        if not _SIMPLE.issuperset(types):
            return None
        # Python takes 1, 1.0 and True for the same; in a message they are not.
        key: Any = (name, *options.items(), *types)
        if not _OWN.isdisjoint(options):
            for option in _OWN.intersection(options):
                checked(option, options[option])
            key = (name, *((o, value, type(value)) for o, value in options.items() if o not in _OWN))
        app, memory = self._app, self._memory
        if memory.version != app.conf.version or memory.process != os.getpid():
            memory = self._memory = _Memory(app.conf.version)
        if (kind := memory.kinds.get(key)) is None:
            if key in memory.kinds or not self._again(memory, key):
                return None
            kind = memory.kinds[key] = self._learned(name, options)
        inherits = app.conf.task_inherit_parent_priority and app.frames.sender is not None
        return None if inherits else kind

    def filled(
        self,
        kind: Kind,
        task_id: str,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        number: int = 0,
    ) -> Posting | None:
        """One call of a kind, as it leaves; None when it must go the long way after all."""
        app, given = self._app, options.get
        if type(args) is not tuple or type(kwargs) is not dict:
            args, kwargs = call_arguments(args, kwargs)
        content_type, encoding, body = dump_call(args, kwargs, kind.serializer)
        if (content_type, encoding) != kind.coding:
            return None
        root, parent, countdown = given("root_id"), given("parent_id"), given("countdown")
        exists = None
        if (sender := app.frames.sender) is not None:
            root, parent, exists = root or sender.root_id or sender.id, parent or sender.id, app.own_queue()
        filling = Filling(
            task_id,
            written(countdown, time.time(), countdown_zone(app.conf)) if countdown else None,
            given("group_id"),
            given("group_index"),
            root or task_id,
            parent,
            brief(args, levels=kind.levels),
            brief(kwargs, levels=kind.levels),
            given("reply_to") or reply_queue(app) or reply_address(),
            body,
        )
        _, queue, declare, retry, policy, _, _ = kind.posting
        if queue is not None and queue == exists:
            declare = None
        told = (args, dict(kwargs), dict(NO_EMBED)) if wanted() else None
        return Posting(Filled(kind.stencil, filling), queue, declare, retry, policy, number, told)

    def _again(self, memory: _Memory, key: Any) -> bool:
        """Whether this kind of call was there before; what is sent once is not worth a stencil."""
        if key in memory.seen:
            return True
        if len(memory.seen) >= _MOST:
            memory.seen.clear()
            memory.kinds.clear()
        memory.seen.add(key)
        return False

    def _learned(self, name: str, options: Mapping[str, Any]) -> Kind | None:
        """The kind of this call, cut from one that is made the long way."""
        app = self._app
        call = CallOptions.of({option: value for option, value in options.items() if option not in _OWN})
        if not app.router.is_fixed:
            return None
        app.router.give(call, name, (), {}, app.tasks.get(name))
        if any(getattr(call, option) is not None for option in _UNSET):
            return None  # a route has set what the call itself has not
        call.task_id = new_id()
        posting = app.publisher.posting(draft_of(app, name, (), {}, call), call, None)
        parcel = posting.parcel
        if not parcel.plain or "compression" in parcel.headers:
            return None
        stencil = Stencil(parcel, [new_id() for _ in range(PLACES)])
        serializer = call.serializer or app.conf.task_serializer
        coding = (parcel.content_type, parcel.content_encoding)
        return Kind(stencil, posting, serializer, coding, app.conf.task_repr_maxlevels)
