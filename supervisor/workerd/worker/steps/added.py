"""The steps that are added to the daemon's own: by the app, by settings, by installed packages.

Errors: ConfigError for what cannot be found or is no step; AppImportError, with the traceback, for a module
        that raises while it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from workerd.app.loader import imported
from workerd.bootsteps.order import checked
from workerd.bootsteps.stepset import StepSet
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.bootsteps import Step
    from workerd.config import Config

GROUP = "workerd.bootsteps"
"""Entry points of this group are named ``worker.NAME`` or ``consumer.NAME``."""

BLUEPRINTS = ("worker", "consumer")


def added_steps(app: App, config: Config, plugins: Iterable[EntryPoint] | None = None) -> dict[str, StepSet]:
    """All of them, by blueprint; ``plugins`` are those of ``plugins_of(config)``, where they are known."""
    added = {blueprint: StepSet(app.steps[blueprint]) for blueprint in BLUEPRINTS}
    for blueprint in BLUEPRINTS:
        for path in getattr(config.steps, blueprint):
            added[blueprint].add(_step(path, f"setting steps.{blueprint}"))
    for entry in (plugins_of(config) or ()) if plugins is None else plugins:
        blueprint, step = step_of(entry)
        added[blueprint].add(step)
    return added


def plugins_of(config: Config) -> list[EntryPoint] | None:
    """The entry points that count; None where ``steps.plugins`` keeps all of them out."""
    return entries() if config.steps.plugins else None


def entries() -> list[EntryPoint]:
    """Every step that an installed package brings, in the order of the names."""
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


def step_of(entry: EntryPoint) -> tuple[str, type[Step]]:
    """(blueprint, step) of one of them."""
    blueprint, dot, name = entry.name.partition(".")
    if blueprint not in BLUEPRINTS or not (dot and name):
        raise ConfigError(
            f"entry point {entry.name!r} of {_package(entry)} in {GROUP} names no blueprint",
            f"name it {' or '.join(f'{one}.{entry.name}' for one in BLUEPRINTS)}",
        )
    return blueprint, _step(entry.value, f"entry point {entry.name} of {_package(entry)}")


def _step(path: str, where: str) -> type[Step]:
    module, _, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    if not (module and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ConfigError(f"{where} names {path!r}, which is no path to a step", "write module:Class")
    found = getattr(imported(module, f" (from {where})"), attribute, None)
    if found is None:
        raise ConfigError(f"{where} names {path!r}, and {module} has no {attribute!r}", "check the name")
    return checked(found, path, where)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an installed package"
