"""The words in which the life of a task is told in the log.  Logic emits facts; wording is here.

Each record has a ``data`` beside its text, for logs that programs read: a name for what happened, which task
it was and how it went.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from workerd.delivery.facts import facts, facts_of_delivery, facts_of_end, with_args
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

    def __init__(self) -> None:
        self.say: Callable[[str], bool] = _unsaid
        """A short way into the log for what is told of nearly every task; False when it is closed."""
        self.shows_args = False
        """Tell also the arguments, as the sender has written them into the message."""
        self.tells_received = False
        """``received`` is of use."""

    def look(self) -> None:
        """Messages come: see whether anybody wants to hear of each."""
        self.tells_received = logger.isEnabledFor(logging.DEBUG)

    def received(self, request: Request) -> None:
        logger.debug("Task %s received", request.title, extra=facts("task.received", request))

    def ended(self, request: Request, outcome: Outcome) -> None:
        runtime = f"{outcome.runtime:.3f}s" if outcome.runtime is not None else "?"
        title = request.title if not self.shows_args else with_args(request)
        if outcome.state == "SUCCESS":
            if not self.say(f"Task {title} succeeded in {runtime}: {outcome.repr}"):
                extra = facts_of_end(request, outcome, self.shows_args)
                logger.info("Task %s succeeded in %s: %s", title, runtime, outcome.repr, extra=extra)
            return
        extra = facts_of_end(request, outcome, self.shows_args)
        match outcome.state:
            case "RETRY":
                logger.info("Task %s retry: %s", title, outcome.repr, extra=extra)
            case "REVOKED":
                logger.warning("Task %s terminated after %s: %s", title, runtime, outcome.repr, extra=extra)
            case "IGNORED":
                logger.info("Task %s ignored", title, extra=extra)
            case "REJECTED":
                again = outcome.requeue
                logger.warning("Task %s reject requeue=%s: %s", title, again, outcome.repr, extra=extra)
            case "FAILURE" if outcome.refused:
                logger.warning("Task %s could not be run: %s", title, outcome.repr, extra=extra)
            case "FAILURE" if outcome.expected:
                logger.info("Task %s raised expected: %s", title, outcome.repr, extra=extra)
            case "FAILURE":
                trace = f"\n{outcome.traceback.rstrip()}" if outcome.traceback else ""
                logger.error("Task %s raised unexpected: %s%s", title, outcome.repr, trace, extra=extra)
            case _:
                why, trace = outcome.error or outcome.state, outcome.traceback or ""
                logger.critical("Task %s INTERNAL ERROR: %s\n%s", title, why, trace, extra=extra)

    def lost(self, request: Request, death: Death, limit: int) -> None:
        logger.error(
            "Task %s lost its child %d: %s; it runs again (death %d of %d)",
            request.title,
            death.pid,
            death.words,
            request.deaths,
            limit,
            extra=facts("task.lost", request, error=death.words, deaths=request.deaths),
        )

    def bystander(self, request: Request, death: Death) -> None:
        logger.warning(
            "Task %s lost its child %d: %s; it runs again",
            request.title,
            death.pid,
            death.words,
            extra=facts("task.lost", request, error=death.words),
        )

    def survived(self, request: Request, limit: int) -> None:
        logger.warning(
            "Task %s ran when its supervisor died (death %d of %d)",
            request.title,
            request.deaths,
            limit,
            extra=facts("task.survived", request, deaths=request.deaths),
        )

    def failed_by_death(self, request: Request, death: Death, fate: str) -> None:
        logger.error(
            "Task %s lost its child %d: %s; %s",
            request.title,
            death.pid,
            death.words,
            fate,
            extra=facts("task.failed", request, error=f"{death.words}; {fate}"),
        )

    def parked(self, request: Request) -> None:
        logger.debug(
            "Task %s waits in the broker for its time", request.title, extra=facts("task.parked", request)
        )

    def adopted(self, request: Request, seconds: float) -> None:
        logger.info(
            "Task %s has run for %.0f s: adopted, as RabbitMQ waits no longer; the state database has it",
            request.title,
            seconds,
            extra=facts("task.adopted", request),
        )

    def inherited(self, request: Request, limit: int) -> None:
        logger.warning(
            "Task %s was adopted by a supervisor that ended before it: it goes back to %s (death %d of %d)",
            request.title,
            request.delivery.queue,
            request.deaths,
            limit,
            extra=facts("task.inherited", request, deaths=request.deaths),
        )

    def revoked(self, request: Request) -> None:
        logger.warning(
            "Task %s revoked by an operator before it ran",
            request.title,
            extra=facts("task.revoked", request),
        )

    def expired(self, request: Request) -> None:
        logger.info(
            "Discarding revoked task: %s (expired)", request.title, extra=facts("task.expired", request)
        )

    def unknown(self, request: Request) -> None:
        logger.error(
            "Received unregistered task %s. Does the app import its module?",
            request.title,
            extra=facts("task.unknown", request),
        )

    def malformed(self, delivery: Delivery) -> None:
        logger.warning(
            "Received a malformed message: %s (%d bytes, begins %r)",
            delivery.problem,
            len(delivery.raw),
            delivery.raw[:60],
            extra=facts_of_delivery("message.malformed", delivery, error=delivery.problem),
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
            extra=facts_of_delivery("message.put-aside", delivery, reason=letter.reason),
        )

    def joined(self, request: Request) -> None:
        logger.info(
            "Task %s was delivered again while its run goes on; joined",
            request.title,
            extra=facts("task.joined", request),
        )

    def repeated(self, delivery: Delivery) -> None:
        name = delivery.message.task if delivery.message else "?"
        task_id = delivery.message.id if delivery.message else "?"
        extra = facts_of_delivery("message.repeated", delivery)
        logger.info(
            "Task %s[%s] was delivered again after it had finished; acknowledged", name, task_id, extra=extra
        )

    def repeats(self, request: Request) -> None:
        logger.warning(
            "Task %s was taken over by another node, because this one was silent for longer than its lease; "
            "it runs twice",
            request.title,
            extra=facts("task.repeats", request),
        )

    def taken_over(self, request: Request) -> None:
        logger.warning(
            "Task %s was taken over by another node, because this one was silent for longer than its lease; "
            "it does not run here",
            request.title,
            extra=facts("task.taken-over", request),
        )

    def cannot_begin(self, request: Request, exc: Exception, again: float) -> None:
        logger.error(
            "Task %s cannot be given to a child: %s; tried again in %gs",
            request.title,
            exc or repr(exc),
            again,
            extra=facts("task.waits", request, error=str(exc) or repr(exc)),
        )

    def unsure(self, request: Request) -> None:
        logger.warning(
            "Task %s: the link was lost while it was acknowledged early (acks_late=False); "
            "it runs again only if the broker delivers it again",
            request.title,
            extra=facts("task.unsure", request),
        )

    def cut_off(self, request: Request, why: str) -> None:
        logger.error(
            "Task %s was acknowledged early and will not run: %s",
            request.title,
            why,
            extra=facts("task.cut-off", request, error=why),
        )

    def given_back(self, request: Request, why: str) -> None:
        logger.info(
            "Task %s given back to %s: %s",
            request.title,
            request.delivery.queue,
            why,
            extra=facts("task.given-back", request, reason=why),
        )


def _unsaid(text: str) -> bool:
    """There is no short way."""
    return False
