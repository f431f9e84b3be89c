"""Who a daemon was is recorded before it owns anything; a disk that is full later on does not matter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from workerd.errors import WorkerdError
from workerd.worker.identity import Identity


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Identity]:
    monkeypatch.setenv("WORKERD_STATE_DIR", str(tmp_path))
    identity = Identity("main")
    identity.claim()
    yield identity
    identity.release()


def fill(identity: Identity) -> None:
    """From now on nothing new can be written there."""
    (identity.directory / "owner.new").mkdir()


def test_nothing_is_owned_before_it_is_recorded(identity: Identity) -> None:
    fill(identity)
    for _ in range(2):
        with pytest.raises(WorkerdError, match="make room on that disk"):
            identity.record()


def test_what_is_recorded_needs_no_disk_again(identity: Identity) -> None:
    identity.predecessors = ("dead",)
    identity.record()
    fill(identity)
    identity.record()
    identity.recovered()
    assert identity.predecessors == ()
    assert json.loads((identity.directory / "owner.json").read_text()) == ["dead", identity.owner]
