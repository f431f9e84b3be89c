"""The type of ``app.steps["worker"]``: a set of step classes that reads well in a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from workerd.bootsteps.steps import Step

StepRef: TypeAlias = "type[Step] | str"
"""A step class, or a string that names one: a label, ``module:attr`` or ``module.attr``."""


class StepSet(set[StepRef]):
    """A set of step classes (or import strings); its repr is sorted by name."""

    def __repr__(self) -> str:
        inner = ", ".join(ref if isinstance(ref, str) else repr(ref) for ref in sorted(self, key=str))
        return f"{{{inner}}}"
