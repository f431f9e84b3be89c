"""``workerd start``: from settings to a running daemon, and its exit code.

The order matters: the name's lock before anything that another daemon of that name could be using; signals
before the app's import, so that a stop asked for while it goes on is honoured.

Errors: every WorkerdError goes up to the command line, which prints it and exits with its code.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from workerd.app.settings.explain import APP, without_effect
from workerd.config.pools import left_for_default
from workerd.control.lock import NameLock
from workerd.errors import ConfigError, ExitCode, WorkerdError, exit_code
from workerd.paths import control_socket, own_dir, runtime_dir
from workerd.signals import celeryd_init
from workerd.transport.urls import check_urls
from workerd.worker.broker import needs_embedded
from workerd.worker.control import all_commands
from workerd.worker.controller import WorkController
from workerd.worker.embedded import find_server
from workerd.worker.given import Given
from workerd.worker.identity import Identity
from workerd.worker.life import again, leaving, resolver
from workerd.worker.log import logs
from workerd.worker.loop.inbox import Inbox, StopRequested
from workerd.worker.open_files import OpenFiles
from workerd.worker.process.shape import take_shape, try_shape
from workerd.worker.served import queues_by_pool
from workerd.worker.service.notifier import Notifier
from workerd.worker.steps.added import added_steps
from workerd.worker.steps.blame import blamed
from workerd.worker.steps.planned import planned
from workerd.worker.watching import check_installed
from workerd_pool import collector

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.bin.user_words import UserWords
    from workerd.config import Config, Layers

logger = logging.getLogger(__name__)


def run_daemon(layers: Layers, words: UserWords, *, dry: bool = False) -> int:
    """Run until a stop; return the exit code.  Does not return from a restart, which is an exec.

    ``words`` may be options of the app.  With ``dry`` everything is read and checked as for a start, and
    nothing is started.
    """
    config = layers.config()
    if not config.app:
        words.refuse()
        raise ConfigError("no app is named", "say which one: workerd -A proj start")
    control_socket(config.name)
    follows = again.follows()
    if dry:
        try_shape(config, follows=follows)
        return try_start(layers, words)
    resolver.be_quick()
    kept, notifier = again.kept_locks(), Notifier()
    # After an exec: between the loop of the image before and ours nobody else feeds it.
    notifier.tell("WATCHDOG=1")
    with ExitStack() as stack:
        stack.callback(logs.settle)
        stack.enter_context(telling_failures(notifier))
        if (pid_file := take_shape(config, follows=follows)) is not None:
            stack.callback(pid_file.release)
        # Where its file is depends on the directory, and whose it is on the user.
        logs.set_up(config.loglevel, config.log)
        files = OpenFiles()
        files.raise_limit()
        stack.callback(files.put_back)
        lock = NameLock(own_dir(runtime_dir(config.name)) / "lock")
        lock.acquire(kept.name)
        stack.callback(lock.release)
        identity = Identity(config.name)
        identity.claim(kept.owner)
        stack.callback(identity.release)
        code, restart = serve(layers, words, identity, files, notifier)
        if restart:
            # The locks stay ours over the exec; nobody else can start under this name meanwhile.
            again.keep(lock.keep(), identity.keep())
            notifier.give_back()
            files.put_back()
            stack.pop_all()
            again.exec_again()
    return code


@contextmanager
def telling_failures(notifier: Notifier) -> Iterator[None]:
    """The reason of an end stands in ``systemctl status`` too, also when the log is elsewhere."""
    try:
        yield
    except WorkerdError as exc:
        notifier.tell(status=str(exc))
        raise


def serve(
    layers: Layers, words: UserWords, identity: Identity, files: OpenFiles, notifier: Notifier
) -> tuple[int, bool]:
    """(exit code, whether to exec).  Every signal is blocked from here on when this returns."""
    inbox, before = Inbox(), set(threading.enumerate())
    code: int = ExitCode.BUG
    inbox.install()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        try:
            notifier.tell(status="importing the app")
            with inbox.interruptible():
                app, given = import_app(layers, words)
        except StopRequested:
            logger.info("Stopped while the app was being imported")
            code = ExitCode.OK
            return code, False
        # The app may have installed handlers of its own; the supervisor's are the ones that count.
        inbox.install()
        worker = announced(app, identity.node, given)
        worker.__init__(  # type: ignore[misc]
            app,
            with_app(layers, app),
            inbox=inbox,
            identity=identity,
            notifier=notifier,
            open_files=files.given,
            given=given,
        )
        prepare(worker)
        collector.spare()
        code = worker.run()
        # Until the new code's handlers stand a signal would kill; a blocked one waits for them.
        leaving.hear_nothing_more()
        if worker.restarting:
            worker.last_requests()
        return code, worker.restarting
    except SystemExit as exc:
        code = exit_code(exc)
        logger.warning("The daemon ends: %r %s", exc, blamed(exc))
        return code, False
    except WorkerdError as exc:
        code = exc.exit_code
        raise
    finally:
        leaving.hear_nothing_more()
        inbox.uninstall()
        leaving.do_not_wait_for(set(threading.enumerate()) - before, code)


def announced(app: App, node: str, given: Given) -> WorkController:
    """What will be the worker; a receiver of this signal may change settings of the app before they count."""
    worker = WorkController.__new__(WorkController)
    worker.app, worker.hostname = app, node
    celeryd_init.send(sender=node, instance=worker, conf=app.conf, options=dict(given.options))
    return worker


def prepare(worker: WorkController) -> None:
    """What the app says of the log, and every step."""
    worker.moments.making_steps()
    logs.ask_app(worker.config.loglevel, worker.app.conf, worker.config.log)
    for told in without_effect(worker.app.conf):
        logger.info("%s", told)
    worker.make_steps()


def try_start(layers: Layers, words: UserWords) -> int:
    """Read the app, its options, settings and steps as a start does; raise what a start would."""
    app, _ = import_app(layers, words)
    settings = with_app(layers, app)
    queues_by_pool(app, settings)
    if needs_embedded(settings):
        find_server()
    if settings.watch:
        check_installed()
    all_commands()
    planned(added_steps(app, settings))
    return ExitCode.OK


def with_app(layers: Layers, app: App) -> Config:
    """The settings with those of ``app.conf`` below them; URLs that cannot work are told here."""
    layers = above_app(layers, app)
    config = layers.config()
    check_urls(config, layers.source)
    return config


def above_app(layers: Layers, app: App) -> Layers:
    """These layers with the settings of ``app.conf`` below them."""
    defaults, given = app.daemon_defaults(), layers.config()
    if not given.queues:
        defaults["queues"] = left_for_default(defaults["queues"], given.pools)
    return layers.below(APP, defaults)


def import_app(layers: Layers, words: UserWords) -> tuple[App, Given]:
    """The App that the daemon serves, which this user may serve, and what its own options say."""
    # Loading kombu and the app takes most of the start; a verb that only talks to a daemon never comes here.
    from workerd.app.loader import find_app, import_modules  # noqa: PLC0415

    app = find_app(layers.config().app)
    options = words.read(app)
    import_modules(app)
    app.check_safe()
    return app, Given(options, words.words, app.conf.given())
