"""What is said when nothing answers at a URL."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError

from workerd.backends.url import unreachable
from workerd.errors import PermissionDeniedError, RefusedError, UnavailableError

LOST = ConnectionError("Error 2 connecting to somewhere.")


@pytest.fixture
def place(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the embedded broker's socket would be."""
    monkeypatch.setenv("WORKERD_STATE_DIR", str(short_dir))
    (short_dir / "_broker").mkdir()
    return short_dir / "_broker" / "valkey.sock"


def test_a_server_of_ones_own_is_told_with_its_url_and_the_cause() -> None:
    error = unreachable("broker", "redis://:secret@h/0", LOST)
    assert str(error) == (
        "broker redis://:**@h/0 cannot be reached: Error 2 connecting to somewhere;"
        " check that the server runs and that the URL is right"
    )
    assert error.__cause__ is LOST


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Authentication required.", "wants a password (Authentication required)"),
        (
            "invalid username-password pair or user is disabled.",
            "does not know this user with this password (invalid username-password pair or user is disabled)",
        ),
    ],
)
def test_a_password_that_is_wrong_is_no_server_that_is_away(said: str, told: str) -> None:
    wrapped = ConnectionError("kombu's")
    wrapped.__cause__ = AuthenticationError(said)
    error = unreachable("broker", "redis://:secret@h/0", wrapped)
    assert str(error) == f"broker redis://:**@h/0 {told}; mend the user and the password in its URL"
    assert isinstance(error, RefusedError)


def test_an_error_of_ours_is_not_wrapped_in_another() -> None:
    ours = UnavailableError("cannot connect to redis://h/0: Connection refused")
    assert str(unreachable("broker", "redis://h/0", ours)) == (
        "cannot connect to redis://h/0: Connection refused;"
        " check that the server runs and that the URL is right"
    )


@pytest.mark.parametrize("dead_socket", [False, True])
def test_the_embedded_broker_that_does_not_run_is_told_with_its_place(place: Path, dead_socket: bool) -> None:
    if dead_socket:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(place))
    for url in ("embedded", f"redis+socket://{place}"):
        error = unreachable("broker", url, LOST)
        assert isinstance(error, UnavailableError)
        assert str(error) == (
            f"the embedded broker does not run (nothing listens at {place});"
            " start a daemon with `workerd -A APP start`"
        )
        assert error.__suppress_context__ and error.__cause__ is None


def test_another_users_embedded_broker_is_a_matter_of_permission(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: socket.socket, address: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)  # root may connect to any
    error = unreachable("result backend", "embedded", LOST)
    assert isinstance(error, PermissionDeniedError)
    assert str(place) in str(error)


def test_an_embedded_broker_that_is_there_and_fails_is_told_as_any_other(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(place))
        listener.listen()
        error = unreachable("broker", "embedded", LOST)
    assert str(error).startswith("broker embedded cannot be reached: Error 2")
