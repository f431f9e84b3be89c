"""A stored SUCCESS is recognised in every coding, and no stored bytes are ever executed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from workerd.backends.stored import is_success
from workerd.protocol.result import Coding


def stored(coding: Coding, status: str, result: Any = "SUCCESS") -> bytes:
    return coding.encode({"status": status, "result": result, "traceback": None})


CODINGS = [
    Coding(serializer, compression, (serializer,))
    for serializer in ("json", "pickle")
    for compression in (None, "gzip")
]


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_only_the_status_counts(coding: Coding) -> None:
    assert is_success(stored(coding, "SUCCESS"), coding)
    assert not is_success(stored(coding, "FAILURE"), coding)
    assert not is_success(stored(coding, "PROGRESS", {"status": "SUCCESS"}), coding)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_is_read(protocol: int) -> None:
    coding = Coding("pickle", None, ("pickle",))
    for status in ("SUCCESS", "FAILURE"):
        data = pickle.dumps({"status": status, "result": 1}, protocol=protocol)
        assert is_success(data, coding) is (status == "SUCCESS")


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    data = pickle.dumps({"status": "SUCCESS", "result": Trap(tmp_path / "sprung")})
    assert is_success(data, Coding("pickle", None, ("pickle",)))
    assert not is_success(data, Coding())
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"null", b"\x00celery-compressed\x00nothing"])
def test_what_cannot_be_read_is_no_success(data: bytes) -> None:
    assert not is_success(data, Coding())
    assert not is_success(data, Coding("pickle", None, ("pickle",)))
