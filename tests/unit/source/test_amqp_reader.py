"""What comes past py-amqp is what would have come through it, wherever the bytes are cut."""

from __future__ import annotations

import random
import socket
from typing import Any

import pytest
from amqp import spec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.source.wire import (
    HEARTBEAT,
    PROPERTIES,
    Wire,
    cancel,
    declared,
    delivery,
    got,
    method,
    properties,
    tag_of,
)
from workerd.source.amqp import deliveries
from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.frames import delivery_at
from workerd.source.amqp.link import READ_SIZE

# Of everything that there is one; a few hundred bytes, because they are cut at each of them.
MIXED = [
    *delivery(1, 1),
    *delivery(2, 1, b"", written=properties()),
    HEARTBEAT,
    *delivery(1, 2, b"four frames", most=3),
    *delivery(1, 3, again=True),
    *delivery(2, 2, written=properties(content_type=b"\xff")),  # which nobody can read
    *got(2, 3),
    cancel(2),
    *delivery(1, 4, b"x"),
]


def interleaved() -> list[bytes]:
    """Frames of one channel's message between those of another's."""
    one, two = delivery(1, 1, b"of the one"), delivery(2, 1, b"of the other", most=5)
    mixed = [one.pop(0), two.pop(0), HEARTBEAT, one.pop(0), *two[:2], one.pop(0), *two[2:]]
    return [*mixed, *delivery(1, 2)]


STREAMS = {"mixed": MIXED, "interleaved": interleaved()}


def expected(frames: list[bytes]) -> list[tuple[object, ...]]:
    with Wire() as wire:
        wire.channels[2].get("q")
        wire.read_the_long_way(frames)
        return wire.seen


@pytest.mark.parametrize("name", STREAMS)
def test_cut_anywhere_it_is_the_same(name: str) -> None:
    data, plain = b"".join(STREAMS[name]), expected(STREAMS[name])
    assert len(plain) >= 3
    for cut in range(len(data) + 1):
        with Wire() as wire:
            wire.channels[2].get("q")
            wire.read(data[:cut])
            wire.read(data[cut:])
            assert not wire.lost, cut
            assert wire.seen == plain, cut


def test_byte_by_byte_and_all_at_once_it_is_the_same() -> None:
    frames = MIXED + interleaved()
    plain = expected(frames)
    for pieces in ([b"".join(frames)], [bytes([byte]) for byte in b"".join(frames)]):
        with Wire() as wire:
            wire.channels[2].get("q")
            for piece in pieces:
                wire.read(piece)
            assert wire.seen == plain


MESSAGES = st.fixed_dictionaries(
    {
        "body": st.one_of(st.just(b""), st.binary(max_size=40), st.just(bytes(3000))),
        "written": st.sampled_from(
            [PROPERTIES, properties(), properties(content_type=b"\xff"), b"\x20\x00?"]
        ),
        "again": st.booleans(),
        "most": st.sampled_from([1000, 20, 1]),
        "tag": st.sampled_from(["", "", "", "nobody's"]),
    }
)


def merged(one: list[bytes], two: list[bytes], rng: random.Random) -> list[bytes]:
    """The frames of two channels, each in its order, and some heartbeats."""
    left, frames = [one[::-1], two[::-1]], []
    while any(left):
        part = rng.choice([frames for frames in left if frames])
        frames += [part.pop() for _ in range(min(rng.choice([1, 3, 3, 9]), len(part)))]
        frames += [HEARTBEAT] * (rng.random() < 0.1)
    return frames


@given(st.lists(MESSAGES, max_size=5), st.lists(MESSAGES, max_size=5), st.randoms(use_true_random=False))
def test_whatever_comes_and_however_it_is_cut_it_is_the_same(
    one: list[dict[str, Any]], two: list[dict[str, Any]], rng: random.Random
) -> None:
    streams = [
        [frame for number, options in enumerate(messages) for frame in delivery(channel, number, **options)]
        for channel, messages in ((1, one), (2, two))
    ]
    frames = merged(*streams, rng)
    data = b"".join(frames)
    with Wire() as plain, Wire() as wire:
        plain.read_the_long_way(frames)
        at = 0
        while at < len(data):
            size = rng.choice([1, 10, 100, 1000])
            wire.read(data[at : at + size])
            at += size
        assert not wire.lost
        assert wire.seen == plain.seen
        assert wire.written() == plain.written()  # what nobody consumes is rejected


def test_usual_messages_do_come_past_py_amqp_wherever_they_are_cut() -> None:
    usual = b"".join([*delivery(1, 1), *delivery(1, 2, b"")])
    for cut in range(len(usual) + 1):
        with Wire() as wire:
            came: list[object] = []
            wire.channels[1].callbacks[tag_of(1)] = came.append
            wire.read(usual[:cut])
            wire.read(usual[cut:] + b"".join(delivery(1, 3, most=4)))
            assert [type(message) is Arrival for message in came] == [True, True, False], cut


def test_what_several_consumers_get_in_turn_is_read_the_long_way_once_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long_way: list[int] = []

    def counted(buffer: bytes, at: int) -> tuple[Arrival | None, int]:
        long_way.append(at)
        return delivery_at(buffer, at)

    monkeypatch.setattr(deliveries, "delivery_at", counted)
    tags = ["a", "another", "b", "c"] * 3
    buffer = b"".join(b"".join(delivery(1, number, tag=tag)) for number, tag in enumerate(tags, 1))
    reader, at, came = deliveries.Deliveries(), 0, []
    while at < len(buffer):
        arrival, at = reader.at(buffer, at)
        assert arrival is not None
        came.append((arrival.consumer_tag, arrival.delivery_tag))
    assert came == [(tag, number) for number, tag in enumerate(tags, 1)]
    assert len(long_way) == 4


