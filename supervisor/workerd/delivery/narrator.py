"""The words in which the life of a task is told in the log.  Logic emits facts; wording is here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from workerd.delivery.outcome import Outcome
from workerd.paths import DEFAULT_NAME

if TYPE_CHECKING:
    from workerd.delivery.request import Request
    from workerd.protocol.dead import Letter
    from workerd.source.base import Delivery
    from workerd_pool import Death


logger = logging.getLogger("workerd.task")


class Narrator:
    """One terminal line for each task; errors with the traceback that the child sent."""

    def received(self, request: Request) -> None:
        logger.debug("Task %s received", request.title)

    def ended(self, request: Request, outcome: Outcome) -> None:
        runtime = f"{outcome.runtime:.3f}s" if outcome.runtime is not None else "?"
        match outcome.state:
            case "SUCCESS":
                logger.info("Task %s succeeded in %s: %s", request.title, runtime, outcome.repr)
            case "RETRY":
                logger.info("Task %s retry: %s", request.title, outcome.repr)
            case "REVOKED":
                logger.warning("Task %s terminated after %s: %s", request.title, runtime, outcome.repr)
            case "IGNORED":
                logger.info("Task %s ignored", request.title)
            case "REJECTED":
                logger.warning("Task %s reject requeue=%s: %s", request.title, outcome.requeue, outcome.repr)
            case "FAILURE" if outcome.refused:
                logger.warning("Task %s could not be run: %s", request.title, outcome.repr)
            case "FAILURE" if outcome.expected:
                logger.info("Task %s raised expected: %s", request.title, outcome.repr)
            case "FAILURE":
                trace = f"\n{outcome.traceback.rstrip()}" if outcome.traceback else ""
                logger.error("Task %s raised unexpected: %s%s", request.title, outcome.repr, trace)
            case _:
                logger.critical(
                    "Task %s INTERNAL ERROR: %s\n%s",
                    request.title,
                    outcome.error or outcome.state,
                    outcome.traceback or "",
                )

    def lost(self, request: Request, death: Death, limit: int) -> None:
        logger.error(
            "Task %s lost its child %d: %s; it runs again (death %d of %d)",
            request.title,
            death.pid,
            death.words,
            request.deaths,
            limit,
        )

    def bystander(self, request: Request, death: Death) -> None:
        logger.warning("Task %s lost its child %d: %s; it runs again", request.title, death.pid, death.words)

    def survived(self, request: Request, limit: int) -> None:
        logger.warning(
            "Task %s ran when its supervisor died (death %d of %d)", request.title, request.deaths, limit
        )

    def failed_by_death(self, request: Request, death: Death, fate: str) -> None:
        logger.error("Task %s lost its child %d: %s; %s", request.title, death.pid, death.words, fate)

    def parked(self, request: Request) -> None:
        logger.debug("Task %s waits in the broker for its ETA", request.title)

    def adopted(self, request: Request, seconds: float) -> None:
        logger.info(
            "Task %s has run for %.0f s: adopted, as RabbitMQ waits no longer; the state database has it",
            request.title,
            seconds,
        )

    def inherited(self, request: Request, limit: int) -> None:
        logger.warning(
            "Task %s was adopted by a supervisor that ended before it: it goes back to %s (death %d of %d)",
            request.title,
            request.delivery.queue,
            request.deaths,
            limit,
        )

    def revoked(self, request: Request) -> None:
        logger.warning("Task %s revoked by an operator before it ran", request.title)

    def expired(self, request: Request) -> None:
        logger.info("Discarding revoked task: %s (expired)", request.title)

    def unknown(self, request: Request) -> None:
        logger.error("Received unregistered task %s. Does the app import its module?", request.title)

    def malformed(self, delivery: Delivery) -> None:
        logger.warning(
            "Received a malformed message: %s (%d bytes, begins %r)",
            delivery.problem,
            len(delivery.raw),
            delivery.raw[:60],
        )

    def put_aside(self, delivery: Delivery, letter: Letter, node: str) -> None:
        message, name = delivery.message, node.partition("@")[0]
        logger.warning(
            "Put aside in %s.dead: %s: %s; look at it with: workerd%s dead show %s",
            letter.queue,
            f"{message.shadow or message.task}[{message.id}]" if message else "a message that cannot be read",
            letter.reason,
            "" if name == DEFAULT_NAME else f" -n {name}",
            message.id if message else letter.id,
        )

    def joined(self, request: Request) -> None:
        logger.info("Task %s was delivered again while its run goes on; joined", request.title)

    def repeated(self, delivery: Delivery) -> None:
        name = delivery.message.task if delivery.message else "?"
        task_id = delivery.message.id if delivery.message else "?"
        logger.info("Task %s[%s] was delivered again after it had finished; acknowledged", name, task_id)

    def repeats(self, request: Request) -> None:
        logger.warning(
            "Task %s was taken over by another node, because this one was silent for longer than its lease; "
            "it runs twice",
            request.title,
        )

    def taken_over(self, request: Request) -> None:
        logger.warning(
            "Task %s was taken over by another node, because this one was silent for longer than its lease; "
            "it does not run here",
            request.title,
        )

    def cannot_begin(self, request: Request, exc: Exception, again: float) -> None:
        logger.error(
            "Task %s cannot be given to a child: %s; tried again in %gs",
            request.title,
            exc or repr(exc),
            again,
        )

    def unsure(self, request: Request) -> None:
        logger.warning(
            "Task %s: the link was lost while it was acknowledged early (acks_late=False); "
            "it runs again only if the broker delivers it again",
            request.title,
        )

    def cut_off(self, request: Request, why: str) -> None:
        logger.error("Task %s was acknowledged early and will not run: %s", request.title, why)

    def given_back(self, request: Request, why: str) -> None:
        logger.info("Task %s given back to %s: %s", request.title, request.delivery.queue, why)
