"""``etc/workerd.toml`` shows every setting with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workerd.config import Config, Layers, load_layers
from workerd.config.load import KEYS

ETC = Path(__file__).parents[3] / "etc" / "workerd.toml"

# Their defaults are made from the machine and from the app; the file can only show an example.
EXAMPLES = {"size", "queues"}


@pytest.fixture
def switched_on(tmp_path: Path) -> Layers:
    """The file as it is when an operator takes the ``#`` away from every key."""
    file = tmp_path / "workerd.toml"
    file.write_text(re.sub(r"^#(?=[a-z_]+ = )", "", ETC.read_text(), flags=re.MULTILINE))
    return load_layers({}, file, {})


def test_every_setting_is_in_the_file(switched_on: Layers) -> None:
    assert [key for key in KEYS if switched_on.get(key) is None] == []


def test_every_value_in_the_file_is_the_default(switched_on: Layers) -> None:
    shown, default = switched_on.config(), Config()
    names = [name for name in Config.__struct_fields__ if name not in EXAMPLES]
    assert {name: getattr(shown, name) for name in names} == {name: getattr(default, name) for name in names}


def test_every_key_has_a_comment_above_it() -> None:
    lines = ETC.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"#[a-z_]+ = ", line)]
    assert len(keys) == len(KEYS)
    assert all(lines[number - 1].startswith("# ") for number in keys)


def test_the_file_as_it_is_sets_nothing() -> None:
    assert load_layers({}, ETC, {}).config() == Config()
