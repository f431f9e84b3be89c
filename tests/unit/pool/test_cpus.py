"""How many CPUs there are for us."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workerd_pool.cpus import usable_cpus


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight; we are in ``/pod/box``."""
    (tmp_path / "cgroup" / "pod" / "box").mkdir(parents=True)
    (tmp_path / "cgroup" / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "own").write_text("0::/pod/box\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("pod", "box", "cpus"),
    [
        ("max 100000", "max 100000", 8),
        ("max 100000", "150000 100000", 2),
        ("100000 100000", "400000 100000", 1),
        ("5000 100000", "max 100000", 1),
        ("6400000 100000", "max 100000", 8),
        ("nonsense", "", 8),
        ("100000 0", "300000 100000", 3),
    ],
)
def test_the_tightest_quota_counts_and_a_part_is_one(root: Path, pod: str, box: str, cpus: int) -> None:
    (root / "pod" / "cpu.max").write_text(f"{pod}\n")
    (root / "pod" / "box" / "cpu.max").write_text(f"{box}\n")
    assert usable_cpus(root.parent / "own", root) == cpus


def test_in_a_container_our_own_group_is_the_root_that_we_see(root: Path) -> None:
    (root.parent / "own").write_text("0::/../../of/the/host\n")
    (root / "cpu.max").write_text("200000 100000\n")
    assert usable_cpus(root.parent / "own", root) == 2


def test_without_groups_the_affinity_counts(root: Path) -> None:
    assert usable_cpus(root.parent / "none", root) == 8
    assert usable_cpus() >= 1
