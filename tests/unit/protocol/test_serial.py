"""JSON is read in a short way where that gives what kombu's reader gives, and by kombu's everywhere else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import serialization
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.utils import json as kombu_json

from workerd.protocol import serial
from workerd.protocol.serial import load

JSON = "application/json"

TEXTS = [
    "[]",
    '[[1, 2.5, -0, -0.0, 1e5, 1E-3, 1.0], {"a": null, "b": [true, false]}, {}]',
    "[123456789012345678901234567890, -9223372036854775809, 0.1, 1e308]",
    '{"a": 1, "a": 2}',
    '["caf\\u00e9", "\\ud83d\\ude00", "käse", "\\u0000", "\\/"]',
    ' \n\t[ 1 , 2 ] \r\n"'[:-1],
    '{"__type__": "x"}',
]
BESIDE_THE_LETTER = ["[NaN, Infinity, -Infinity]", '["\\ud800"]', "[1e999]"]


@pytest.mark.parametrize("text", TEXTS + BESIDE_THE_LETTER)
def test_what_is_read_is_what_kombu_reads(text: str) -> None:
    read, kombus = load(text.encode(), JSON, "utf-8", ["json"]), kombu_json.loads(text)
    assert repr(read) == repr(kombus)


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_plain_json_goes_the_short_way(text: str) -> None:
    assert serial._plain_json(text.encode()) is not serial._OTHER


@pytest.mark.parametrize("value", [math.pi, 2**53 + 1, -(2**63), 2**64, 5e-324, 1.7976931348623157e308])
def test_numbers_are_exact(value: float) -> None:
    assert load(json.dumps([value]).encode(), JSON, "utf-8", ["json"]) == [value]


@pytest.mark.parametrize("accept", [["json"], [JSON], ["pickle", "json"], ("json",)])
def test_it_is_accepted_under_both_names(accept: Any) -> None:
    assert load(b"[1]", JSON, "utf-8", accept) == [1]


@pytest.mark.parametrize("data", [b"[", b"\xff", b"[" * 100_000, b"nope"])
def test_what_is_no_json_is_kombus_to_judge(data: bytes) -> None:
    with pytest.raises(DecodeError):
        load(data, JSON, "utf-8", ["json"])


def test_json_that_is_not_accepted_is_refused() -> None:
    with pytest.raises(ContentDisallowed):
        load(b"[]", "application/x-yaml", "utf-8", ["json"])


@pytest.fixture
def own_json() -> Iterator[None]:
    """An app that reads JSON in a way of its own."""
    serialization.register("json", json.dumps, lambda data: ["mine", json.loads(data)], JSON, "utf-8")
    yield
    serialization.register_json()
    assert serial._plain_json(b"[]") == []  # no other test is touched


@pytest.mark.usefixtures("own_json")
def test_a_serializer_of_the_apps_own_is_asked() -> None:
    assert load(b"[1]", JSON, "utf-8", ["json"]) == ["mine", [1]]
