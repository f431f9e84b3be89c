"""Signals of the app: functions that are called when something happens, under Celery's names.

::

    from workerd.signals import worker_process_init

    @worker_process_init.connect
    def connect_to_database(**words): ...

A receiver gets ``signal``, ``sender`` and what the signal says of itself, by name, and must take ``**words``
for what later versions add.  It is held weakly unless ``weak=False``: a function that nobody else holds is
gone.

Errors:  ValueError for a receiver that cannot take ``**words``.  What receivers raise is logged and returned
         to the sender; only exceptions that are for the process (SystemExit) go up.
"""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar, overload

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Callable[..., Any])
Held = Callable[[], Callable[..., Any] | None]
Key = tuple[Hashable, int]


class Signal:
    """One event that receivers can connect to; ``name`` is for the log."""

    def __init__(self, name: str, says: tuple[str, ...] = ()) -> None:
        self.name, self.says = name, says
        self._receivers: dict[Key, tuple[Any, Held]] = {}  # in the order of their connection

    @overload
    def connect(self, receiver: R, /) -> R: ...
    @overload
    def connect(
        self,
        receiver: R,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable = None,
    ) -> R: ...
    @overload
    def connect(
        self, *, sender: Any = None, weak: bool = True, dispatch_uid: Hashable = None
    ) -> Callable[[R], R]: ...
    def connect(
        self, receiver: Any = None, sender: Any = None, weak: bool = True, dispatch_uid: Hashable = None
    ) -> Any:
        """Call ``receiver`` from now on, for this ``sender`` only unless that is None.

        Also a decorator, with and without arguments.  What is connected twice, or under the same
        ``dispatch_uid``, is called once.
        """
        if receiver is None:
            return lambda function: self.connect(function, sender, weak, dispatch_uid)
        if not callable(receiver) or not _takes_more(receiver):
            raise ValueError(f"{receiver!r} cannot receive {self.name}: it must take **words")
        self._receivers.setdefault(_key(receiver, sender, dispatch_uid), (sender, _hold(receiver, weak)))
        return receiver

    def disconnect(self, receiver: Any = None, sender: Any = None, dispatch_uid: Hashable = None) -> bool:
        """Call it no more; True if it was connected."""
        return self._receivers.pop(_key(receiver, sender, dispatch_uid), None) is not None

    def has_listeners(self, sender: Any = None) -> bool:
        """Somebody would be called."""
        return any(True for _ in self._live(sender))

    def send(self, sender: Any, **words: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call every receiver; return each with what it returned or raised."""
        return [(receiver, self._call(receiver, sender, words)) for receiver in list(self._live(sender))]

    def _call(self, receiver: Callable[..., Any], sender: Any, words: dict[str, Any]) -> Any:
        try:
            return receiver(signal=self, sender=sender, **words)
        except Exception as exc:
            logger.exception("Receiver %r of %s raised %r", receiver, self.name, exc)
            return exc

    def _live(self, sender: Any) -> Iterator[Callable[..., Any]]:
        for key, (wanted, held) in list(self._receivers.items()):
            receiver = held()
            if receiver is None:
                self._receivers.pop(key, None)
            elif wanted is None or wanted is sender or wanted == sender:
                yield receiver

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


# One of each for the process, as the import paths of Celery's guide have it: an app connects to them while it
# is imported, in the process that imports it.
worker_process_init = Signal("worker_process_init")
"""In a new child, before its first task.  A child in which a receiver raises does not start."""
worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))
"""In a child that leaves, after its last task."""

__all__ = ["Signal", "worker_process_init", "worker_process_shutdown"]
