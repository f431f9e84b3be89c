"""What ``workerd check`` looks at, one method a line.  Nothing is created or changed.

Errors: each check raises the WorkerdError that the daemon would end with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from workerd import paths
from workerd.app import App, load_app
from workerd.backends.file import FileBackend
from workerd.backends.opening import RPC
from workerd.backends.url import EMBEDDED, shown
from workerd.bootsteps.steps import alias_of
from workerd.cli.clientapp import NO_APP, with_settings
from workerd.cli.common import Common
from workerd.cli.remarks import remarks
from workerd.cli.settings import layers_of
from workerd.cli.table import counted
from workerd.config import Config
from workerd.errors import ConfigError, PermissionDeniedError
from workerd.transport.kinds import kind_of
from workerd.transport.urls import NO_BACKEND, checked_backend, checked_broker
from workerd.worker.embedded import find_server
from workerd.worker.embedded.link import answers
from workerd.worker.run import with_app
from workerd.worker.steps.added import added_steps
from workerd.worker.steps.planned import planned


class Checks:
    """The checks in the order in which a start would meet their subjects."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._app: App | None = None
        self.blind = False
        """The settings cannot be read, so that nothing else can be looked at."""

    def __iter__(self) -> Iterator[tuple[str, Callable[[], str | None]]]:
        yield "settings", self.settings
        yield "app", self.app
        yield "steps", self.steps
        yield "broker", self.broker
        yield "backend", self.backend
        yield "paths", self.paths

    def settings(self) -> str:
        """Every setting can be read."""
        self.blind = True
        layers = layers_of(self._common).layers
        sources = [layer.source for layer in layers if layer.values]
        name = self._config.name
        self.blind = False
        return f"of the daemon {name!r}; read from {', '.join(sources) or 'nothing: all defaults'}"

    def app(self) -> str:
        """The app can be imported, if one is named, and goes with the settings."""
        if not self._config.app:
            raise ConfigError("no app is named", "say which one: workerd -A proj check")
        self._app = load_app(self._config.app, self._config.chdir)
        with_app(layers_of(self._common), self._app)
        return f"{self._config.app}: {counted(len(self._app.tasks), 'task')}"

    def steps(self) -> str | None:
        """The steps of both blueprints can be ordered; None when the app that may add some is missing."""
        if self._app is None:
            return None
        orders = planned(added_steps(self._app, self._config))
        return "; ".join(f"{name}: {', '.join(map(alias_of, order))}" for name, order in orders.items())

    def broker(self) -> str:
        """The broker can be reached, or run."""
        urls = tuple(map(checked_broker, self._client.broker.urls("broker_read_url")))
        if EMBEDDED in urls and not answers(paths.embedded_socket()):
            return f"{EMBEDDED}: not running; `workerd start` runs {find_server()}"
        with self._client.broker.reaching(), self._client.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            rabbit = kind_of(connection) == "amqp"
        told = remarks(self._client, self._config) if rabbit else ()
        return "; ".join((f"{', '.join(map(shown, urls))}: reached", *told))

    def backend(self) -> str:
        """The result backend can be reached, or run."""
        url = checked_backend(self._client.backend_url())
        if url.rstrip("/:") in NO_BACKEND:
            return "none: results are not kept"
        if url.startswith(RPC):
            return f"{url}: results are messages over the broker"
        if url == EMBEDDED and not answers(paths.embedded_socket()):
            return f"{EMBEDDED}: not running; `workerd start` runs it"
        backend = self._client.backend
        backend.get_meta(str(uuid4()))
        if isinstance(backend, FileBackend):
            _check_writable(backend.directory)
        return f"{shown(url)}: reached"

    def paths(self) -> str:
        """The daemon's directories can be written, by no stranger, and its sockets fit."""
        name = self._config.name
        socket = paths.control_socket(name)
        paths.embedded_socket()
        places = (paths.runtime_dir(name), paths.state_dir(name))
        for place in places:
            _check_writable(place)
            # Those of another `user` are given to that one at the start.
            if place.is_dir() and not self._config.user and (trouble := paths.strangers(place)) is not None:
                raise trouble
        return f"{socket}, {places[1]}"

    @cached_property
    def _config(self) -> Config:
        return layers_of(self._common).config()

    @cached_property
    def _client(self) -> App:
        """What talks to broker and backend, also without the app."""
        return with_settings(self._app or App(NO_APP), layers_of(self._common))


def _check_writable(place: Path) -> None:
    """``place``, or the nearest directory above it that exists, can be written."""
    # What lies in a directory that may not be searched does not exist for this user.
    there = next(path for path in (place, *place.parents) if os.access(path, os.F_OK))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionDeniedError(
            f"cannot write {place}: {there} is not writable",
            "run as its owner, or set WORKERD_STATE_DIR and WORKERD_RUNTIME_DIR",
        )
