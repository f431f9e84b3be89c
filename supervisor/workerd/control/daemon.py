"""What a command needs of the daemon, and nothing more.

``status()`` gives plain values.  The keys that the command line shows, all optional: ``name``, ``pid``,
``state``, ``seconds_left`` (of this part of a stop; None for no stop), ``uptime`` (seconds),
``app``, ``node``, ``broker`` and ``backend`` (texts), ``link``, ``results``
(``pending``, and ``problem``: why they wait), ``queues``,
``cancelled`` (how often the broker has ended the consuming, by queue), ``refused`` (why a queue is not
consumed now, by queue), ``tasks`` (counters by name), ``memory`` (``used`` and ``budget`` in bytes; ``text``;
``stopped``, what is forbidden for want of it), ``pools`` (one mapping each: ``name``, ``queues``,
``generation``, ``lower``, ``upper``, ``wanted``, ``alive``, ``busy``, ``autoscale`` (its ``reason``; None for
a fixed size), ``degraded``, ``deaths``, ``children``), ``limits`` (what an operator has set, by task),
``rates`` (by task: ``rate``, a text, and ``waiting``, messages that wait for their turn),
``statedb`` (why it cannot be written), ``steps``.

A *fact* is a mapping with the key ``event``: ``{"event": "draining", "waiting_for": ["proj.add[4f2a]"],
"seconds_left": 12.5}`` while a stop goes on, ``{"event": "stopped", "code": 0}`` as the last one of a
stop, ``{"event": "restart-failed", "error": ..., "traceback": ...}`` when new code does not start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from workerd.control.remote.node import Node

from workerd.protocol.rate import Rate

Fact = Mapping[str, Any]


class Daemon(Protocol):
    """The daemon as its commands see it; nothing here blocks."""

    @property
    def node(self) -> Node:
        """What remote control needs beside."""

    def status(self) -> dict[str, Any]:
        """Plain values that tell how the daemon is."""

    def health(self) -> dict[str, Any]:
        """``live``: it gets on, and needs no restart; ``ready``: it runs tasks; ``reasons`` why not."""

    def metrics(self) -> dict[str, Any]:
        """What metrics are made of, as plain values, for the program that serves them."""

    def ask_stop(self, now: bool, timeout: float | None) -> None:
        """Begin to stop: at once, or after a drain of at most ``timeout`` seconds (None: as configured)."""

    def ask_reload(self, done: Callable[[bool, str, str], None], whole: bool = False) -> None:
        """Begin a new generation; ``done(ok, message, traceback)`` is called once.

        That is when it has replaced every child that has no task, or, with ``whole``, every child.
        """

    def ask_restart(self) -> None:
        """Drain, then start the daemon's new code in this process."""

    def scale(self, spec: str, pool: str, dry_run: bool) -> dict[str, Any]:
        """Change the wanted size of ``pool``, or with ``dry_run`` only tell what that would do.

        The answer: ``pool``, ``lower``, ``upper``, ``was`` and ``wanted`` (slots before and after), ``alive``
        (children now), ``leaving`` (children that would go: ``slot``, ``pid``, and ``after``, the task that
        each finishes first, None for at once), ``dry_run``.

        Errors: UsageError for a spec that cannot be read and for a pool that is not there.
        """

    def limit(
        self, task: str, soft: float | None, hard: float | None, rate: Rate, reset: bool
    ) -> dict[str, Any]:
        """Change the limits of ``task``: those in seconds also of its runs that go on.

        ``rate`` is how often it may begin on this node.  0 is no limit, None leaves it as it is; ``reset``
        takes back what was set before.  The answer: ``task``, ``pools`` (for each by its name ``soft`` and
        ``hard``, as they are for runs whose message says nothing; None for no limit), ``rate`` (a text),
        ``set`` (those of the three that have been set while the daemon runs), ``running`` (runs that go on),
        ``waiting`` (messages here that wait for their turn).

        Errors: UsageError for a task that is not known, for a soft limit that is not before the hard one, and
        for what is no rate.
        """

    def terminate(self, task_id: str, kill: bool) -> dict[str, Any]:
        """End the runs of one id; ``id``, ``done`` (what was done to each of them, in words).

        Errors: UsageError when this node holds no such task.
        """

    def reopen_log(self) -> dict[str, Any]:
        """Open the log file anew: ``file``, empty where there is none, and the ``problem`` if it cannot."""

    def subscribe(self, callback: Callable[[Fact], None]) -> Callable[[], None]:
        """Tell ``callback`` every fact from now on; the result ends that and may be called twice."""
