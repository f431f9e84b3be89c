"""Steps that write down what happens to them, and a parent for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from workerd.bootsteps import Blueprint, StartStopStep, Step


class Parent:
    """A parent object with the list that blueprints walk over, and a journal."""

    def __init__(self) -> None:
        self.app = "the app"
        self.steps: list[Any] = []
        self.journal: list[str] = []
        self.blueprint: Any = None


class Recorder(StartStopStep):
    """Journals every hook; ``reactions`` run inside a hook, keyed by its name."""

    reactions: ClassVar[Mapping[str, Callable[[Any], Any]]] = MappingProxyType({})

    def note(self, hook: str, parent: Any) -> None:
        parent.journal.append(f"{hook} {self.alias}")
        if hook in self.reactions:
            self.reactions[hook](parent)

    def start(self, parent: Any) -> None:
        self.note("start", parent)

    def stop(self, parent: Any) -> None:
        self.note("stop", parent)

    def close(self, parent: Any) -> None:
        self.note("close", parent)

    def terminate(self, parent: Any) -> None:
        self.note("terminate", parent)

    def shutdown(self, parent: Any) -> None:
        self.note("shutdown", parent)


def recorder(called: str, /, **attributes: Any) -> type[Recorder]:
    """A new Recorder class of that label."""
    return type(Recorder)(called, (Recorder,), {"__module__": "fakes", "label": called, **attributes})


def plain(called: str, /, **attributes: Any) -> type[Step]:
    """A new plain Step class of that label."""
    return type(Step)(called, (Step,), {"__module__": "fakes", "label": called, **attributes})


def made(*classes: Any, parent: Parent, **settings: Any) -> Blueprint:
    """A blueprint of these classes, in this order, applied to the parent."""
    parent.blueprint = Blueprint(name="proj.Worker", default_steps=classes, **settings).apply(parent)
    return parent.blueprint


def raiser(exc: BaseException) -> Callable[[Any], None]:
    """A reaction that raises."""

    def react(parent: Any) -> None:
        raise exc

    return react


def asks(name: str) -> Callable[[Any], None]:
    """A reaction that makes a request of the blueprint that is walking."""

    def react(parent: Any) -> None:
        getattr(parent.blueprint, name)(parent)

    return react


def abc(parent: Parent, **reactions: dict[str, Callable[[Any], Any]]) -> Blueprint:
    """A blueprint of A, B and C; ``b={"start": f}`` makes B react."""
    labels = "ABC"
    return made(
        *(recorder(label, reactions=reactions.get(label.lower(), {})) for label in labels), parent=parent
    )
