"""``workerd start``: from settings to a running daemon, and its exit code.

The order matters: the name's lock before anything that another daemon of that name could be using; signals
before the app's import, so that a stop asked for while it goes on is honoured.

Errors: every WorkerdError goes up to the command line, which prints it and exits with its code.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from workerd.bootsteps import Blueprint
from workerd.config.pools import left_for_default
from workerd.control.lock import NameLock
from workerd.errors import ConfigError, ExitCode, WorkerdError
from workerd.paths import control_socket, ensure_dir, runtime_dir
from workerd.transport.urls import check_urls
from workerd.worker.broker import needs_embedded
from workerd.worker.consumer.consumer import STEPS as CONSUMER_STEPS
from workerd.worker.controller import STEPS as WORKER_STEPS
from workerd.worker.controller import WorkController
from workerd.worker.embedded import find_server
from workerd.worker.identity import Identity
from workerd.worker.inbox import Inbox, StopRequested
from workerd.worker.life import again, leaving, resolver
from workerd.worker.log import logs
from workerd.worker.open_files import OpenFiles
from workerd.worker.watching import check_installed

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.config import Config, Layers

logger = logging.getLogger(__name__)


def run_daemon(layers: Layers, *, dry: bool = False) -> int:
    """Run until a stop; return the exit code.  Does not return from a restart, which is an exec.

    With ``dry`` everything is read and checked as for a start, and nothing is started.
    """
    config = layers.config()
    if not config.app:
        raise ConfigError("no app is named", "say which one: workerd -A proj start")
    control_socket(config.name)
    if dry:
        return try_start(layers, config)
    resolver.be_quick()
    logs.set_up(config.loglevel)
    kept = again.kept_locks()
    with ExitStack() as stack:
        stack.callback(logs.settle)
        files = OpenFiles()
        files.raise_limit()
        stack.callback(files.put_back)
        lock = NameLock(ensure_dir(runtime_dir(config.name)) / "lock")
        lock.acquire(kept.name)
        stack.callback(lock.release)
        identity = Identity(config.name)
        identity.claim(kept.owner)
        stack.callback(identity.release)
        code, restart = serve(layers, config, identity, files)
        if restart:
            # The locks stay ours over the exec; nobody else can start under this name meanwhile.
            again.keep(lock.keep(), identity.keep())
            files.put_back()
            stack.pop_all()
            again.exec_again()
    return code


def serve(layers: Layers, config: Config, identity: Identity, files: OpenFiles) -> tuple[int, bool]:
    """(exit code, whether to exec).  Every signal is blocked from here on when this returns."""
    inbox, before = Inbox(), set(threading.enumerate())
    code: int = ExitCode.BUG
    inbox.install()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        try:
            with inbox.interruptible():
                app = import_app(config.app)
        except StopRequested:
            logger.info("Stopped while the app was being imported")
            code = ExitCode.OK
            return code, False
        # The app may have installed handlers of its own; the supervisor's are the ones that count.
        inbox.install()
        settings = with_app(layers, app)
        worker = WorkController(app, settings, inbox=inbox, identity=identity, open_files=files.given)
        code = worker.run()
        # Until the new code's handlers stand a signal would kill; a blocked one waits for them.
        leaving.hear_nothing_more()
        if worker.restarting:
            worker.last_requests()
        return code, worker.restarting
    except WorkerdError as exc:
        code = exc.exit_code
        raise
    finally:
        leaving.hear_nothing_more()
        inbox.uninstall()
        leaving.do_not_wait_for(set(threading.enumerate()) - before, code)


def try_start(layers: Layers, config: Config) -> int:
    """Read the app, its settings and its steps as a start does; raise what a start would."""
    app = import_app(config.app)
    settings = with_app(layers, app)
    if needs_embedded(settings):
        find_server()
    if settings.watch:
        check_installed()
    Blueprint(name="Worker", default_steps=WORKER_STEPS, steps=app.steps["worker"]).plan()
    Blueprint(name="Consumer", default_steps=CONSUMER_STEPS, steps=app.steps["consumer"]).plan()
    return ExitCode.OK


def with_app(layers: Layers, app: App) -> Config:
    """The settings with those of ``app.conf`` below them; URLs that cannot work are told here."""
    defaults, given = app.daemon_defaults(), layers.config()
    if not given.queues:
        defaults["queues"] = left_for_default(defaults["queues"], given.pools)
    layers = layers.below("app.conf", defaults)
    config = layers.config()
    check_urls(config, layers.source)
    return config


def import_app(name: str) -> App:
    """The App that the daemon serves, and that this user may serve."""
    # Loading kombu and the app takes most of the start; a verb that only talks to a daemon never comes here.
    from workerd.app.loader import load_app  # noqa: PLC0415

    app = load_app(name)
    app.check_safe()
    return app
