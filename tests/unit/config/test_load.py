"""Where settings come from, which place wins, and what a wrong one says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workerd.config import Config, config_file, load_layers
from workerd.errors import ConfigError, PermissionDeniedError


def toml(directory: Path, text: str) -> Path:
    file = directory / "settings.toml"
    file.write_text(text)
    return file


def test_without_any_layer_the_defaults_hold() -> None:
    assert load_layers({}, None, {}).config() == Config()


def test_a_flag_wins_over_the_environment_over_the_file_over_the_app(tmp_path: Path) -> None:
    file = toml(tmp_path, 'size = 3\nloglevel = "error"\nlease = 20\n')
    environ = {"WORKERD_SIZE": "2", "WORKERD_LOGLEVEL": "warning"}
    layers = load_layers({"size": "1", "app": None}, file, environ)
    layers = layers.below("app.conf", {"size": 4, "lease": 10, "app": "proj"})

    config = layers.config()

    assert (config.size, config.loglevel, config.lease, config.app) == ((1, 1), "warning", 20.0, "proj")


def test_each_value_knows_its_place(tmp_path: Path) -> None:
    file = toml(tmp_path, "max_crashes = 5\n")
    layers = load_layers({"size": 1}, file, {"WORKERD_LEASE": "9"}).below("app.conf", {"queues": ["a"]})
    keys = ("size", "lease", "max_crashes", "queues", "backend")
    assert [layers.source(key) for key in keys] == [
        "the command line",
        "the environment (WORKERD_*)",
        f"{file}:1",
        "app.conf",
        "default",
    ]


def test_a_table_of_the_file_and_a_double_underscore_reach_the_drain_settings(tmp_path: Path) -> None:
    file = toml(tmp_path, '[drain]\ntimeout = "5m"\ngrace = 1\n')
    config = load_layers({}, file, {"WORKERD_DRAIN__GRACE": "2s"}).config()
    assert (config.drain.timeout, config.drain.grace) == (300.0, 2.0)


def test_the_variables_that_place_the_roots_are_no_settings() -> None:
    environ = {"WORKERD_STATE_DIR": "/s", "WORKERD_RUNTIME_DIR": "/r", "WORKERD_CONFIG": "/c", "HOME": "/h"}
    assert load_layers({}, None, environ).config() == Config()


def test_several_brokers_stay_in_their_order() -> None:
    config = load_layers({"broker": ("redis://a", "redis://b")}, None, {}).config()
    assert config.broker == ("redis://a", "redis://b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sise = 3", r"unknown setting 'sise' in .*settings.toml:1; did you mean 'size'\?"),
        ("zzzzzz = 3", "unknown setting 'zzzzzz' in .*; known settings: app, name, broker"),
        ("[drain]\ntimout = 3", r"unknown setting 'drain.timout' .* did you mean 'drain.timeout'\?"),
        ('size = "many"', "setting 'size' from .*toml:1 cannot be 'many'; write a number or a range"),
        ('lease = "soon"', "setting 'lease' from .* cannot be 'soon'; write seconds"),
        (
            'loglevel = "loud"',
            "setting 'loglevel' from .*settings.toml:1 cannot be 'loud'; write one of debug, info,",
        ),
        ('max_crashes = "three"', "setting 'max_crashes' from .* cannot be 'three'; write a whole number"),
        ("max_crashes = 0", "setting 'max_crashes' from .*settings.toml:1 cannot be 0; .* 1 or more"),
        ("size = 99999", "setting 'size' from .*settings.toml:1 cannot be 99999; needs 1000 slots or fewer"),
        ("lease = 0", "setting 'lease' from .*settings.toml:1 cannot be 0; a lease must be 1 second or more"),
        (
            "boot_timeout = 0",
            "setting 'boot_timeout' from .*toml:1 cannot be 0; .* more than 0",
        ),
        (
            'queue_order = "first"',
            "setting 'queue_order' from .* cannot be 'first'; write one of fair, strict",
        ),
        ("lease = nan", "setting 'lease' from .*toml:1 cannot be nan; a time must be 0 or more, and finite"),
        ("[drain]\ntimeout = inf", "setting 'drain.timeout' from .* cannot be inf; .* 0 or more, and finite"),
        ("[drain]\ngrace = -1", "setting 'drain.grace' from .* cannot be -1; .* 0 or more, and finite"),
        ('name = "no/slash"', "setting 'name' from .*settings.toml:1 cannot be 'no/slash'; use 1-64 letters"),
        ("app = 3", "setting 'app' from .*settings.toml:1 cannot be 3; Expected `str`, got `int`$"),
        ("broker = 3", "setting 'broker' from .* cannot be 3; write a URL, or a list of them"),
        ("size = ", "settings.toml is not TOML"),
    ],
)
def test_a_wrong_setting_says_what_and_where(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_layers({}, toml(tmp_path, text), {}).config()


def test_a_drain_may_have_no_time_at_all(tmp_path: Path) -> None:
    config = load_layers({}, toml(tmp_path, "[drain]\ntimeout = 0\ngrace = 0\n"), {}).config()
    assert (config.drain.timeout, config.drain.grace) == (0.0, 0.0)


def test_a_typo_in_the_environment_is_an_error_too() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'sice' in the environment .* WORKERD_SIZE\?"):
        load_layers({}, None, {"WORKERD_SICE": "3"})
    with pytest.raises(ConfigError, match=r"did you mean WORKERD_DRAIN__TIMEOUT\?"):
        load_layers({}, None, {"WORKERD_DRAIN_TIMEOUT": "3"})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none.toml: No such file"):
        load_layers({}, tmp_path / "none.toml", {})


def test_a_directory_of_settings_that_may_not_be_entered_is_a_matter_of_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "stat", refuse)  # root may enter any
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(PermissionDeniedError, match=r"cannot read .*/workerd/main.toml: Permission denied"):
        load_layers({}, None, {})


def test_a_file_that_may_not_be_read_is_a_matter_of_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read every file
    with pytest.raises(PermissionDeniedError, match="check its owner and mode"):
        load_layers({}, tmp_path / "settings.toml", {})


def test_a_users_file_is_found_by_the_daemons_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "workerd").mkdir()
    (tmp_path / "workerd" / "mail.toml").write_text("size = 7\n")

    assert config_file("mail") == tmp_path / "workerd" / "mail.toml"
    assert config_file("main") is None
    assert load_layers({"name": "mail"}, None, {}).config().size == (7, 7)
    assert load_layers({}, None, {"WORKERD_NAME": "mail"}).config().size == (7, 7)
