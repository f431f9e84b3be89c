"""What is secret can stand in a file of its own or a credential, and is in no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from workerd.config import load_layers
from workerd.errors import ConfigError

URL = "redis://u:hush@127.0.0.1/0"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "broker"
    file.write_text(f"{URL}\n")
    return file


def test_a_variable_can_name_the_file(secret: Path) -> None:
    layers = load_layers({}, None, {"WORKERD_BROKER_FILE": str(secret)})
    assert layers.config().broker == (URL,)
    assert layers.source("broker") == f"{secret} (WORKERD_BROKER_FILE)"
    with pytest.raises(ConfigError, match="WORKERD_BROKER and WORKERD_BROKER_FILE are both set"):
        load_layers({}, None, {"WORKERD_BROKER_FILE": str(secret), "WORKERD_BROKER": "embedded"})


def test_a_settings_file_can_name_it_beside_itself(secret: Path, tmp_path: Path) -> None:
    file = tmp_path / "main.toml"
    file.write_text('\nbroker = { file = "broker" }\n[control]\nkey.file = "broker"\n')
    layers = load_layers({}, file, {})
    assert layers.config().broker == (URL,)
    assert layers.config().control.key == URL
    assert layers.source("broker") == f"{file}:2"


def test_a_credential_is_taken_by_its_name_or_named(secret: Path, tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "workerd.broker").write_text(URL)
    (directory / "workerd.control.key").write_text("hush")
    (directory / "tls.pem").write_text("of the app")
    environ = {"CREDENTIALS_DIRECTORY": str(directory)}
    config = load_layers({}, None, environ).config()
    assert (config.broker, config.control.key) == ((URL,), "hush")
    assert load_layers({}, None, environ | {"WORKERD_BROKER": "embedded"}).config().broker == ("embedded",)

    file = tmp_path / "main.toml"
    file.write_text('backend = { credential = "workerd.broker" }\n')
    assert load_layers({}, file, environ).config().backend == URL
    with pytest.raises(ConfigError, match=r"'backend' .* is a credential, and the service has none"):
        load_layers({}, file, {})

    (directory / "workerd.sice").write_text("3")
    with pytest.raises(ConfigError, match=r"unknown setting 'sice' in the credential workerd.sice"):
        load_layers({}, None, environ)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*/none: No such file"):
        load_layers({}, None, {"WORKERD_BROKER_FILE": str(tmp_path / "none")})


def test_no_error_tells_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "main.toml"
    file.write_text('[control]\nkey = ["hush"]\n')
    with pytest.raises(ConfigError, match="cannot be what it is") as caught:
        load_layers({}, file, {}).config()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("written", ['["redis://:hush@h/0", 3]', '{ url = "redis://:hush@h/0" }'])
def test_neither_does_one_of_a_value_that_holds_an_url(written: str, tmp_path: Path) -> None:
    file = tmp_path / "main.toml"
    file.write_text(f"broker = {written}\n")
    with pytest.raises(ConfigError, match=r"broker.*redis://:\*\*@h/0|broker\.url") as caught:
        load_layers({}, file, {}).config()
    assert "hush" not in str(caught.value)
