"""Which cached modules are removed: those whose source may yet change within the same second."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from workerd_pool.bytecode import FRESH, forget_fresh


def module(home: Path, name: str, changed: float) -> tuple[ModuleType, Path]:
    source, cached = home / f"{name}.py", home / f"{name}.pyc"
    source.touch()
    cached.touch()
    os.utime(source, (changed, changed))
    made = ModuleType(name)
    made.__file__, made.__cached__ = str(source), str(cached)
    return made, cached


@pytest.mark.parametrize(("age", "kept"), [(0.0, False), (FRESH, False), (FRESH + 1, True)])
def test_only_the_cache_of_a_fresh_source_goes(tmp_path: Path, age: float, kept: bool) -> None:
    made, cached = module(tmp_path, "one", 1000.0 - age)
    forget_fresh([made], now=1000.0)
    assert cached.exists() is kept


def test_what_is_gone_or_has_no_file_is_left(tmp_path: Path) -> None:
    gone, cached = module(tmp_path, "gone", 1000.0)
    Path(str(gone.__file__)).unlink()
    forget_fresh([gone, ModuleType("built_in")], now=1000.0)
    assert cached.exists()
