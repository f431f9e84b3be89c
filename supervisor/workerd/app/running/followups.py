"""What a run sends when it ends: the callbacks, the errbacks, the next of its chain, the body of its chord.

They are sent before the outcome is told, so that a child that dies in between runs the task again rather
than losing what should follow it.

Errors:  InvalidTaskError for what cannot be sent from here, before the task runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workerd.app.running.request import Request
from workerd.app.running.trace import Run
from workerd.protocol.exceptions import InvalidTaskError
from workerd.protocol.states import FAILURE, REJECTED, REVOKED, SUCCESS

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.canvas.signature import Signature


def check_followups(app: App, request: Request) -> None:
    """Refuse a call whose follow-ups cannot be sent: better no run than a lost follow-up."""
    if request.chord is None and not (request.callbacks or request.errbacks or request.chain):
        return
    for kind in ("callbacks", "errbacks", "chain"):
        for item in getattr(request, kind) or ():
            _check(kind, item)
    if request.chord is not None:
        _check("chord", request.chord)
        if not app.backend.shared:
            raise InvalidTaskError("this call is part of a chord, whose parts a result backend must count")


def send_followups(app: App, request: Request, run: Run, meta: bytes) -> None:
    """Send what follows ``run``; called while ``request`` is still the call in progress.

    ``meta`` is the encoded result, empty if none is kept.
    """
    if not (request.callbacks or request.chain or request.errbacks or request.chord):
        return
    with app.frames.follow():
        if run.state == SUCCESS:
            _succeeded(app, request, run)
        if request.chord is not None and run.state in (SUCCESS, FAILURE, REVOKED, REJECTED):
            # Only calls in chords pay for these.
            from workerd.app.canvas.parts import part_ended  # noqa: PLC0415

            part_ended(app, request, run, meta)
        if run.state in (FAILURE, REJECTED):
            from workerd.app.canvas.failing import call_failed  # noqa: PLC0415

            call_failed(app, request, run)


def _succeeded(app: App, request: Request, run: Run) -> None:
    callbacks = [_signature(app, item) for item in request.callbacks or ()]
    for callback in _side_by_side(callbacks):
        _send(request, callback, (run.value,))
    if request.chain:
        following = _signature(app, request.chain[-1])
        _send(request, following, (run.value,), chain=request.chain[:-1])


def _side_by_side(callbacks: list[Signature]) -> list[Signature]:
    """Several single calls are sent as a group, as Celery's workers send them."""
    single = [callback for callback in callbacks if callback.kind != "group"]
    if len(callbacks) < 2 or not single:
        return callbacks
    from workerd.app.canvas.group import Group  # noqa: PLC0415 (as above)

    return [*(callback for callback in callbacks if callback.kind == "group"), Group(single)]


def _send(request: Request, signature: Signature, args: tuple[Any, ...], **options: Any) -> None:
    signature.apply_async(args, parent_id=request.id, root_id=request.root_id, **options)


def _signature(app: App, item: Mapping[str, Any]) -> Signature:
    from workerd.app.canvas.signature import Signature  # noqa: PLC0415 (as above)

    return Signature.of(item, app)


def _check(kind: str, item: Any) -> None:
    if not isinstance(item, Mapping) or not isinstance(item.get("task"), str):
        raise InvalidTaskError(f"{kind} holds something that is no signature")
    if item.get("subtask_type") is not None:
        from workerd.app.canvas.kinds import restored  # noqa: PLC0415 (as above)

        try:
            restored(item)
        except (KeyError, TypeError, ValueError) as exc:
            raise InvalidTaskError(
                f"{kind} holds a {item['subtask_type']} that cannot be read: {exc}"
            ) from exc