def test_ways_of_consumers_that_have_ended_are_forgotten() -> None:
    reader = deliveries.Deliveries()
    for number in range(deliveries.MOST + 1):
        reader.at(b"".join(delivery(1, 1, tag=f"workerd.{number}.q")), 0)
    assert len(reader._ways) <= deliveries.MOST


def test_usual_messages_are_a_sign_of_life_as_well() -> None:
    with Wire() as wire:
        wire.connection.heartbeat = 10
        wire.connection.heartbeat_tick()
        heard = wire.connection.last_heartbeat_received
        wire.read(b"".join(delivery(1, 1)))
        wire.connection.heartbeat_tick()
        assert wire.connection.last_heartbeat_received > heard


def test_more_than_one_read_of_the_socket_can_hold() -> None:
    body = bytes(READ_SIZE - 1000)
    frames = [frame for number in range(4) for frame in delivery(1, number, body)]
    plain = expected(frames)
    with Wire() as wire:
        wire.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        wire.read(b"".join(frames))
        while wire.loop.descriptors and len(wire.seen) < 4:
            wire.loop.run_once()
        assert wire.seen == plain


# -- beside what py-amqp is asked, and waits for ------------------------------------------------------


def ask(wire: Wire) -> Any:
    return wire.probe.queue_declare("other", passive=True)


def test_a_question_is_answered_in_the_middle_of_everything() -> None:
    frames = [*MIXED, declared(), *interleaved()]
    plain, data = expected([*MIXED, *interleaved()]), b"".join(frames)
    answer = len(b"".join(MIXED))
    for cut in range(answer + 1):
        with Wire() as wire:
            wire.channels[2].get("q")
            wire.read(data[:cut])
            wire.peer.sendall(data[cut:])
            assert ask(wire).message_count == 7
            wire.link.read()
            assert wire.seen == plain, cut


def test_a_handler_may_ask_in_the_middle_of_everything() -> None:
    behind = [*delivery(1, 2), *delivery(1, 3, most=4), declared(), *delivery(1, 4)]
    data = b"".join([*delivery(1, 1), cancel(2), *behind])
    for cut in range(len(data) + 1):
        with Wire() as wire:
            rest = [data[cut:]]

            def handle(tag: str, wire: Wire = wire, rest: list[bytes] = rest) -> None:
                wire.peer.sendall(b"".join(rest))
                rest.clear()
                assert ask(wire).message_count == 7

            wire.channels[2].cancel_callbacks[tag_of(2)] = handle
            wire.read(data[:cut])
            wire.read(b"".join(rest))
            numbers = [seen[2]["delivery_tag"] for seen in wire.seen]
            assert numbers == [1, 2, 3, 4], cut
            assert not wire.lost


def test_a_question_that_is_not_answered_in_time_leaves_everything_in_its_place() -> None:
    frames = [*MIXED, *interleaved()]
    plain, data = expected(frames), b"".join(frames)
    for cut in range(0, len(data), 7):
        with Wire() as wire:
            wire.channels[2].get("q")
            wire.read(data[:cut])
            with pytest.raises(TimeoutError):
                wire.connection.drain_events(timeout=1e-3)
            wire.read(data[cut:])
            assert wire.seen == plain, cut


# -- ends --------------------------------------------------------------------------------------------


def test_what_comes_for_a_channel_that_we_close_is_no_news() -> None:
    frames = [*delivery(1, 1), *delivery(1, 2), *delivery(1, 3, most=5), *delivery(2, 1)]
    data, closed = b"".join(frames), method(1, spec.Channel.CloseOk)
    for cut in range(len(data) + 1):
        with Wire() as wire:
            wire.read(data[:cut])
            before = len(wire.seen)
            wire.peer.sendall(data[cut:] + closed + b"".join(delivery(2, 2)))
            wire.channels[1].close()
            wire.link.read()
            assert not wire.lost
            late = wire.seen[before:]
            assert {seen[1] for seen in late} == {2}, cut
            assert late[-1][2]["delivery_tag"] == 2


def test_a_channel_that_the_broker_closes_is_the_end_of_the_link() -> None:
    closing = method(1, spec.Channel.Close, "BsBB", 406, "PRECONDITION_FAILED - x", 60, 80)
    opened = method(1, spec.Channel.OpenOk, "S", "")  # py-amqp opens it again
    before, behind = b"".join([*delivery(1, 1), closing]), b"".join([opened, *delivery(1, 2)])
    for cut in range(len(before)):
        with Wire() as wire:
            wire.read(before[:cut])
            wire.read(before[cut:] + behind)
            assert len(wire.lost) == 1
            assert "406" in wire.lost[0]
            assert [seen[2]["delivery_tag"] for seen in wire.seen] == [1]


@pytest.mark.parametrize("spoilt", [b"\xcd", b""])
def test_bytes_that_are_no_frame_are_the_end_of_the_link(spoilt: bytes) -> None:
    for number in range(3):
        frames = delivery(1, 2)
        frames[number] = frames[number][:-1] + spoilt
        with Wire() as wire:
            wire.read(b"".join([*delivery(1, 1), *frames, *delivery(1, 3), *delivery(1, 4)]))
            assert len(wire.lost) == 1
            assert len(wire.seen) <= 2
