"""The demo's input: which files, and what a direct computation finds in them."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workerd.errors import ConfigError

# Not Python's own, and of any size.
_INSTALLED = {"site-packages", "dist-packages"}


def files_under(directory: Path | None) -> tuple[Path, list[str]]:
    """The directory (None: Python's standard library) and every regular file under it, in order.

    Errors: ConfigError when it is no directory or holds no file.
    """
    root = directory or Path(sysconfig.get_path("stdlib"))
    if not root.is_dir():
        raise ConfigError(f"{root} is not a directory", "name one that holds files")
    skipped = _INSTALLED if directory is None else set()
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - skipped)
        paths = (os.path.join(folder, name) for name in sorted(names))  # noqa: PTH118 - texts for messages
        found += [path for path in paths if os.path.isfile(path)]  # noqa: PTH113
    if not found:
        raise ConfigError(f"there is no file under {root}", "name a directory that holds files")
    return root, found


@dataclass
class Totals:
    """What the tasks found, and how it compares with a direct computation."""

    files: int = 0
    size: int = 0
    lines: int = 0
    retries: int = 0
    unreadable: int = 0
    wrong: list[str] = field(default_factory=list)
    """Files for which a task found something else than a direct computation."""

    def add(self, found: Mapping[str, Any]) -> None:
        """Count one task's result."""
        self.files += 1
        self.retries += found["retries"]
        self.size += found.get("bytes", 0)
        self.lines += found.get("lines", 0)
        self.unreadable += "error" in found

    def check(self, found: Mapping[str, Any], began: float) -> None:
        """Compare with the file itself, unless that has changed since ``began`` (Unix time)."""
        path = str(found["path"])
        if _directly(path) != (found.get("sha256"), found.get("bytes"), found.get("lines")):
            changed = os.path.exists(path) and os.stat(path).st_ctime >= began  # noqa: PTH110, PTH116
            if not changed:
                self.wrong.append(path)


def _directly(path: str) -> tuple[str | None, int | None, int | None]:
    try:
        data = Path(path).read_bytes()
    except OSError:
        return None, None, None
    return hashlib.sha256(data).hexdigest(), len(data), data.count(b"\n")
