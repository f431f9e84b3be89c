"""Backends of installed packages: found by their scheme, and told when they are none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workerd.backends import open_backend
from workerd.cli import main
from workerd.errors import ConfigError
from workerd.transport.urls import checked_backend

CODE = """
from workerd.backends import KeyValueBackend

KEPT = {}

class Memory(KeyValueBackend):
    def get(self, key):
        return KEPT.get(key)

    def set(self, key, data, lifetime):
        KEPT[key] = data

    def delete(self, key):
        KEPT.pop(key, None)

class Nothing:
    pass
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip would leave behind for a package with three entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "memorybackend", None)  # put back at the end
    monkeypatch.delitem(sys.modules, "memorybackend")
    (tmp_path / "memorybackend.py").write_text(CODE)
    info = tmp_path / "memory-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory\nVersion: 1.0\n")
    rows = "memory = memorybackend:Memory\nnothing = memorybackend:Nothing\nmissing = memorybackend:Missing\n"
    (info / "entry_points.txt").write_text(f"[workerd.backends]\n{rows}")


def test_three_methods_make_a_backend() -> None:
    results = open_backend(checked_backend("memory://anywhere"))
    assert results.get_meta("a")["status"] == "PENDING"
    results.store("a", "SUCCESS", results.encode({"status": "SUCCESS", "result": 7}))
    assert results.wait_for("a", timeout=1)["result"] == 7
    results.forget("a")
    assert results.get_meta("a")["status"] == "PENDING"
    results.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nothing://", "is no subclass of workerd.backends.KeyValueBackend"),
        ("missing://", "cannot be imported"),
        ("other://u:pw@h", r"other://u:\*\*@h is not served; use one of .*, memory"),
    ],
)
def test_what_is_no_backend_is_told(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_backend(url)
    if url.startswith("other"):
        with pytest.raises(ConfigError, match="is of no kind that is served"):
            checked_backend(url)


def test_they_are_listed_among_what_packages_add(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.split() == ["backend", "memory", "memory", "1.0:", "memorybackend:Memory"] for line in lines
    )
    assert any("FAILED" in line for line in lines if " nothing " in line)
