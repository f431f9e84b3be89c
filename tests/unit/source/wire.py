"""The broker's side of an AMQP connection, byte by byte: what it sends is the test's to say and to cut."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import amqp
from amqp import spec
from amqp.basic_message import Message
from amqp.method_framing import frame_handler, frame_writer
from amqp.serialization import dumps
from amqp.transport import TCPTransport

from tests.support.loop import SelectorLoop
from workerd.source.amqp.channel import TaskChannel
from workerd.source.amqp.header_frames import tolerant
from workerd.source.amqp.link import AmqpLink

PROBE = 3
"""The channel of what is asked and waited for."""
HEARTBEAT = struct.pack(">BHIB", 8, 0, 0, 0xCE)
CLIENT_HEADERS: dict[str, Any] = {"task": "proj.add", "id": "a", "retries": 0, "timelimit": [None, None]}


class Wire:
    """A py-amqp connection past its handshake, with channels 1 and 2 that consume a queue each.

    ``seen`` is all that its consumers have been told, in that order.
    """

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.settimeout(5.0)
        self.connection = connection = amqp.Connection()
        connection.channel_max = 9
        connection.transport = transport = TCPTransport("test")
        transport.sock, transport.connected = ours, True
        transport._setup_transport()
        connection.on_inbound_frame = frame_handler(connection, connection.on_inbound_method)
        connection.frame_writer = frame_writer(connection, transport)
        self.seen: list[tuple[Any, ...]] = []
        self.lost: list[str] = []
        self.channels = {number: self._consuming() for number in (1, 2)}
        self.probe = amqp.Channel(connection, PROBE)
        self.probe.is_open = True
        self.loop = SelectorLoop()
        self.link = AmqpLink(connection, self.loop, self.lost.append)

    def _consuming(self) -> TaskChannel:
        channel = TaskChannel(self.connection)
        channel.is_open, channel.on_got = True, partial(self._see, "got")
        came = partial(self._see, "came", channel.channel_id)
        cancelled = partial(self._cancelled, channel.channel_id)
        channel.basic_consume(
            "q", consumer_tag=tag_of(channel.channel_id), nowait=True, callback=came, on_cancel=cancelled
        )
        return channel

    def _see(self, what: str, where: object, message: Any) -> None:
        # What py-amqp has made of a message and what came past it look the same.
        parts = (message.delivery_info, message.properties, message.body or b"") if message else ()
        self.seen.append((what, where, *parts))

    def _cancelled(self, number: int, tag: str) -> None:
        self.seen.append(("cancelled", number, tag))

    def read(self, data: bytes) -> None:
        """This has come, and the loop says so."""
        self.peer.sendall(data)
        self.link.read()

    def read_the_long_way(self, frames: list[bytes]) -> None:
        """As py-amqp alone does it, frame by frame."""
        self.connection.on_inbound_frame = tolerant(self.connection.on_inbound_frame)
        for frame in frames:
            self.peer.sendall(frame)
            self.connection.blocking_read()

    def written(self) -> bytes:
        """What has been sent to the broker."""
        self.peer.setblocking(False)
        return self.peer.recv(1 << 20)

    def __enter__(self) -> Wire:
        self.link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.link.stop()
        self.connection.collect()
        self.peer.close()
        self.loop.close()


def tag_of(channel: int) -> str:
    """Of the consumer on that channel."""
    return f"consumer {channel}"


def frame(kind: int, channel: int, content: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(content)) + content + b"\xce"


def method(channel: int, signature: tuple[int, int], form: str = "", *args: Any) -> bytes:
    return frame(1, channel, struct.pack(">HH", *signature) + dumps(form, args))


def content(channel: int, body: bytes, properties: bytes, most: int = 1 << 20) -> Iterator[bytes]:
    """A header frame, and bodies of at most so many bytes."""
    yield frame(2, channel, struct.pack(">HHQ", 60, 0, len(body)) + properties)
    for at in range(0, len(body), most):
        yield frame(3, channel, body[at : at + most])


def properties(**fields: Any) -> bytes:
    written: bytes = Message(b"", **fields)._serialize_properties()
    return written


PROPERTIES = properties(
    application_headers=CLIENT_HEADERS, content_type="application/json", delivery_mode=2, correlation_id="a"
)


def delivery(
    channel: int,
    number: int,
    body: bytes = b"[[], {}, {}]",
    *,
    written: bytes = PROPERTIES,
    tag: str = "",
    again: bool = False,
    most: int = 1 << 20,
) -> list[bytes]:
    """The frames of one message."""
    args = (tag or tag_of(channel), number, again, "", f"queue.{channel}")
    return [method(channel, spec.Basic.Deliver, "sLbss", *args), *content(channel, body, written, most)]


def got(channel: int, number: int, body: bytes = b"[[], {}, {}]") -> list[bytes]:
    """The answer to a ``get``."""
    args = (number, False, "", "q", 0)
    return [method(channel, spec.Basic.GetOk, "Lbssl", *args), *content(channel, body, PROPERTIES)]


def cancel(channel: int) -> bytes:
    """The broker ends the consumer."""
    return method(channel, spec.Basic.Cancel, "sb", tag_of(channel), True)


def declared(queue: str = "other") -> bytes:
    """The answer to the probe's question."""
    return method(PROBE, spec.Queue.DeclareOk, "sll", queue, 7, 1)
