"""One signal: who is called when it is sent, and for whom.

Errors:  ValueError for a receiver that cannot take ``**words``.  What receivers raise is logged and returned
         to the sender; only exceptions that are for the process (SystemExit) go up.
"""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple, TypeVar, overload

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Callable[..., Any])
Held = Callable[[], Callable[..., Any] | None]
Key = tuple[Hashable, int]


TRIES = 3
"""Calls of a receiver that is connected with ``retry``."""


class _Place(NamedTuple):
    """A receiver, for whom it is called, and how often it is tried."""

    sender: Any
    held: Held
    tries: int


class Signal:
    """One event that receivers can connect to; ``name`` is for the log."""

    def __init__(self, name: str, says: tuple[str, ...] = ()) -> None:
        self.name, self.says = name, says
        self.heard = False
        """Somebody is connected, for whatever sender: a sender with much to do before looks here first."""
        self._receivers: dict[Key, _Place] = {}  # in the order of their connection

    @overload
    def connect(self, receiver: R, /) -> R: ...
    @overload
    def connect(
        self,
        receiver: R,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable = None,
        retry: bool = False,
    ) -> R: ...
    @overload
    def connect(
        self, *, sender: Any = None, weak: bool = True, dispatch_uid: Hashable = None, retry: bool = False
    ) -> Callable[[R], R]: ...
    def connect(
        self,
        receiver: Any = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable = None,
        retry: bool = False,
    ) -> Any:
        """Call ``receiver`` from now on, for this ``sender`` only unless that is None.

        Also a decorator, with and without arguments.  What is connected twice, or under the same
        ``dispatch_uid``, is called once.  With ``retry`` a receiver is held in any case and called again when
        it raises, at most ``TRIES`` times and without waiting: a sender must not be held up.
        """
        if receiver is None:
            return lambda function: self.connect(function, sender, weak, dispatch_uid, retry)
        if not callable(receiver) or not _takes_more(receiver):
            raise ValueError(f"{receiver!r} cannot receive {self.name}: it must take **words")
        self._forget_gone()  # or one of them could pass for this receiver, which may have its id by now
        place = _Place(sender, _hold(receiver, weak and not retry), TRIES if retry else 1)
        self._receivers.setdefault(_key(receiver, sender, dispatch_uid), place)
        self.heard = True
        return receiver

    def disconnect(self, receiver: Any = None, sender: Any = None, dispatch_uid: Hashable = None) -> bool:
        """Call it no more; True if it was connected."""
        found = self._receivers.pop(_key(receiver, sender, dispatch_uid), None)
        self.heard = bool(self._receivers)
        return found is not None

    def has_listeners(self, sender: Any = None) -> bool:
        """Somebody would be called."""
        return any(True for _ in self._live(sender))

    def send(self, sender: Any, **words: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call every receiver; return each with what it returned or raised."""
        if not self._receivers:
            return []
        return [
            (receiver, self._call(receiver, tries, sender, words))
            for receiver, tries in list(self._live(sender))
        ]

    def _call(self, receiver: Callable[..., Any], tries: int, sender: Any, words: dict[str, Any]) -> Any:
        for left in range(tries - 1, -1, -1):
            try:
                return receiver(signal=self, sender=sender, **words)
            except Exception as exc:
                again = "; trying again" if left else ""
                logger.exception("Receiver %r of %s raised %r%s", receiver, self.name, exc, again)
                raised = exc
        return raised

    def _live(self, sender: Any) -> Iterator[tuple[Callable[..., Any], int]]:
        self._forget_gone()
        for place in list(self._receivers.values()):
            receiver, wanted = place.held(), place.sender
            if receiver is not None and (wanted is None or wanted is sender or wanted == sender):
                yield receiver, place.tries

    def _forget_gone(self) -> None:
        for key in [key for key, place in self._receivers.items() if place.held() is None]:
            self._receivers.pop(key, None)
            self.heard = bool(self._receivers)

    def __repr__(self) -> str:
        return f"<Signal: {self.name} providing_args={set(self.says)!r}>"


def _key(receiver: Any, sender: Any, dispatch_uid: Hashable) -> Key:
    return (dispatch_uid if dispatch_uid is not None else _identity(receiver), id(sender))


def _identity(receiver: Any) -> Hashable:
    # A bound method is another object each time that it is looked up.
    if inspect.ismethod(receiver):
        return (id(receiver.__self__), id(receiver.__func__))
    return id(receiver)


def _hold(receiver: Callable[..., Any], weak: bool) -> Held:
    if not weak:
        return lambda: receiver
    return weakref.WeakMethod(receiver) if inspect.ismethod(receiver) else weakref.ref(receiver)


def _takes_more(receiver: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return True  # of C, and silent about it
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
