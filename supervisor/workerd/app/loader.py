"""Find an App by the words of a command line.

``proj:app`` names an attribute; ``proj`` or ``pkg.mod`` a module with one App in it, of which the one
called ``app`` is preferred.  The current directory is importable, as with ``python -m``.

Errors:  ConfigError when the module or an App is missing or there are several; AppImportError, with the
         app's own traceback, when importing it raises.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from workerd import signals
from workerd.app.base import App
from workerd.app.receivers import set_up_by
from workerd.errors import AppImportError, ConfigError
from workerd_pool.bytecode import forget_fresh


def find_app(where: str, directory: str = "") -> App:
    """Import and return the App that ``where`` names, seen from ``directory`` (empty: the current one)."""
    module_name, _, attribute = where.partition(":")
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"{where!r} names no app", "write module:attribute, for example -A proj:app")
    cwd = directory or str(Path.cwd())
    if cwd not in sys.path and "" not in sys.path:
        sys.path.insert(0, cwd)
    module = imported(module_name)
    return _named(module, attribute) if attribute else _only(module)


def load_app(where: str, directory: str = "") -> App:
    """``find_app``, and all the modules with its tasks."""
    app = find_app(where, directory)
    import_modules(app)
    return app


def import_modules(app: App) -> None:
    """Import the modules that the settings ``imports`` and ``include`` of ``app`` name.

    What a receiver of the signal raises is an error here: an app of which a part is missing is none.
    """
    set_up_by(signals.import_modules, app)
    for name in (*app.conf.imports, *app.conf.include):
        imported(name, " (from the app's setting imports or include)")
    set_up_by(app.on_after_configure, app, source=app.conf)
    set_up_by(app.on_after_finalize, app)


def imported(name: str, whence: str = "") -> ModuleType:
    """The module ``name``, of an app or of what is added to it; ``whence`` says who names it."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as exc:  # a stop that is asked for meanwhile is neither
        if isinstance(exc, ModuleNotFoundError) and exc.name and _is_or_holds(exc.name, name):
            if name.endswith(".py"):
                raise ConfigError(
                    f"{name!r} is a file", f"name its module: {name.removesuffix('.py')}"
                ) from exc
            raise ConfigError(
                f"there is no module {exc.name!r}{whence}",
                f"run from the directory that has it, not {Path.cwd()}, or set chdir to it",
            ) from exc
        text = "".join(traceback.format_exception(type(exc), exc, _app_part(exc.__traceback__)))
        raise AppImportError(
            f"app module {name!r}{whence} cannot be imported: {type(exc).__name__}: {exc}",
            "mend the app",
            text,
        ) from exc
    finally:
        forget_fresh()


def _is_or_holds(missing: str, wanted: str) -> bool:
    return wanted == missing or wanted.startswith(f"{missing}.")


def _app_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the app's first line on, without ours and the import system's."""
    found = trace
    while found is not None and (
        found.tb_frame.f_code.co_filename.startswith("<frozen importlib")
        or found.tb_frame.f_code.co_filename in (__file__, importlib.__file__)
    ):
        found = found.tb_next
    return found


def _named(module: ModuleType, attribute: str) -> App:
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, App):
        return found
    what = "is missing" if found is None else f"is no App but {type(found).__name__}"
    raise ConfigError(
        f"{module.__name__}:{attribute} {what}", "write `app = App(...)` there, or name another"
    )


def _only(module: ModuleType) -> App:
    if isinstance(app := getattr(module, "app", None), App):
        return app
    apps = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    if len(find_apps(apps.values())) == 1:
        return next(iter(apps.values()))
    if apps:
        names = ", ".join(f"{module.__name__}:{name}" for name in apps)
        raise ConfigError(f"module {module.__name__!r} has several apps", f"name one of {names}")
    raise ConfigError(
        f"module {module.__name__!r} has no App", "write `app = App(...)` there, or name another"
    )


def find_apps(namespace: Iterable[Any]) -> list[App]:
    """The different apps among ``namespace``."""
    found: dict[int, App] = {id(item): item for item in namespace if isinstance(item, App)}
    return list(found.values())
