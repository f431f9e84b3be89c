"""The child's end: frames as they come, small ones and those that a word announces."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from workerd_pool import frames
from workerd_pool.frames import INLINE, Kind
from workerd_pool.interrupt import Interrupt
from workerd_pool.link import Link

BODY = os.urandom(INLINE + 1)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Link]]:
    """What the supervisor writes to, and what reads it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    up, heard = socket.socketpair()
    link = Link(theirs.detach(), up.detach(), Interrupt())
    with ours, heard:
        yield ours, link
        link.abandon()


def test_nothing_waits_and_the_end(pair: tuple[socket.socket, Link]) -> None:
    down, link = pair
    assert link.receive(wait=False) is None
    down.close()
    assert link.receive() is None


def test_a_large_frame_is_read_with_its_memfd_and_small_ones_around_it(
    pair: tuple[socket.socket, Link],
) -> None:
    down, link = pair
    frames.send(down, Kind.RUN, b"1", b"small")
    frames.send(down, Kind.LARGE)
    frames.send(down, Kind.RUN, b"2", BODY)
    frames.send(down, Kind.RUN, b"3")
    assert link.receive() == (Kind.RUN, b"1", b"small")
    assert link.receive(wait=False) == (Kind.RUN, b"2", BODY)
    assert link.receive(wait=False) == (Kind.RUN, b"3", b"")
    assert link.receive(wait=False) is None


def test_what_was_announced_may_have_been_taken_back_and_come_again(pair: tuple[socket.socket, Link]) -> None:
    down, link = pair
    frames.send(down, Kind.LARGE)
    assert link.receive(wait=False) is None
    frames.send(down, Kind.LARGE)
    frames.send(down, Kind.RUN, b"2", BODY)
    assert link.receive(wait=False) == (Kind.RUN, b"2", BODY)
    frames.send(down, Kind.LARGE)
    frames.send(down, Kind.DRAIN)
    assert link.receive() == (Kind.DRAIN, b"", b"")


def test_no_descriptor_stays_open(pair: tuple[socket.socket, Link]) -> None:
    down, link = pair
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    for _ in range(3):
        frames.send(down, Kind.LARGE)
        frames.send(down, Kind.RUN, b"", BODY)
        link.receive()
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
