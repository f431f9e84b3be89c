"""The dead queues of RabbitMQ.

A queue cannot be read without taking its messages.  They are taken without an acknowledgement, and go back
to their places when the channel is closed: so it is for classic queues, and an interrupted command leaves
them as they were.  A quorum queue counts each return and drops what was returned too often; there each
message is published once more, behind the others, and then acknowledged, until all have passed and the
order is what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from amqp.basic_message import Message as Content
from amqp.exceptions import MessageNacked, NotFound

from workerd.errors import UnavailableError
from workerd.protocol.dead import REQUEUED, Letter, letter_of, without_marks
from workerd.protocol.message import MalformedError, Message, message_from_amqp
from workerd.source.amqp.marking import NOT_KEPT
from workerd.source.amqp.queues import declare_task_queue, is_classic
from workerd.source.amqp.wrapping import fits, unwrapped
from workerd.source.dead_queues import TIMEOUT, DeadLetter, Wanted

if TYPE_CHECKING:
    from kombu.connection import Connection

SPARE = 2000
"""Bytes of a frame for the properties beside the headers: eight of them are texts of 255 bytes at most."""


class AmqpDeadQueues:
    """Over a connection of its own, opened at once; py-amqp's errors go up."""

    def __init__(self, connection: Connection) -> None:
        ours: Any = connection  # kombu's own types are incomplete
        ours.ensure_connection(max_retries=1, interval_start=0, reraise_as_library_errors=False)
        ours.connection.sock.settimeout(TIMEOUT)
        self._connection = ours

    def names(self) -> set[str]:
        return set()  # the broker does not tell a client of AMQP which queues there are

    def count(self, queue: str) -> int:
        with closing(self._connection.channel()) as channel:
            try:
                return int(channel.queue_declare(f"{queue}.dead", passive=True).message_count)
            except NotFound:
                return 0

    def scan(self, queue: str) -> Iterator[DeadLetter]:
        with self._pass(queue) as passing:
            yield from passing.letters()

    def requeue(self, queue: str, wanted: Wanted) -> Iterator[DeadLetter]:
        with self._pass(queue) as passing:
            for letter in passing.letters():
                if wanted(letter):
                    declare_task_queue(self._connection, letter.letter.queue)
                    passing.move(letter.letter.queue)
                    yield letter

    def purge(self, queue: str) -> int:
        with closing(self._connection.channel()) as channel:
            try:
                return int(channel.queue_purge(f"{queue}.dead"))
            except NotFound:
                return 0

    def close(self) -> None:
        self._connection.release()

    @contextmanager
    def _pass(self, queue: str) -> Iterator[_Pass]:
        count = self.count(queue)
        classic = not count or is_classic(self._connection, f"{queue}.dead")
        with closing(self._connection.channel()) as channel:
            passing = _Pass(channel, queue, count, classic)
            try:
                yield passing
            except GeneratorExit:  # whoever reads has seen enough
                passing.finish()
                raise
            passing.finish()


class _Pass:
    """Once through a dead queue, each message in its turn; what is not moved stays."""

    def __init__(self, channel: Any, queue: str, count: int, classic: bool) -> None:
        channel.auto_decode = False
        self._channel, self._queue, self._left, self._classic = channel, queue, count, classic
        self._taken: Any = None
        self._returned = self._read = False
        channel.events["basic_return"].add(self._no_such_queue)

    def letters(self) -> Iterator[DeadLetter]:
        while self._next():
            yield _read(self._queue, self._taken)

    def move(self, queue: str) -> None:
        """The one that was read last goes to ``queue``, as a new message."""
        original = unwrapped(self._taken)
        headers = without_marks(original.headers or {})
        marked = {**headers, REQUEUED: str(uuid4())}
        room = fits(Content(b"", application_headers=marked), self._channel.connection.frame_max - SPARE)
        self._copy(queue, marked if room else headers, original)

    def finish(self) -> None:
        """Also what was not read keeps its place, and what was read has it again when this returns."""
        if not self._classic:
            while self._next():
                pass
        elif self._read:
            self._channel.basic_recover(requeue=True)
            # The queue is asked over the same channel, so it has taken all back before it answers.
            with suppress(NotFound):
                self._channel.queue_declare(f"{self._queue}.dead", passive=True)

    def _next(self) -> bool:
        self._stay()
        self._taken = self._channel.basic_get(f"{self._queue}.dead") if self._left > 0 else None
        self._left -= 1
        self._read = self._read or self._taken is not None
        return self._taken is not None

    def _stay(self) -> None:
        if self._taken is not None and not self._classic:
            self._copy(f"{self._queue}.dead", self._taken.headers or {}, self._taken)

    def _copy(self, queue: str, headers: dict[str, Any], message: Any) -> None:
        """Publish ``message`` for what was taken; once the broker has confirmed that, acknowledge it."""
        taken, self._taken, self._returned = self._taken, None, False
        properties = {key: value for key, value in message.properties.items() if key not in NOT_KEPT}
        content = Content(message.body, application_headers=headers, **properties)
        try:
            self._channel.basic_publish_confirm(
                content, "", queue, mandatory=True, timeout=TIMEOUT, confirm_timeout=TIMEOUT
            )
        except MessageNacked as exc:
            raise UnavailableError(
                f"queue {queue} takes no more", "make room in it; the message is where it was"
            ) from exc
        except TimeoutError as exc:
            raise UnavailableError(
                f"the broker did not confirm a message for {queue} within {TIMEOUT:g} s",
                "it may be short of memory or disk; nothing is lost",
            ) from exc
        if self._returned:
            raise UnavailableError(f"queue {queue} is gone", "the message is where it was")
        self._channel.basic_ack(taken.delivery_tag)

    def _no_such_queue(self, *_: Any) -> None:
        self._returned = True


def _read(queue: str, taken: Any) -> DeadLetter:
    try:
        letter = letter_of(taken.headers or {}, queue)
    except MalformedError as exc:
        letter = Letter(reason=f"no letter: {exc}", queue=queue, time=0.0)
    message = unwrapped(taken)
    own, body = without_marks(message.headers or {}), message.body or b""
    properties = {key: value for key, value in message.properties.items() if key != "application_headers"}
    try:
        read: Message | None = message_from_amqp(
            properties, own, body, exchange="", routing_key=letter.queue, redelivered=False
        )
    except MalformedError:
        read = None
    return DeadLetter(letter, queue, body if isinstance(body, bytes) else body.encode(), own, read)
