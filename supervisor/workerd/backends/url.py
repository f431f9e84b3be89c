"""URLs of brokers and backends: how they are shown, and what stands behind ``embedded``."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from workerd.errors import PermissionDeniedError, RefusedError, UnavailableError, WorkerdError
from workerd.masking import masked
from workerd.paths import embedded_socket, embedded_url

EMBEDDED = "embedded"


def resolve(url: str) -> str:
    """``url`` with ``embedded`` replaced by the embedded broker's address."""
    return embedded_url() if url.rstrip("/:") == EMBEDDED else url


def shown(url: str) -> str:
    """``url`` without its password, for messages to people."""
    return masked(url)


def unreachable(what: str, url: str, exc: BaseException) -> WorkerdError:
    """The error to raise when ``exc`` says that ``what`` (a broker, a backend) does not answer at ``url``.

    Its cause is ``exc``, unless it is known well enough for a traceback without the libraries' own.
    """
    if resolve(url) == embedded_url() and (known := _embedded_trouble(embedded_socket())) is not None:
        known.__suppress_context__ = True
        return known
    error = _trouble(what, shown(url), exc)
    error.__cause__ = exc
    return error


def _trouble(what: str, place: str, exc: BaseException) -> UnavailableError:
    # Only who has got an error already pays for the import.
    from workerd.transport.blocking import unauthenticated  # noqa: PLC0415

    refused = str(exc) if isinstance(exc, RefusedError) else unauthenticated(place, exc)
    if refused is not None:
        return RefusedError(f"{what} {refused}", "mend the user and the password in its URL")
    # An error of ours names the place itself.
    told = str(exc) if isinstance(exc, UnavailableError) else f"{what} {place} cannot be reached: {exc}"
    return UnavailableError(told, "check that the server runs and that the URL is right")


def _embedded_trouble(path: Path) -> WorkerdError | None:
    """Why a client cannot reach the embedded broker at ``path``; None when something listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except PermissionError:
            return PermissionDeniedError(
                f"this user may not use the embedded broker at {path}", "run as the daemon's user, or as root"
            )
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return UnavailableError(
                f"the embedded broker does not run (nothing listens at {path})",
                "start a daemon with `workerd -A APP start`",
            )
        except OSError:
            return None
    return None
