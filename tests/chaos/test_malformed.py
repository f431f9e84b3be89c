"""Messages that cannot be read or run: each ends as a dead letter or a failure, and the worker goes on."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.chaos.bed import QUEUE, Bed
from tests.chaos.nonsense import BIG_IN_A_FRAME, Bad, Nonsense, deep
from tests.support.brokers import RedisServer
from tests.support.eventually import eventually
from workerd.protocol.dead import letter_of, open_entry, without_marks
from workerd.source.amqp.header_frames import MOST_KEPT, UNREAD
from workerd.source.amqp.wrapping import unwrapped

MANY = 300


@pytest.mark.timeout(600)
def test_malformed_messages_leave_a_consuming_worker_and_are_explained(
    bed: Bed, rng: random.Random, tmp_path: Path
) -> None:
    node, trap = bed.add(), tmp_path / "unpickled"
    broker = "redis" if isinstance(bed.server, RedisServer) else "rabbitmq"
    nonsense = Nonsense(rng, broker, trap)
    bad = [nonsense.next() for _ in range(MANY)]
    for start in range(0, MANY, 20):
        publish(bed, bad[start : start + 20])
        bed.send(0.0)
    count = bed.exactly_once(within=240)
    assert count.once == MANY // 20

    shown = node.daemon.run(
        "dead", "list", "--json", "--limit", "1000", env={"WORKERD_BROKER": bed.server.url}
    )
    letters = dead_letters(bed)
    fates = Counter(fate(bed, message, letters) for message in bad)
    print(f"{MANY} malformed messages on {broker}: {fates}")
    assert sum(fates.values()) == MANY
    assert len(json.loads(shown.stdout)) == fates["dead letter"], shown.stderr
    status = node.status
    assert status["link"]["restarts"] == 0
    assert status["tasks"]["cut_off"] == 0, "a message has killed a child"
    assert not trap.exists()
    eventually(lambda: node.at_rest)


def publish(bed: Bed, messages: Sequence[Bad]) -> None:
    if isinstance(bed.server, RedisServer):
        with bed.server.client() as client:
            client.lpush(QUEUE, *(message.as_entry() for message in messages))
        return
    with Connection(bed.server.url, transport_options={"confirm_publish": True}) as connection:
        channel: Any = connection.channel()
        for bad in messages:
            with deep():
                channel.basic_publish_confirm(bad.as_content(), "", QUEUE)


def shown(headers: Any) -> str:
    """All of them; of what is nested beyond the limit that Python has in C (3.12) only that."""
    try:
        return repr(headers)
    except RecursionError:
        return "too deep"


Letters = dict[Any, tuple[str, str, str]]
"""Reason, queue and node, by the message; all of it, so that one which was changed on its way is missed."""


def dead_letters(bed: Bed) -> Letters:
    if isinstance(bed.server, RedisServer):
        with bed.server.client() as client:
            opened = [open_entry(entry) for entry in client.lrange(f"{QUEUE}.dead", 0, -1)]
        return {raw: (letter.reason, letter.queue, letter.node) for letter, raw in opened}
    letters: Letters = {}
    with Connection(bed.server.url) as connection, deep():
        channel: Any = connection.channel()
        channel.auto_decode = False
        while (got := channel.basic_get(f"{QUEUE}.dead", no_ack=True)) is not None:
            letter = letter_of(got.headers, "?")
            whole = unwrapped(got)
            body, headers = whole.body or b"", without_marks(whole.headers)
            key: Any = (body, whole.properties.get("message_id"), shown(headers))
            if UNREAD in headers:
                kept = headers[UNREAD]  # text to who reads it, if it happens to be UTF-8
                key = (body, kept.encode("utf-8", "surrogatepass") if isinstance(kept, str) else kept)
            letters[key] = (letter.reason, letter.queue, letter.node)
    return letters


def fate(bed: Bed, bad: Bad, letters: Letters) -> str:
    """What became of it.  Errors: AssertionError where it is gone, or not explained."""
    if isinstance(bed.server, RedisServer):
        keys: list[Any] = [bad.as_entry()]
    else:
        with deep():
            # As it came, or, where nobody can read them, its properties as they came.
            unread = bad.as_content()._serialize_properties()[:MOST_KEPT]
            keys = [(bad.body, bad.id, shown(bad.headers)), (bad.body, unread)]
    for key in set(keys) & set(letters):
        reason, queue, where = letters[key]
        assert reason and queue == QUEUE and where.startswith("main@"), bad.kind
        return "dead letter"
    with bed.results.client() as client:
        stored = client.get(f"celery-task-meta-{bad.id}")
    assert stored is not None, f"{bad.kind} is gone: {bad.as_entry()[:300]!r}"
    meta = json.loads(stored)
    assert meta["status"] == "FAILURE" and meta["result"]["exc_type"], meta
    return "failure"


@pytest.mark.parametrize("server", ["rabbitmq"], indirect=True)
def test_headers_that_fill_their_frame_hold_up_no_dead_letter(bed: Bed) -> None:
    """The letter finds no room among them; a broker ends every connection over a frame that is too large."""
    node = bed.add()
    full = {"task": "ledger.gone", "id": "bad-1", "tenant": "x" * BIG_IN_A_FRAME}
    publish(bed, [Bad(1, "full", full), Bad(2, "small", {"task": "ledger.gone", "id": "bad-2"})])
    eventually(lambda: node.status["tasks"]["put_aside"] == 2)
    eventually(lambda: node.at_rest)

    def dead(*words: str) -> Any:
        done = node.daemon.run("dead", *words, env={"WORKERD_BROKER": bed.server.url})
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert {letter["id"] for letter in json.loads(dead("list", "--json"))} == {"bad-1", "bad-2"}
    assert "unregistered task ledger.gone" in dead("show", "bad-1")
    dead("requeue", "--all")
    eventually(lambda: node.status["tasks"]["put_aside"] == 4)
    eventually(lambda: node.at_rest)
    assert {key[1] for key in dead_letters(bed)} == {"bad-1", "bad-2"}
