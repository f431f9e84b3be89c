"""Who is compared: how each is installed, how its worker is started, and what its app file is.

Each runs in the setting that its documents give for production, with its defaults and with the C parser for
Redis; "two children" are two processes.
"""

from __future__ import annotations

import shlex
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from workerd.source.amqp.topology import DELAY_QUEUES

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
PEERS = ROOT / "bench" / ".peers"
REDIS, RABBITMQ = "redis", "rabbitmq"
SPREAD = tuple(f"q{number}" for number in range(64))
"""The queues over which a measure of ours spreads its tasks."""


@dataclass(frozen=True)
class Contender:
    """One task queue."""

    name: str
    command: str
    """The worker's; ``{children}`` is the number of processes."""
    pip: tuple[str, ...] = ()
    """What is installed into its environment; empty for ours, which is in the project's."""
    rates: tuple[tuple[str, int], ...] = ()
    """Brokers that it can use, each with the tasks a second to begin with when a run is sized."""
    queues: tuple[str, ...] = ()
    """Of RabbitMQ, emptied before each run."""
    results: str = ""
    """Of its keys in Redis that hold a result each; or the hash that holds them all."""
    stop: signal.Signals = signal.SIGTERM
    """Asks for an orderly end."""
    fill: str = "fill"
    """The verb of its client by which a queue is filled where that is not measured."""

    @property
    def ours(self) -> bool:
        """Whether it is the daemon of this project, in whatever variant."""
        return not self.pip

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return Path(sys.executable).parent if self.ours else PEERS / self.name / "bin"

    @property
    def installed(self) -> bool:
        """Whether its environment is there."""
        return (self.bin / "python").exists()

    @property
    def app(self) -> str:
        """The module in ``apps``."""
        return f"app_{self.name.replace(' ', '_')}"

    def argv(self, children: int, *words: str) -> list[str]:
        """The worker's command line, with ``words`` at its end."""
        program, *options = shlex.split(self.command.format(children=children))
        return [str(self.bin / program), *options, *words]

    def client(self, *words: object) -> list[str]:
        """The command line of its client: see ``apps/client.py``."""
        return [str(self.bin / "python"), str(APPS / "client.py"), self.app, *map(str, words)]


OURS = Contender(
    "workerd",
    "workerd -A app_workerd start --size {children}",
    rates=((REDIS, 8_000), (RABBITMQ, 5_000)),
    queues=("celery", "celery.dead", *SPREAD, *DELAY_QUEUES),
    results="celery-task-meta-*",
    fill="batch",
)


def variant(feature: str, words: str = "") -> Contender:
    """Ours with an app file of its own, and ``words`` on the command line."""
    name = f"workerd {feature}"
    made = replace(OURS, name=name)
    return replace(made, command=f"workerd -A {made.app} start --size {{children}} {words}")


CELERY = Contender(
    "celery",
    "celery -A app_celery worker --concurrency {children}",
    ("celery[redis]==5.7.*", "hiredis"),
    ((REDIS, 900), (RABBITMQ, 2_500)),
    ("celery",),
    "celery-task-meta-*",
)
DRAMATIQ = Contender(
    "dramatiq",
    "dramatiq app_dramatiq --processes {children}",
    ("dramatiq[redis,rabbitmq]==2.2.*", "hiredis"),
    ((REDIS, 4_000), (RABBITMQ, 5_000)),
    ("default", "default.DQ", "default.XQ"),
    "?" * 32,
)
HUEY = Contender(
    "huey",
    "huey_consumer app_huey.huey --worker-type process --workers {children}",
    ("huey==3.5.*", "redis[hiredis]"),
    ((REDIS, 4_500),),
    results="huey.results.bench",
    stop=signal.SIGINT,
)
RQ = Contender(
    "rq",
    "rq worker-pool --num-workers {children} --logging-level WARNING",
    ("rq==3.0.*", "hiredis"),
    ((REDIS, 400),),
    results="rq:results:*",
)
TASKIQ = Contender(
    "taskiq",
    "taskiq worker app_taskiq:broker --workers {children} --log-level WARNING",
    ("taskiq==0.13.*", "taskiq-redis==1.2.*", "taskiq-aio-pika==0.6.*", "hiredis"),
    ((REDIS, 2_500), (RABBITMQ, 2_500)),
    ("taskiq", "taskiq.dead_letter", "taskiq.delay"),
    "?" * 32,
)
SAQ = Contender(
    "saq",
    "saq app_saq.settings --workers {children}",
    # It imports typing_extensions and does not say so.
    ("saq[redis,hiredis]==0.26.*", "typing_extensions"),
    ((REDIS, 1_300),),
    results="saq:job:default:*",
)

CONTENDERS = {each.name: each for each in (OURS, CELERY, DRAMATIQ, HUEY, RQ, TASKIQ, SAQ)}
