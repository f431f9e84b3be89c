"""Frames over real socket pairs, cut in every way."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workerd_pool import frames
from workerd_pool.errors import ProtocolError
from workerd_pool.frames import INLINE, PREFIX, Decoder, Kind

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def packets() -> Iterator[Pair]:
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield a, b
    a.close()
    b.close()


@pytest.fixture
def stream() -> Iterator[Pair]:
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    yield a, b
    a.close()
    b.close()


def test_a_packet_holds_one_frame(packets: Pair) -> None:
    a, b = packets
    frames.send(a, Kind.RUN, b"header", b"body")
    frames.send(a, Kind.DRAIN)
    assert frames.receive(b) == (Kind.RUN, b"header", b"body", [])
    assert frames.receive(b) == (Kind.DRAIN, b"", b"", [])
    a.close()
    assert frames.receive(b) is None


@pytest.mark.parametrize("sizes", [(INLINE, 0), (INLINE, 1), (1, INLINE), (0, 3_000_000), (300_000, 300_000)])
def test_big_frames_come_through_a_packet_and_through_a_stream(
    packets: Pair, stream: Pair, sizes: tuple[int, int]
) -> None:
    header, body = os.urandom(sizes[0]), os.urandom(sizes[1])
    frames.send(packets[0], Kind.RUN, header, body)
    assert frames.receive(packets[1]) == (Kind.RUN, header, body, [])
    decoder = Decoder()
    stream[1].setblocking(False)
    frames.send(stream[0], Kind.PROGRESS, b"s")
    frames.send(stream[0], Kind.DONE, header, body)
    got: list[frames.Frame] = []
    while len(got) < 2:
        got += decoder.feed(*frames.receive_bytes(stream[1]))
    assert got == [(Kind.PROGRESS, b"s", b""), (Kind.DONE, header, body)]


def test_descriptors_ride_behind_the_memfd(packets: Pair) -> None:
    reader, writer = os.pipe()
    frames.send(packets[0], Kind.FORK, b"h" * 100_000, fds=(reader, writer))
    got = frames.receive(packets[1])
    assert got is not None and got[1] == b"h" * 100_000
    os.write(got[3][1], b"x")
    assert os.read(reader, 1) == b"x"
    assert not any(os.get_inheritable(fd) for fd in got[3])
    frames.close_all([reader, writer, *got[3]])


def test_a_full_packet_socket_takes_a_frame_whole_or_not_at_all(packets: Pair) -> None:
    a, b = packets
    a.setblocking(False)
    b.setblocking(False)
    written = 0
    with pytest.raises(BlockingIOError):
        for written in range(10_000):  # noqa: B007 - counted by the loop
            frames.send(a, Kind.RUN, b"", b"x" * 50_000)
    for _ in range(written):
        got = frames.receive(b)
        assert got is not None and len(got[2]) == 50_000
    with pytest.raises(BlockingIOError):
        frames.receive(b)


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=8), st.data())
def test_a_stream_may_be_cut_anywhere(parts: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    sent = [(int(Kind.PROGRESS), header, body) for header, body in parts]
    raw = b"".join(frames.pack(*frame) for frame in sent)
    decoder, got = Decoder(), []
    while raw:
        cut = data.draw(st.integers(1, len(raw)))
        got += decoder.feed(raw[:cut])
        raw = raw[cut:]
    assert got == sent


def test_a_frame_that_claims_too_much_is_refused() -> None:
    with pytest.raises(ProtocolError, match="inline"):
        Decoder().feed(PREFIX.pack(Kind.DONE, 1, INLINE))


def test_a_memfd_frame_without_its_descriptor_is_refused(packets: Pair) -> None:
    raw = PREFIX.pack(Kind.DONE | frames.BY_MEMFD, 1, 1)
    with pytest.raises(ProtocolError, match="without its descriptor"):
        Decoder().feed(raw)
    packets[0].send(raw)
    with pytest.raises(ProtocolError, match="without its descriptor"):
        frames.receive(packets[1])


def test_a_memfd_that_is_too_short_is_refused_and_closed() -> None:
    fd = os.memfd_create("short")
    with pytest.raises(ProtocolError, match="shorter"):
        Decoder().feed(PREFIX.pack(Kind.DONE | frames.BY_MEMFD, 10, 10), [fd])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_packet_whose_lengths_do_not_add_up_is_refused(packets: Pair) -> None:
    for raw in (b"\x01", PREFIX.pack(Kind.RUN, 1, 1), PREFIX.pack(Kind.RUN, 0, 0) + b"more"):
        packets[0].send(raw)
        with pytest.raises(ProtocolError):
            frames.receive(packets[1])


def test_a_closed_decoder_gives_its_descriptors_back() -> None:
    decoder, fd = Decoder(), os.memfd_create("waiting")
    decoder.feed(b"", [fd])
    decoder.close()
    decoder.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
