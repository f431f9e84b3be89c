"""Blueprint: finds, orders and makes the steps of one parent object, then gives them a life.

Errors: ConfigError and StepError for steps that cannot be found or ordered; whatever a step raises in
``__init__``, ``include_if`` or ``create``, with a note that names the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

from workerd.bootsteps.life import Life, logger
from workerd.bootsteps.order import Edge, Neighbours, Roster, boot_order, edges_of
from workerd.bootsteps.steps import Step, alias_of
from workerd.bootsteps.stepset import StepRef


class Blueprint(Life):
    """The steps of one parent object, which keeps the included ones in its list ``steps``.

    ``default_steps`` is the literal boot order of the built-in steps; ``steps`` are those added to them.
    ``parent_attribute`` is the name under which each step finds its parent (``worker`` or ``c``).
    ``around(hook)`` is entered around each hook of an added step, from ``start`` on.
    """

    name: str | None = None
    default_steps: Sequence[StepRef] = ()
    parent_attribute: str = "parent"

    def __init__(
        self,
        steps: Iterable[StepRef] | None = None,
        name: str | None = None,
        on_start: Callable[[], Any] | None = None,
        on_close: Callable[[], Any] | None = None,
        on_stopped: Callable[[], Any] | None = None,
        *,
        default_steps: Sequence[StepRef] | None = None,
        parent_attribute: str | None = None,
        around: Callable[[str], AbstractContextManager[Any]] | None = None,
    ) -> None:
        super().__init__(on_start, on_close, on_stopped)
        self.name = name or self.name or f"{type(self).__module__}.{type(self).__name__}"
        self.alias = self.name.rpartition(".")[2]
        self.default_steps = self.default_steps if default_steps is None else default_steps
        self.parent_attribute = parent_attribute or self.parent_attribute
        self._added_around = around
        self.neighbours = Neighbours()
        """Steps of other blueprints that those here may require, or may not; to be set before ``plan``."""
        self.steps: dict[str, Step] = {}
        """Every step by its name, those that were not included too."""
        self.order: tuple[Step, ...] = ()
        """Every step in boot order, those that were not included too."""
        self.included: frozenset[Step] = frozenset()
        """The steps that want to take part."""
        self._added = frozenset(steps or ())
        self._roster: Roster | None = None
        self._edges: list[Edge] = []

    def plan(self) -> list[type[Step]]:
        """Find and order the steps, and make none of them.  Errors: ConfigError, StepError."""
        self._debug("Preparing bootsteps.")
        roster = self._roster = Roster(self.alias, self.default_steps, self._added, self.neighbours)
        self._debug("Building graph...")
        edges = edges_of(roster)
        self._edges += edges
        return list(boot_order(roster, edges))

    def apply(self, parent: Any, **options: Any) -> Self:
        """Make every step, then include those that want to take part.

        ``options`` reach each step's ``__init__`` by the names that it accepts.
        """
        order = self.plan()
        attributes = {"app": getattr(parent, "app", None), self.parent_attribute: parent}
        made: list[Step] = []
        for cls in order:
            with self._blame(alias_of(cls)):
                made.append(cls.build(parent, attributes, options))
        self.order = tuple(made)
        self.steps = {type(step).name: step for step in made}
        self._debug("New boot order: {%s}", ", ".join(step.alias for step in made))
        included = set()
        for step in made:
            with self._blame(step.alias):
                if step.include(parent):
                    included.add(step)
        self.included = frozenset(included)
        return self

    @property
    def built_in(self) -> Sequence[type[Step]]:
        """The steps of ``default_steps``; all others were added."""
        return self._roster.defaults if self._roster is not None else ()

    @property
    def classes(self) -> tuple[type[Step], ...]:
        """Every step of the plan, as a class."""
        return tuple(self._roster or ())

    def __getitem__(self, word: str) -> Step:
        """The step of that name, label or alias.

        Errors: KeyError; ConfigError for a word that two added steps share.
        """
        cls = self._roster.find(word) if self._roster is not None else None
        if cls is None:
            raise KeyError(word)
        return self.steps[cls.name]

    def edges(self) -> tuple[Edge, ...]:
        """(step, step that starts before it) for each pair, those of connected blueprints too."""
        return tuple(self._edges)

    def connect_with(self, other: Blueprint) -> None:
        """Add the other blueprint's edges, and one from its first step to this one's last: for graphs."""
        self._edges += other.edges()
        if self.order and other.order:
            self._edges.append((type(other.order[0]), type(self.order[-1])))

    def info(self, parent: Any) -> dict[str, Any]:
        """The ``info`` of all included steps, merged; one that raises is logged and left out."""
        merged: dict[str, Any] = {}
        for step in parent.steps:
            if step is not None:
                merged.update(self.info_of(step, parent))
        return merged

    def info_of(self, step: Step, parent: Any) -> Mapping[str, Any]:
        """What one step tells of itself; empty, and logged, when it raises."""
        try:
            return step.info(parent) or {}
        except (Exception, SystemExit) as exc:  # noqa: BLE001 (logged, with its traceback)
            logger.error("Error on info of %s: %r", step.alias, exc, exc_info=True)
            return {}

    def _around(self, step: Step, hook: str) -> AbstractContextManager[Any]:
        if self._added_around is None or type(step) in self.built_in:
            return super()._around(step, hook)
        return self._added_around(hook)

    @contextmanager
    def _blame(self, alias: str) -> Iterator[None]:
        try:
            yield
        except BaseException as exc:
            exc.add_note(f"raised while {alias}, a step of the {self.alias} blueprint, was made")
            raise

    def __repr__(self) -> str:
        return f"<Blueprint: {self.alias} ({self.human_state()})>"
