"""The broker that a command works on by itself, whether a daemon runs or not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, TypeVar

import click

from workerd.backends.url import EMBEDDED, unreachable
from workerd.errors import UnavailableError
from workerd.masking import masked
from workerd.paths import embedded_dir, embedded_socket
from workerd.worker.embedded.visit import visiting

if TYPE_CHECKING:
    from kombu.connection import Connection

    from workerd.app import App

T = TypeVar("T")


def embedded(app: App) -> AbstractContextManager[None]:
    """The embedded broker, run for the command if it is meant and no daemon runs it."""
    if EMBEDDED in app.broker.urls("broker_write_url"):
        return visiting(embedded_dir(), embedded_socket())
    return nullcontext()


def opened(app: App, open_: Callable[[Connection], T]) -> T:
    """What ``open_`` makes of the app's broker: of the first of several that can be reached, which is told.

    Errors: UnavailableError, ConfigError.
    """
    *others, last = app.broker.urls("broker_write_url")
    for url in others:
        with suppress(UnavailableError, OSError):
            found = open_(app.broker.connection(url))
            _tell(url)
            return found
    try:
        found = open_(app.broker.connection(last))
    except (UnavailableError, OSError) as exc:
        raise unreachable("broker", last, exc) from exc
    if others:
        _tell(last)
    return found


def _tell(url: str) -> None:
    """Which of several brokers has been asked: a daemon may be connected to another of them."""
    click.echo(f"at {masked(url)}, the first that can be reached:", err=True)
