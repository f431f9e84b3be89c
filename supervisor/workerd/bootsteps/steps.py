"""The step classes that extension authors derive from.

A step is made once, before anything starts: ``__init__``, then ``include_if``, then ``create``.
``start`` and ``stop`` may come again (the Consumer blueprint restarts with its connection), so a step
keeps what it started on itself and gives it up in ``stop``; a ``stop`` may also come without a ``start``.

Errors: whatever ``__init__``, ``include_if``, ``create`` or ``start`` raises goes up as it is; what
``stop``, ``close``, ``terminate`` or ``shutdown`` raises is logged and holds up nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Self

HOOKS = ("start", "stop", "close", "drain", "terminate", "shutdown", "register_with_event_loop")


class StepType(type):
    """Gives each step class its own name, and a repr that shows what it requires."""

    name: str
    requires: Iterable[Any]

    def __new__(mcs, clsname: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> StepType:
        module = namespace.get("__module__")
        # A subclass that does not repeat `name` is another step, so it never inherits the name.
        namespace["name"] = namespace.get("name") or (f"{module}.{clsname}" if module else clsname)
        return super().__new__(mcs, clsname, bases, namespace)

    def __str__(cls) -> str:
        return cls.name

    def __repr__(cls) -> str:
        return f"step:{cls.name}{{{cls.requires!r}}}"


class Step(metaclass=StepType):
    """A part of a blueprint.

    It is made once, before anything starts: ``__init__``, then ``include_if``, then ``create``.
    A plain step takes part in the life cycle with those of ``start``, ``stop``, ``close``,
    ``drain``, ``terminate``, ``shutdown`` and ``register_with_event_loop`` that it defines.
    """

    name: ClassVar[str]
    """The step's identity in its blueprint; ``module.Class`` unless the class body gives another."""
    label: ClassVar[str | None] = None
    """Short name, for logs and for ``requires``."""
    requires: ClassVar[Iterable[Any]] = ()
    """Steps that start before this one: classes, labels, ``module:attr`` or ``module.attr`` strings."""
    last: ClassVar[bool] = False
    """True for the one step of a blueprint that starts after all others."""
    conditional: ClassVar[bool] = False
    """True when a graph should show this step as one that may be absent."""
    enabled: bool = True
    """What ``include_if`` answers unless it is overridden."""

    app: Any
    """The App, set before ``__init__`` runs.  So is ``worker`` (Worker steps) or ``c`` (Consumer steps)."""

    def __init__(self, parent: Any, **options: Any) -> None:
        """``options`` are those of the command line that were given; take the ones needed by name."""

    @classmethod
    def build(cls, parent: Any, attributes: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """Make the step as its blueprint does: ``attributes`` first, then ``__init__`` with the
        ``options`` that it names (all of them if it takes ``**kwargs``); those that are None stay out."""
        step = cls.__new__(cls)
        for name, value in attributes.items():
            setattr(step, name, value)
        step.__init__(parent, **_accepted(step.__init__, options))  # type: ignore[misc]
        return step

    def include_if(self, parent: Any) -> bool:
        """Whether this step takes part; asked after every step's ``__init__`` has run."""
        return self.enabled

    def include(self, parent: Any) -> bool:
        """Ask ``include_if``; if so, ``create`` and join ``parent.steps``."""
        if not self.include_if(parent):
            return False
        self.create(parent)
        if self._takes_part():
            parent.steps.append(self)
        return True

    def create(self, parent: Any) -> Any:
        """Make what this step manages.  Called only for included steps."""

    def instantiate(self, name: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the class that ``name`` is, or names as ``module:attr`` or ``module.attr``."""
        return (import_attr(name) if isinstance(name, str) else name)(*args, **kwargs)

    def info(self, parent: Any) -> Mapping[str, Any] | None:
        """Plain values for ``status`` and ``inspect stats``."""

    @property
    def alias(self) -> str:
        """The label, or else the last part of the name."""
        return alias_of(type(self))

    def _takes_part(self) -> bool:
        overrides_info = type(self).info is not Step.info
        return overrides_info or any(callable(getattr(self, hook, None)) for hook in HOOKS)

    def __repr__(self) -> str:
        return f"<step: {self.alias}>"


class StartStopStep(Step):
    """A step that manages an object with ``start()`` and ``stop()``, or overrides these itself."""

    obj: Any = None
    """What ``create`` returned."""

    def include(self, parent: Any) -> bool:
        """As ``Step.include``; keeps what ``create`` returned as ``obj``."""
        if not self.include_if(parent):
            return False
        self.obj = self.create(parent)
        parent.steps.append(self)
        return True

    def start(self, parent: Any) -> Any:
        """Start ``obj``."""
        return self._delegate("start")

    def stop(self, parent: Any) -> Any:
        """Stop ``obj``."""
        return self._delegate("stop")

    def close(self, parent: Any) -> Any:
        """A stop has begun: take nothing new."""

    def terminate(self, parent: Any) -> Any:
        """Stop at once: ``obj.terminate()`` where it exists, otherwise as ``stop``."""
        if self.obj is not self and hasattr(self.obj, "terminate"):
            return self._delegate("terminate")
        return self.stop(parent)

    def _delegate(self, method: str) -> Any:
        # A step whose create() returns the step itself overrides the methods that it means.
        return getattr(self.obj, method)() if self.obj and self.obj is not self else None


def alias_of(cls: type[Step]) -> str:
    """The label of a step class, or else the last part of its name."""
    return cls.label or cls.name.rpartition(".")[2]


def import_attr(path: str) -> Any:
    """The object at ``module:attr`` or ``module.attr``.

    Errors: ImportError, also when the module has no such attribute.
    """
    module_name, _, attr = path.rpartition(":" if ":" in path else ".")
    module = import_module(module_name)
    try:
        return getattr(module, attr)
    except AttributeError:
        raise ImportError(f"module {module_name!r} has no {attr!r}", name=module_name) from None


def _accepted(init: Callable[..., None], options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = list(inspect.signature(init).parameters.values())
    parent, others = parameters[:1], parameters[1:]
    taken = {p.name for p in parent}
    given = {name: value for name, value in options.items() if value is not None and name not in taken}
    if any(p.kind is p.VAR_KEYWORD for p in others):
        return given
    names = {p.name for p in others if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return {name: value for name, value in given.items() if name in names}
