"""The cgroup v2 groups above this process: their memory limits, and whom the kernel killed in them.

A limit may stand in any group between ours and the root, and the tightest one counts.  In a container
our group is usually the root that we see.

Units:   bytes; counts of kills.
Errors:  none: a file that is not there or cannot be read says nothing.
Source:  Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import msgspec

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
VMSTAT = Path("/proc/vmstat")


class Level(msgspec.Struct, frozen=True):
    """One group with a memory limit.  ``used`` leaves out file pages that the kernel would drop first."""

    path: str
    limit: int
    used: int


class OomCount(msgspec.Struct, frozen=True):
    """Kills by the kernel's OOM killer until now.

    ``kills`` are of processes of our group (of all, where there is no group to ask); ``full`` says, for
    each group by its path, how often it was at its limit.
    """

    kills: int
    full: Mapping[str, int]


class Cgroup:
    """Our group and those above it, the own one first; empty where cgroup v2 does not count memory."""

    def __init__(self, folders: tuple[Path, ...] = (), root: Path = ROOT, vmstat: Path = VMSTAT) -> None:
        self._folders, self._root, self._vmstat = folders, root, vmstat

    @classmethod
    def own(cls, own: Path = OWN, root: Path = ROOT, vmstat: Path = VMSTAT) -> Self:
        """The groups of this process."""
        above = folders_of(own, root)
        return cls(tuple(one for one in above if (one / "memory.current").exists()), root, vmstat)

    def __bool__(self) -> bool:
        return bool(self._folders)

    def limited(self) -> Iterator[Level]:
        """The groups that have a limit now; it may be changed at any time."""
        for folder in self._folders:
            limit, used = _text(folder / "memory.max").strip(), _text(folder / "memory.current").strip()
            if limit.isdigit() and used.isdigit():
                idle = _counts(folder / "memory.stat").get("inactive_file", 0)
                yield Level(self._name(folder), int(limit), max(0, int(used) - idle))

    def ooms(self) -> OomCount:
        """How often the kernel has killed for memory."""
        if not self._folders:
            return OomCount(_counts(self._vmstat).get("oom_kill", 0), {})
        kills = _counts(self._folders[0] / "memory.events").get("oom_kill", 0)
        full = {self._name(one): _counts(one / "memory.events.local").get("oom", 0) for one in self._folders}
        return OomCount(kills, full)

    def limit_of(self, path: str) -> int | None:
        """The limit of the group that a Level or an OomCount names."""
        return next((level.limit for level in self.limited() if level.path == path), None)

    def _name(self, folder: Path) -> str:
        return "/" + str(folder.relative_to(self._root)).strip(".")


def folders_of(own: Path = OWN, root: Path = ROOT) -> list[Path]:
    """The group of this process and those above it, the own one first; none without cgroup v2."""
    path = next((line[3:] for line in _text(own).splitlines() if line.startswith("0::")), None)
    if path is None or not (root / "cgroup.controllers").exists():
        return []
    folder = root / path.strip("/")
    if not folder.is_dir():
        # The path is the host's, and what we see at the root is our own group.
        folder = root
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _counts(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
