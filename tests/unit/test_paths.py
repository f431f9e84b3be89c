"""Where a daemon keeps its things."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workerd import paths
from workerd.config import config_root
from workerd.errors import ConfigError, PermissionDeniedError

VARIABLES = (
    "WORKERD_RUNTIME_DIR",
    "WORKERD_STATE_DIR",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ann")


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_root_has_the_places_of_the_system() -> None:
    assert paths.runtime_dir("main") == Path("/run/workerd/main")
    assert paths.state_dir("main") == Path("/var/lib/workerd/main")


@pytest.mark.usefixtures("as_user")
def test_a_user_has_the_xdg_places(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.state_root() == Path("/home/ann/.local/state/workerd")
    assert paths.runtime_root() == Path("/home/ann/.local/state/workerd/_run")  # no login session
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ann/state")
    assert paths.runtime_root() == Path("/run/user/1000/workerd")
    assert paths.state_root() == Path("/home/ann/state/workerd")


def test_systemds_directories_come_first_and_its_first_entry_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/workerd:/run/other")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/workerd")
    assert paths.runtime_root() == Path("/run/workerd")
    assert paths.state_root() == Path("/var/lib/workerd")


def test_our_own_variables_replace_every_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/workerd")
    monkeypatch.setenv("WORKERD_RUNTIME_DIR", "/r")
    monkeypatch.setenv("WORKERD_STATE_DIR", "/s")
    assert paths.control_socket("mail") == Path("/r/mail/control.sock")
    assert paths.state_dir("mail") == Path("/s/mail")


def test_a_relative_root_is_taken_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKERD_STATE_DIR", "state")
    assert paths.state_root() == tmp_path / "state"


def test_all_daemons_of_one_state_root_share_the_embedded_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERD_STATE_DIR", "/s")
    assert paths.embedded_dir() == Path("/s/_broker")
    assert paths.embedded_url() == f"redis+socket://{paths.embedded_socket()}"
    with pytest.raises(ConfigError):
        paths.check_name("_broker")  # so no daemon can have that directory


@pytest.mark.parametrize("name", ["main", "a", "9", "mail-2.eu_west", "x" * 64])
def test_a_name_that_can_be_a_directory_is_taken(name: str) -> None:
    assert paths.check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "_x", "a/b", "a b", "ä", "x" * 65, "a\n"])
def test_a_name_that_cannot_be_a_directory_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used; use 1-64 letters"):
        paths.check_name(name)


def test_a_socket_path_may_have_107_bytes_and_not_one_more() -> None:
    longest = Path("/" + "x" * 106)
    assert paths.checked_socket(longest, "WORKERD_RUNTIME_DIR") == longest
    with pytest.raises(ConfigError, match="has 108 bytes and the kernel allows 107; set WORKERD_RUNTIME_DIR"):
        paths.checked_socket(Path("/" + "x" * 107), "WORKERD_RUNTIME_DIR")
    with pytest.raises(ConfigError):  # bytes, not letters
        paths.checked_socket(Path("/" + "ä" * 60), "WORKERD_RUNTIME_DIR")


def test_a_directory_is_made_with_its_parents_and_may_be_there_already(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert paths.ensure_dir(path) == paths.ensure_dir(path) == path
    assert path.stat().st_mode & 0o007 == 0  # nothing for others


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(ConfigError, match=r"cannot create .*; set WORKERD_STATE_DIR and WORKERD_RUNTIME_DIR"):
        paths.ensure_dir(tmp_path / "a" / "b")


def test_a_directory_that_may_not_be_made_is_a_matter_of_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may make any
    with pytest.raises(PermissionDeniedError, match=r"cannot create .*Permission denied; run as the user"):
        paths.ensure_dir(tmp_path / "a")


def test_a_directory_that_may_not_be_written_is_a_matter_of_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionDeniedError, match="cannot write to"):
        paths.ensure_dir(tmp_path)


@pytest.mark.parametrize("odd", list("%;?#"))
def test_a_directory_that_no_url_can_carry_is_refused(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv("WORKERD_STATE_DIR", f"/tmp/a{odd}b")
    with pytest.raises(ConfigError, match="which a broker URL cannot carry"):
        paths.embedded_url()


def test_who_has_no_home_is_told_to_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "WORKERD_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(ConfigError, match="uid 54321 has no home directory; set WORKERD_STATE_DIR"):
        paths.state_root()
    monkeypatch.setenv("WORKERD_STATE_DIR", "/s")
    assert paths.state_root() == Path("/s")
    assert config_root() == Path("/etc/workerd")


def test_a_directory_of_the_daemons_own_is_made_for_it_and_its_group(tmp_path: Path) -> None:
    path = paths.own_dir(tmp_path / "main")
    path.chmod(0o770)  # as a cluster's volumes have it
    assert paths.own_dir(path).stat().st_mode & 0o777 == 0o770


def test_one_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionDeniedError, match=f"everybody may write to .*; type: chmod o-w {tmp_path}"):
        paths.own_dir(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give directories away")
def test_one_of_a_stranger_is_refused_also_for_root(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    with pytest.raises(PermissionDeniedError, match="belongs to user 65534; run as that user, give it"):
        paths.own_dir(tmp_path)
