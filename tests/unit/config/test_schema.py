"""The JSON Schema that is shipped is that of the settings there are, and agrees with how they are read."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from workerd.config import load_layers
from workerd.config.schema import schema
from workerd.errors import ConfigError

ETC = Path(__file__).parents[3] / "etc"


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_the_file_is_up_to_date() -> None:
    shipped = (ETC / "workerd.schema.json").read_text()
    assert json.loads(shipped) == schema(), "type: workerd config --schema > etc/workerd.schema.json"


def test_every_setting_of_the_example_is_known_and_explained(validator: Any) -> None:
    text = re.sub(r"^#(?=[a-z_]+ = )", "", (ETC / "workerd.toml").read_text(), flags=re.MULTILINE)
    validator.validate(tomllib.loads(text))
    pairs = schema()["properties"].items()
    assert [name for name, value in pairs if not value.get("description") and "properties" not in value] == []


@pytest.mark.parametrize(
    "text",
    [
        'size = "2-8"\nbroker = "embedded"',
        'broker = { file = "x" }\nbackend = { credential = "y" }',
        '[drain]\ntimeout = "10m"\ngrace = 1.5',
        '[pools.video]\nqueues = ["v"]\nsize = 1\nmemory_limit = "600MB"',
        'queues = "a,b"\nwatch = true\nuser = 1000',
        '[control]\nallow = ["ping"]\nkey = { file = "x" }',
    ],
)
def test_what_can_be_read_passes(validator: Any, text: str) -> None:
    validator.validate(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "sise = 3",
        'size = "many"',
        'loglevel = "loud"',
        "[drain]\ntimeout = -1",
        "[pools.video]\nbroker = 'x'",
        "app = 3",
        "watch = 3",
    ],
)
def test_what_cannot_be_read_does_not(validator: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(tomllib.loads(text))
    file = tmp_path / "main.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_layers({}, file, {}).config()
