"""Health: the restart budgets of a pool's children and templates, and what they mean to its host."""

from __future__ import annotations

from collections.abc import Callable

from workerd_pool.budget import RestartBudget

LEAST_BUDGET = 5  # deaths within a window that are replaced at once, in the smallest pool


class Health:
    """``degraded`` is the reason why starts are slowed down, as it was last told; None for health."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[str | None], None]) -> None:
        self._clock, self._changed = clock, changed
        self.children = RestartBudget(LEAST_BUDGET)
        self.templates = RestartBudget(LEAST_BUDGET)
        self.degraded: str | None = None

    def renew(self) -> None:
        """New code is a new chance."""
        self.children = RestartBudget(self.children.limit)
        self.templates = RestartBudget(LEAST_BUDGET)

    def resize(self, wanted: int) -> None:
        """Two deaths a slot may be replaced at once."""
        self.children.limit = max(LEAST_BUDGET, 2 * wanted)

    def child_died(self, cause: str, *, ready: bool) -> None:
        """A death that nobody wished for."""
        self.children.died(self._clock(), cause, ready=ready)

    def template_died(self, cause: str, *, ready: bool) -> None:
        """As ``child_died``, of a template."""
        self.templates.died(self._clock(), cause, ready=ready)

    def next_change(self, since: float) -> float:
        """When after ``since`` a budget may allow more, monotonic; inf for never."""
        return min(self.children.next_change(since), self.templates.next_change(since))

    def whole(self) -> None:
        """Nothing is missing: a start that failed has been made good, or is not wanted any more."""
        self.children.came_up()
        self.templates.came_up()

    def tell(self, *, closing: bool) -> None:
        """Tell the reason if it is another one than last time; a pool that closes wants no starts."""
        reason = None if closing else self.templates.reason or self.children.reason
        if reason != self.degraded:
            self.degraded = reason
            self._changed(reason)
