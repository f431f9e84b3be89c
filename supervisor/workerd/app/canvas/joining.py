"""What ``left | right`` is: the rules by which steps that follow one another become chains and chords.

A group that something follows is a chord, whose body is what follows; what follows a chord follows its body.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workerd.app.canvas.chain import Chain
from workerd.app.canvas.chord import Chord
from workerd.app.canvas.group import Group, is_empty, unrolled
from workerd.app.canvas.signature import Signature


def joined(left: Signature, right: Signature) -> Signature:
    """``left | right``; neither is changed."""
    if isinstance(left, Group):
        return left if is_empty(right) else Chord(left.clone(), right.clone(), app=left.app)
    if isinstance(left, Chain):
        return left if is_empty(right) else _as_one(_appended(left.unchained(), right), left)
    if isinstance(right, Chain):
        return Chain([left.clone(), *right.unchained()], app=left.app)
    right = unrolled(right)
    if isinstance(left, Chord) and not isinstance(right, (Group, Chain)):
        whole = left.clone()
        assert isinstance(whole, Chord)
        whole.body = joined(whole.body, right)
        return whole
    return Chain([left.clone(), right.clone()], app=left.app)


def chained(steps: Iterable[Signature]) -> Signature:
    """``chain(*steps)``: as if they were joined one after the other, in one pass."""
    found: list[Signature] | Signature = []
    first: Signature | None = None
    for step in steps:
        first = first or step
        found = _appended(found, step) if isinstance(found, list) else joined(found, step)
    return _as_one(found, first)


def _as_one(found: list[Signature] | Signature, like: Signature | None) -> Signature:
    if isinstance(found, list):
        return Chain(found, app=like.app if like is not None else None)
    return found


def _appended(steps: list[Signature], right: Signature) -> list[Signature] | Signature:
    """``steps`` with ``right`` at their end; a signature when the whole is no chain any more."""
    right = unrolled(right)
    if is_empty(right):
        return steps
    if isinstance(right, Chain):
        return _all_appended(steps, right.unchained())
    if isinstance(right, Group) and not steps:
        return right.clone()
    last = steps[-1] if steps else None
    if isinstance(last, Chord) and not isinstance(right, Chord):
        last.body = joined(last.body, right)
    elif isinstance(last, Group) and not isinstance(right, Group):
        steps[-1] = Chord(last, right.clone(), app=last.app)
        _two_chords_as_one(steps)
    else:
        steps.append(right.clone())
    return steps


def _all_appended(steps: list[Signature], more: Sequence[Signature]) -> list[Signature] | Signature:
    found: list[Signature] | Signature = steps
    for step in more:
        found = _appended(found, step) if isinstance(found, list) else joined(found, step)
    return found


def _two_chords_as_one(steps: list[Signature]) -> None:
    """A chord that has just been made follows another one's body, if there is another one before it."""
    if len(steps) > 1 and isinstance(before := steps[-2], Chord):
        before.body = joined(before.body, steps.pop())
