"""Sources: where the app's own code lies, as the files of what is imported tell.

Own is what lies outside the standard library, outside every directory of installed packages, and is not
workerd itself.  An installed package is not watched, one that is installed as editable is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

_NOT_OWN = ("workerd", "workerd_pool", "__main__", "__mp_main__")
_INSTALLED = {"site-packages", "dist-packages"}


def own_sources(modules: Iterable[ModuleType] | None = None) -> list[str]:
    """Directories of packages, and files of modules that are in none, sorted."""
    library = tuple(f"{place.resolve()}/" for place in _library())
    found = set()
    for module in list(sys.modules.values()) if modules is None else modules:
        name = getattr(module, "__name__", None)
        if not isinstance(name, str) or name.partition(".")[0] in _NOT_OWN:
            continue
        for file in _file(module):
            if not str(file).startswith(library) and not _INSTALLED & set(file.parts):
                found.add(str(_root(file)))
    return sorted(found)


def source_of(name: str) -> list[str]:
    """Where the imported module ``name`` lies, installed or not; empty if it has no file."""
    module = sys.modules.get(name)
    return [str(_root(file)) for file in _file(module)] if module is not None else []


def _library() -> Iterator[Path]:
    """The standard library's places."""
    # sysconfig knows them too, and reads 400 kB of how Python was built to tell.
    yield (library := Path(os.__file__).parent)
    for prefix in (sys.exec_prefix, sys.base_exec_prefix):
        yield Path(prefix, sys.platlibdir, library.name)


def _file(module: ModuleType) -> Iterator[Path]:
    # An instance in sys.modules may answer any attribute with anything.
    file = getattr(module, "__file__", None)
    if isinstance(file, str) and file.endswith((".py", ".so")) and (path := Path(file).resolve()).is_file():
        yield path


def _root(file: Path) -> Path:
    """The directory of the outermost regular package that holds it, or the file itself."""
    root = file
    while (root.parent / "__init__.py").is_file():
        root = root.parent
    return root
