"""Queues by routing key, as kombu's tables name them."""

from __future__ import annotations

import pytest
from kombu.transport.virtual.exchange import TopicExchange

from workerd.source.redis.routing import queues_for, topic_matches

SEP = "\x06\x16"


def row(key: str, queue: str, pattern: str = "") -> bytes:
    return SEP.join((key, pattern, queue)).encode()


def test_a_direct_exchange_sends_to_every_queue_of_the_key() -> None:
    rows = [row("a", "one"), row("a", "two"), row("a.#", "three"), row("b", "four")]
    assert queues_for("a", rows, SEP) == ["one", "two"]
    assert queues_for("c", rows, SEP) == []


def test_a_topic_exchange_sends_to_what_matches() -> None:
    rows = [row("video.*", "one", "^x$"), row("#.big", "two", "^x$"), row("video", "three")]
    assert queues_for("video.big", rows, SEP) == ["one", "two"]


def test_what_is_no_row_is_passed_over() -> None:
    assert queues_for("a", [b"", b"\xff", b"a", SEP.join("abcd").encode(), row("a", "q")], SEP) == ["c", "q"]


@pytest.mark.parametrize("key", ["a", "a.b", "a.b.c", "b.a", "b", "a.x.c", "x.b.c", "a.b.b.c", ""])
@pytest.mark.parametrize("binding", ["a", "a.b", "*", "a.*", "*.b", "*.b.*", "a.#", "#", "#.c", "a.#.c"])
def test_a_topic_matches_as_in_kombu(binding: str, key: str) -> None:
    kombu = TopicExchange(None)
    theirs = kombu._match(kombu.key_to_pattern(binding), key) is not None
    assert topic_matches(binding, key) is theirs
