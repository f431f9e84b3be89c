"""Steps that the app does not bring, as they lie on the disk: a reload says which of them have changed.

The app's own are compared by the new template, which imports them anew (``app.marks``).  Those of settings
and of installed packages are imported by the supervisor alone, at its start: here their code is read again,
and not run.  As there only a step's own class counts, and for an installed one the version of its package.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

from workerd.app.marks import changed
from workerd.bootsteps.stepset import StepSet
from workerd.worker.steps.added import entries

Steps = Mapping[str, StepSet]


class StepsOnDisk:
    """``added`` without those ``of_app``, and the ``plugins`` that are installed; None where none count."""

    def __init__(self, added: Steps, of_app: Steps, plugins: Iterable[EntryPoint] | None) -> None:
        self._steps = {
            f"{blueprint} step {step}": step
            for blueprint, steps in added.items()
            for step in steps - of_app[blueprint]
            if isinstance(step, type)
        }
        self._plugins = plugins is not None
        self._before = dict(self._marks(plugins or ()))

    def changed(self) -> list[str]:
        """The names of those that are not as they were at the start, or new, or gone."""
        return changed(self._before, dict(self._marks(entries() if self._plugins else ())))

    def _marks(self, plugins: Iterable[EntryPoint]) -> Iterator[tuple[str, str]]:
        for name, step in self._steps.items():
            yield name, _source(step)
        for entry in plugins:
            version = entry.dist.version if entry.dist is not None else ""
            yield f"installed step {entry.name}", f"{entry.value} {version}"


def _source(step: type) -> str:
    """The text of a class as its file has it now; empty where it cannot be found."""
    file = getattr(sys.modules.get(step.__module__), "__file__", None)
    try:
        text = Path(file or "").read_text()
        found: ast.AST | None = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return ""
    for name in step.__qualname__.split("."):
        inside = ast.iter_child_nodes(found) if found is not None else ()
        found = next((n for n in inside if isinstance(n, ast.ClassDef) and n.name == name), None)
    return ast.get_source_segment(text, found) or "" if found is not None else ""
