"""The end of one call of a chord's header: count it, and send the body when it was the last.

The child does both before it tells of its run.  If it dies before the count, the message is run again and
counted then; after the count, the run that follows counts nothing twice; with the claim on the body in its
hands, that run waits until the claim has expired and takes it.  So the body is sent at least once.

Errors:  UnavailableError when backend or broker cannot be reached: the run has to be told again, later.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.failing import fail_chord
from workerd.app.canvas.signature import Signature, maybe_signature
from workerd.app.results.group import GroupResult
from workerd.backends.chords import Chords, Count, Part
from workerd.errors import UnavailableError
from workerd.protocol.exceptions import ChordError
from workerd.protocol.failure import decode_exception, encode_exception, safe_repr
from workerd.protocol.outgoing import new_id
from workerd.protocol.states import EXCEPTION_STATES, FAILURE, PROPAGATE_STATES, REJECTED

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.running.request import Request
    from workerd.app.running.trace import Run

logger = logging.getLogger("workerd.task")

PATIENCE = 90.0
"""How long a run that finds another's claim waits for the body to be sent: longer than claims last."""
LOOKS = 0.25
SENDING = 70.0
"""How long the claim is held while the body is sent, which is tried for about a minute."""


def part_ended(app: App, request: Request, run: Run, meta: bytes) -> None:
    """Count the end of ``request``; ``meta`` is its encoded result, empty if none is kept."""
    backend, state = app.backend, FAILURE if run.state == REJECTED else run.state
    body = _body_of(app, request)
    if body is None:
        return
    if meta and backend.shared:
        # The body may look at it before the supervisor has stored it.
        backend.store(request.id or "", state, meta)
    chords = backend.chords
    if chords is None or not request.group or not request.id:
        return
    value = run.value
    if state in EXCEPTION_STATES:
        value = encode_exception(value, app.backend_options().coding.encodable)
    elif hasattr(value, "as_tuple"):
        value = value.as_tuple()
    part = Part(
        group_id=request.group, task_id=request.id, index=request.group_index, state=state, result=value
    )
    claim = new_id().replace("-", "")
    if _is_ours(chords, part, claim):
        _finish(app, chords, request, body, claim)


def _body_of(app: App, request: Request) -> Signature | None:
    try:
        return maybe_signature(request.chord, app)
    except (KeyError, TypeError, ValueError) as exc:
        logger.error("task %s[%s]: its chord is left out: %s", request.task, request.id, exc)
        return None


def _is_ours(chords: Chords, part: Part, claim: str) -> bool:
    """Count ``part``; True when it is for us to send the body."""
    until = time.monotonic() + PATIENCE
    while (count := chords.count(part, claim)) is Count.ANOTHERS:
        # Only a call that is run again comes here: its first run, or its twin, is about to send the body.
        if time.monotonic() > until:
            logger.warning(
                "chord %s: another process has claimed its body, and does not send it", part.group_id
            )
            return False
        time.sleep(LOOKS)
    return count is Count.OURS


def _finish(app: App, chords: Chords, request: Request, body: Signature, claim: str) -> None:
    """Every part is there: send the body, or fail it."""
    group_id = request.group or ""
    try:
        values = _values(app, chords, group_id)
        if not chords.hold(group_id, claim, SENDING):
            logger.warning("chord %s: its body is left to another process, which has the claim now", group_id)
            return
        body.apply_async((values,))
    except UnavailableError:
        chords.release(group_id, claim)
        raise
    except ChordError as exc:
        _fail(app, chords, request, exc)
    except Exception as exc:
        logger.exception("chord %s: its body cannot be sent", group_id)
        error = ChordError(f"Callback error: {safe_repr(exc)}")
        error.__cause__ = exc
        _fail(app, chords, request, error)
    else:
        chords.close(group_id, claim)


def _fail(app: App, chords: Chords, request: Request, error: ChordError) -> None:
    logger.error("chord %s: %s", request.group, error)
    fail_chord(app, request.chord, error, request.id)
    chords.failed(request.group or "")


def _values(app: App, chords: Chords, group_id: str) -> list[Any]:
    """What the body takes; ChordError when a part has failed."""
    saved = GroupResult.restore(group_id, app)
    if saved is None:
        return [_value(*part) for part in chords.parts(group_id)]
    return joined_values(app, saved)


def joined_values(app: App, header: GroupResult) -> list[Any]:
    """The results of a header from where they are stored; ChordError when one is a failure."""
    try:
        return header.join(app.conf.result_chord_join_timeout, disable_sync_subtasks=False)
    except UnavailableError:
        raise
    except Exception as exc:
        culprit = next((one.id for one in header if not isinstance(one, GroupResult) and one.failed()), None)
        said = safe_repr(exc)
        error = ChordError(f"Dependency {culprit} raised {said}" if culprit else f"Join error: {said}")
        error.__cause__ = exc
        raise error from exc


def _value(task_id: str, state: str, result: Any) -> Any:
    if state not in EXCEPTION_STATES:
        return result
    exc = decode_exception(result)
    if state not in PROPAGATE_STATES:
        return exc
    error = ChordError(f"Dependency {task_id} raised {safe_repr(exc)}")
    error.__cause__ = exc
    raise error
