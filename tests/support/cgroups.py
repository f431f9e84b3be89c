"""A tree of files that reads like cgroup v2."""

from __future__ import annotations

from pathlib import Path

from workerd_pool.cgroup import Cgroup


class FakeCgroups:
    """Groups below ``root``; each call of ``group`` writes one anew."""

    def __init__(self, root: Path) -> None:
        self.root = root / "cgroup"
        self.root.mkdir()
        (self.root / "cgroup.controllers").write_text("cpu memory\n")
        self._own = root / "own"
        self._vmstat = root / "vmstat"
        self._vmstat.write_text("oom_kill 0\n")

    def group(
        self,
        path: str,
        *,
        limit: int | None,
        used: int = 0,
        inactive_file: int = 0,
        kills: int = 0,
        full: int = 0,
    ) -> None:
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text("max\n" if limit is None else f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon {used}\ninactive_file {inactive_file}\n")
        (folder / "memory.events").write_text(f"max 0\noom 0\noom_kill {kills}\n")
        (folder / "memory.events.local").write_text(f"max 0\noom {full}\noom_kill 0\n")

    def own(self, path: str) -> Cgroup:
        """As a process of the group ``path`` sees it."""
        self._own.write_text(f"0::/{path}\n")
        return Cgroup.own(self._own, self.root, self._vmstat)
