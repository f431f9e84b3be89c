"""The steps of a chain, made ready to be sent: each with its id, the last one first, as the wire wants it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.app.canvas.signature import Signature

if TYPE_CHECKING:
    from workerd.app.canvas.chain import Chain


class Place(msgspec.Struct, frozen=True):
    """Where a workflow stands in a larger one: what its last call is given."""

    task_id: str | None = None
    group_id: str | None = None
    group_index: int | None = None
    chord: Any = None
    root_id: str | None = None
    parent_id: str | None = None


def prepared(
    chain: Chain,
    args: Sequence[Any],
    place: Place,
    kwargs: Mapping[str, Any] | None = None,
    *,
    link_error: Sequence[Any] = (),
    clone: bool,
) -> tuple[list[Signature], list[Any]]:
    """(steps, results) of ``chain``, both with the last first; ``args`` are the first step's.

    With ``clone`` the steps are copies to be sent; else the chain's own are frozen in place.
    """
    steps = _upgraded(list(_flat(chain.tasks, clone)), place.root_id)
    if clone:
        steps = [step.clone(args, kwargs) if not n else step.clone() for n, step in enumerate(steps)]
    ready: list[Signature] = []
    results: list[Any] = []
    for step in reversed(steps):
        if step.app is None:
            step.app = chain.app
        if ready:
            result = step.freeze(root_id=place.root_id)
            _follow(results[-1], result)
        else:
            result = step.freeze(
                place.task_id,
                root_id=place.root_id,
                group_id=place.group_id,
                chord=place.chord,
                group_index=place.group_index,
            )
        for errback in link_error:
            step.link_error(errback)
        ready.append(step)
        results.append(result)
    chain.options["task_id"] = results[0].id if results else place.task_id
    if clone:
        for step in ready:
            without_body(step)
    else:
        chain.tasks = ready[::-1]
    return ready, results


def _flat(tasks: Sequence[Signature], clone: bool) -> Iterator[Signature]:
    """The steps without chains in chains, groups of one, and groups of none beside others."""
    # These kinds know this module.
    from workerd.app.canvas.chain import Chain  # noqa: PLC0415
    from workerd.app.canvas.chord import Chord  # noqa: PLC0415
    from workerd.app.canvas.group import is_empty, unrolled  # noqa: PLC0415

    found = [unrolled(task) for task in tasks]
    some = [step for step in found if not is_empty(step)]
    for step in some or found[:1]:
        if isinstance(step, Chain):
            yield from _flat(step.unchained() if clone else step.tasks, clone)
        elif clone and isinstance(step, Chord):
            yield from _flat_chord(step)
        else:
            yield step


def _flat_chord(chord: Any) -> Iterator[Signature]:
    """A chord, and what follows the first step of its body: else each of its header would carry all of it."""
    if not chord.has_long_body:
        yield chord
        return
    whole = chord.clone()
    first, *rest = whole.body.unchained()
    kept = {name: value for name, value in whole.body.options.items() if name not in _OF_CHAINS}
    whole.body = first.clone(**kept)
    yield from _flat([whole, *rest], clone=True) if whole.has_long_body else [whole]
    if not whole.has_long_body:
        yield from _flat(rest, clone=True)


_OF_CHAINS = frozenset(
    {"chord", "group_id", "group_index", "link", "link_error", "parent_id", "root_id", "task_id"}
)


def _upgraded(steps: list[Signature], root_id: str | None) -> list[Signature]:
    """A group that is not the last is the header of a chord, whose body is what follows."""
    from workerd.app.canvas.chord import Chord  # noqa: PLC0415
    from workerd.app.canvas.group import Group  # noqa: PLC0415

    found: list[Signature] = []
    for step in reversed(steps):
        heads = isinstance(step, Group) and found
        found.append(Chord(step, found.pop(), options={"root_id": root_id}, app=step.app) if heads else step)
    return found[::-1]


def _follow(later: Any, earlier: Any) -> None:
    """The first of those that ``later`` comes from comes from ``earlier``."""
    while later.parent is not None:
        later = later.parent
    later.parent = earlier


def shortened(tasks: Sequence[Signature]) -> list[Signature]:
    """The steps of a chain whose chords carry no more of what follows them than its first step."""
    found: list[Signature] = []
    for task in tasks:
        if task.kind == "chain":
            task.kwargs["tasks"] = shortened(task.kwargs["tasks"])
        found += _flat_chord(task) if task.kind == "chord" else [task]
    return found


def without_body(step: Any) -> None:
    """Take the body, which a chord carries itself, out of the calls of its header until that is sent."""
    if step.kind == "chord":
        step.header_group().options.pop("chord", None)
        for task in step.header:
            _forget_chord(task)
            without_body(task)
        without_body(step.body)
    elif step.kind in ("chain", "group"):
        for task in step.tasks:
            without_body(task)


def _forget_chord(task: Any) -> None:
    task.options.pop("chord", None)
    if task.kind == "group":
        for member in task.tasks:
            _forget_chord(member)
    elif task.kind == "chain" and task.tasks:
        _forget_chord(task.tasks[-1])
    elif task.kind == "chord":
        _forget_chord(task.body)
