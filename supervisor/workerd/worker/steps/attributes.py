"""What the worker's steps put on the worker, for its other steps to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workerd.bootsteps.attributes import FromStep

if TYPE_CHECKING:
    from workerd.worker.autoreloader import Autoreloader
    from workerd.worker.autoscaler import Autoscaler
    from workerd.worker.beat.step import Beat
    from workerd.worker.consumer import Consumer
    from workerd.worker.http.step import Http
    from workerd.worker.loop.hub import Hub
    from workerd.worker.loop.timer import Timer
    from workerd.worker.pool.pools import Pools
    from workerd.worker.pool.step import NamedPool
    from workerd.worker.state.database import Database
    from workerd_pool import Reaper


class StepAttributes:
    """Attributes of the worker that its steps make.

    Each is there once its step has been made, which comes before every step that requires it; before
    that it is an AttributeError that names the step to require.
    """

    hub: FromStep[Hub] = FromStep("Hub")
    """The event loop."""
    reaper: FromStep[Reaper] = FromStep("Hub")
    """Waits for every child process."""
    timer: FromStep[Timer] = FromStep("Timer")
    """The scheduler of the event loop."""
    statedb: FromStep[Database] = FromStep("StateDB")
    """What outlives the daemon, in its state directory."""
    pool: FromStep[NamedPool] = FromStep("Pool")
    """The default pool."""
    pools: FromStep[Pools] = FromStep("Pool")
    """Every pool by its name."""
    autoreloader: FromStep[Autoreloader | None] = FromStep("Autoreloader")
    """Reloads when files change; None without ``watch``."""
    autoscaler: FromStep[Autoscaler] = FromStep("Autoscaler")
    """Moves pools whose size is a range."""
    beat: FromStep[Beat | None] = FromStep("Beat")
    """Sends periodic tasks; None where this daemon does not."""
    http: FromStep[Http | None] = FromStep("Http")
    """Serves health and metrics; None without ``http``."""
    consumer: FromStep[Consumer] = FromStep("Consumer", late=True)
    """The parent of the consumer steps."""
