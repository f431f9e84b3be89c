"""Chords counted in a real Redis: each part once, and the body by one process, also when another has died."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.brokers import RedisServer
from tests.unit.app.mail import memory_app, run, sent
from tests.unit.protocol.wire_vectors import vector
from workerd import App
from workerd.backends.base import BackendOptions
from workerd.backends.chords import Count, Part
from workerd.backends.redis import RedisBackend
from workerd.backends.redis_chords import RedisChords
from workerd.errors import UnavailableError


def part(number: int, result: Any = None, state: str = "SUCCESS") -> Part:
    return Part(group_id="g", task_id=f"t{number}", index=number, state=state, result=result or number)


@pytest.fixture
def chords(redis_url: str) -> Iterator[RedisChords]:
    backend = RedisBackend(redis_url, BackendOptions())
    yield backend.chords
    backend.close()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    with redis_server.client() as client:
        yield client


def keys(client: Any) -> set[str]:
    return {key.decode().removeprefix("celery-taskset-meta-g") for key in client.keys("*")}


def test_the_last_part_gets_the_claim_and_the_results_are_in_order(chords: RedisChords, client: Any) -> None:
    chords.expect("g", 3)
    assert [chords.count(part(n), "me") for n in (2, 0)] == [Count.INCOMPLETE, Count.INCOMPLETE]
    assert client.zrange("celery-taskset-meta-g.j", 0, -1) == [
        b'[1, "t0", "SUCCESS", 0]',
        b'[1, "t2", "SUCCESS", 2]',
    ]
    assert client.smembers("celery-taskset-meta-g.d") == {b"t0:0", b"t2:2"}
    assert chords.count(part(1), "me") is Count.OURS
    assert [task_id for task_id, _, _ in chords.parts("g")] == ["t0", "t1", "t2"]
    assert keys(client) == {".s", ".j", ".d", ".c"}
    assert 0 < client.pttl("celery-taskset-meta-g.j") <= 86_400_000
    chords.close("g", "me")
    assert keys(client) == {".c"}
    assert chords.count(part(1), "late") is Count.OVER
    assert keys(client) == {".c"}


def test_the_keys_of_a_chord_are_those_of_celery(chords: RedisChords, client: Any) -> None:
    captured = vector("chords/chord-redis")["keys_midflight"]
    (group_id,) = {key.removeprefix("celery-taskset-meta-")[:-2] for key in captured}
    ((data, score),) = captured[f"celery-taskset-meta-{group_id}.j"]["value"]
    _, task_id, state, result = json.loads(data)
    chords.expect(group_id, 2)
    chords.count(Part(group_id=group_id, task_id=task_id, index=int(score), state=state, result=result), "me")
    found = {key.decode(): (client.type(key).decode(), client.pttl(key)) for key in client.keys("*")}
    assert {key: kind for key, (kind, _) in found.items()} == {k: v["type"] for k, v in captured.items()}
    assert all(abs(found[key][1] - captured[key]["pttl_ms"]) < 60_000 for key in captured)
    for key, value in captured.items():
        match value["type"]:
            case "string":
                assert client.get(key).decode() == value["value"]
            case "set":
                assert {one.decode() for one in client.smembers(key)} == set(value["value"])
            case "zset":
                assert client.zrange(key, 0, -1, withscores=True) == [(data.encode(), score)]


def test_a_part_that_comes_twice_counts_once_whatever_it_returned(chords: RedisChords) -> None:
    chords.expect("g", 2)
    assert chords.count(part(0, "first"), "me") is Count.INCOMPLETE
    assert chords.count(part(0, "second"), "me") is Count.INCOMPLETE
    assert chords.parts("g") == [("t0", "SUCCESS", "first")]


def test_the_claim_of_a_dead_process_passes_on_when_it_has_expired(chords: RedisChords, client: Any) -> None:
    chords.expect("g", 1)
    assert chords.count(part(0), "dead") is Count.OURS
    assert chords.count(part(0), "next") is Count.ANOTHERS
    assert 0 < client.ttl("celery-taskset-meta-g.c") <= 6
    client.delete("celery-taskset-meta-g.c")  # as its time to live does
    assert chords.count(part(0), "next") is Count.OURS
    assert (chords.hold("g", "dead", 30), chords.hold("g", "next", 30)) == (False, True)
    chords.close("g", "dead")
    assert keys(client) >= {".s", ".j"}


def test_a_claim_can_be_given_back(chords: RedisChords) -> None:
    chords.expect("g", 1)
    assert chords.count(part(0), "me") is Count.OURS
    chords.release("g", "another")
    assert chords.count(part(0), "next") is Count.ANOTHERS
    chords.release("g", "me")
    assert chords.count(part(0), "next") is Count.OURS


def test_a_header_can_grow(chords: RedisChords) -> None:
    chords.expect("g", 1)
    chords.expect_more("g")
    assert chords.count(part(0), "me") is Count.INCOMPLETE
    assert chords.count(part(1), "me") is Count.OURS


def test_parts_may_be_kept_in_the_order_of_their_ends(redis_url: str) -> None:
    backend = RedisBackend(redis_url, BackendOptions(chord_ordered=False, key_prefix="p"))
    backend.chords.expect("g", 2)
    assert backend.chords.count(part(1), "me") is Count.INCOMPLETE
    assert backend.chords.count(part(0), "me") is Count.OURS
    assert [task_id for task_id, _, _ in backend.chords.parts("g")] == ["t1", "t0"]
    backend.close()


@pytest.fixture
def app(redis_url: str) -> Iterator[App]:
    with memory_app(result_backend=redis_url) as app:
        app.task(name="part")(lambda: 7)
        app.backend.chords.expect("g", 1)  # type: ignore[union-attr]
        yield app


def member(app: App) -> Any:
    body = app.signature("body", options={"task_id": "B", "group_id": "g"})
    return run(app, "part", embed={"chord": dict(body)}, group="g", group_index=0)


def test_a_body_that_cannot_be_sent_is_sent_by_the_run_that_follows(
    app: App, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: Any) -> None:
        raise UnavailableError("the broker is away")

    with monkeypatch.context() as patch:
        patch.setattr(app.publisher, "send", down)
        first = member(app)
    assert (first.state, first.header["requeue"], sent(app)) == ("REJECTED", True, [])
    assert member(app).state == "SUCCESS"
    (body,) = sent(app)
    assert (body.headers["id"], body.headers["parent_id"], body.headers["group"]) == ("B", "id-1", "g")
    assert member(app).state == "SUCCESS"  # its message may come once more
    assert sent(app) == []


def test_a_run_waits_for_the_claim_of_one_that_has_died(app: App, client: Any) -> None:
    dead = Part(group_id="g", task_id="id-1", index=0, state="SUCCESS", result=7)
    assert app.backend.chords.count(dead, "dead") is Count.OURS  # type: ignore[union-attr]
    client.pexpire("celery-taskset-meta-g.c", 600)
    assert member(app).state == "SUCCESS"
    assert [message.headers["id"] for message in sent(app)] == ["B"]
