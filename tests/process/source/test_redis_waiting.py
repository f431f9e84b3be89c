"""How an idle node learns of a message, with and without the server's help."""

from __future__ import annotations

import time

import pytest
import redis

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, envelope
from workerd.source.redis import group as redis_group
from workerd.source.redis import source as redis_source

NEVER = 600.0


def looks(client: redis.Redis) -> int:
    """Scripts that the server has run."""
    return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def idle(node: Node) -> Node:
    """``node`` with room, after its last look at empty lists."""
    node.source.fetch(GROUP, 10)
    node.until(lambda: node.source._groups[GROUP].looks.armed)  # type: ignore[attr-defined]
    return node


@pytest.fixture
def no_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look each second would hide a wake-up that did not come."""
    monkeypatch.setattr(redis_source, "NET", NEVER)


@pytest.mark.usefixtures("no_net")
@pytest.mark.parametrize("level", ["q", "q\x06\x169", "r"])
def test_the_server_wakes_an_idle_node(
    node: MakeNode, redis_url: str, client: redis.Redis, level: str
) -> None:
    ours = idle(node(redis_url).start("q", "r"))
    assert ours.source.info()["wakes_by"] == "push"
    for n in range(5):
        client.lpush(level, envelope(f"t{n}"))
        ours.until(lambda n=n: len(ours.got) == n + 1)  # type: ignore[misc]
        ours.source.fetch(GROUP, 10)


@pytest.mark.usefixtures("no_net")
def test_every_idle_node_is_woken_and_one_has_the_message(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    nodes = [idle(node(redis_url, f"host:{n}").start()) for n in range(3)]

    def total() -> int:
        for each in nodes:
            each.turn()
        return sum(len(each.got) for each in nodes)

    for n in range(10):
        client.lpush("q", envelope(f"t{n}"))
        nodes[0].until(lambda n=n: total() == n + 1)  # type: ignore[misc]
        for each in nodes:
            each.source.fetch(GROUP, 10)


@pytest.mark.usefixtures("no_net")
def test_work_that_others_do_on_the_in_flight_store_wakes_nobody(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.lpush("other", *(envelope(f"t{n}") for n in range(20)))
    ours = idle(node(redis_url, "host:1").start("q"))
    busy = node(redis_url, "host:2").start("other")
    before = ours.source._groups[GROUP].looks._number  # type: ignore[attr-defined]
    for _ in range(20):
        busy.confirmed(busy.source.settle, busy.fetch(1))
        ours.turn()
    client.lpush("q", envelope("mine"))
    ours.until(lambda: ours.ids == ["mine"])
    assert ours.source._groups[GROUP].looks._number == before + 10  # type: ignore[attr-defined]


@pytest.mark.usefixtures("no_net")
def test_who_is_woken_looks_in_the_same_turn_of_the_loop(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = idle(node(redis_url).start())
    looking, pacer = ours.source._groups[GROUP].looks, ours.source._pacer  # type: ignore[attr-defined]
    ours.until(lambda: pacer._next < time.monotonic())  # it has rested from its last look
    client.lpush("q", envelope("t"))
    while looking.armed:
        ours.turn()
    assert looking.under_way
    ours.until(lambda: ours.ids == ["t"])


@pytest.mark.usefixtures("no_net")
def test_who_waits_for_the_servers_word_does_not_look_beside_what_it_settles(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.lpush("q", envelope("t"))
    ours = idle(node(redis_url).start())
    ours.until(lambda: ours.source._groups[GROUP].looks.armed)  # type: ignore[attr-defined]
    before = looks(client)
    ours.confirmed(ours.source.settle, ours.got[:])
    assert looks(client) == before + 1  # the settlement itself


@pytest.mark.usefixtures("no_net")
def test_a_message_that_comes_while_there_is_no_room_is_found_when_there_is(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = idle(node(redis_url).start())
    ours.source.fetch(GROUP, 0)
    client.lpush("q", envelope("t"))
    ours.until(lambda: not ours.source._groups[GROUP].looks.armed)  # type: ignore[attr-defined]
    assert not ours.got
    ours.source.fetch(GROUP, 1)
    ours.until(lambda: ours.ids == ["t"])


@pytest.mark.usefixtures("no_net")
def test_what_a_node_gives_back_itself_it_finds_again(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.lpush("q", envelope("t"))
    ours = idle(node(redis_url).start())
    ours.confirmed(ours.source.give_back, ours.got[:])
    ours.until(lambda: ours.ids == ["t", "t"])


@pytest.mark.usefixtures("no_net")
def test_an_emptied_database_is_looked_at_again(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    ours = idle(node(redis_url).start())
    client.flushall()
    idle(ours)
    client.lpush("q", envelope("t"))
    ours.until(lambda: ours.ids == ["t"])


def test_where_the_server_refuses_tracking_the_net_finds_messages(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", "-client|tracking")
    ours = node(redis_url.replace("redis://", "redis://poor:pw@")).start()
    ours.source.fetch(GROUP, 10)
    ours.until(lambda: ours.source._groups[GROUP].looks.armed)  # type: ignore[attr-defined]
    assert ours.source.info()["wakes_by"] == "poll"
    client.lpush("q", envelope("t"))
    ours.until(lambda: ours.ids == ["t"])
    client.execute_command("ACL", "DELUSER", "poor")
    ours.until(lambda: ours.lost)


def test_a_busy_node_spares_the_in_flight_store(
    node: MakeNode, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_source, "GAP", 0.1)
    client.lpush("q", *(envelope(f"t{n}") for n in range(50)))
    ours = node(redis_url).start()
    before, began = looks(client), time.monotonic()
    while len(ours.got) < 10:
        ours.source.fetch(GROUP, 1)
        ours.turn()
    # One before the first rest, and one that is no look, should the start still be under way.
    assert looks(client) - before <= 2 + (time.monotonic() - began) / 0.1


@pytest.mark.usefixtures("no_net")
def test_a_node_that_was_woken_in_vain_lets_others_go_first_until_it_has_a_message(
    node: MakeNode, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = idle(node(redis_url).start())
    spreads: list[float] = []

    def latest(_earliest: float, longest: float) -> float:
        spreads.append(longest)
        return longest

    monkeypatch.setattr("random.uniform", latest)

    for n in range(1, 16):
        before = ours.source._groups[GROUP].looks._number  # type: ignore[attr-defined]
        with client.pipeline(transaction=True) as batch:  # another node was faster
            batch.lpush("q", envelope("theirs")).lpop("q").execute()
        ours.until(lambda before=before: ours.source._groups[GROUP].looks._number > before)  # type: ignore[misc]
        ours.until(lambda: ours.source._groups[GROUP].looks.armed)  # type: ignore[attr-defined]
        assert ours.source._groups[GROUP]._wasted == n  # type: ignore[attr-defined]
    longest = redis_group.LONGEST_SPREAD
    assert spreads == [min(n * redis_group.SPREAD, longest) for n in range(1, 15)]

    client.lpush("q", envelope("ours"))
    ours.until(lambda: ours.ids == ["ours"])
    assert ours.source._groups[GROUP]._wasted == 0  # type: ignore[attr-defined]


@pytest.mark.usefixtures("no_net")
def test_a_wake_up_that_still_waits_is_given_up_with_the_source(
    node: MakeNode, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_group, "LONGEST_SPREAD", NEVER)
    monkeypatch.setattr("random.uniform", lambda _earliest, longest: longest)
    ours = idle(node(redis_url).start())
    ours.source._groups[GROUP]._wasted = int(NEVER / redis_group.SPREAD)  # type: ignore[attr-defined]

    client.lpush("q", envelope("t"))

    ours.until(lambda: ours.source._groups[GROUP]._turn)  # type: ignore[attr-defined]
    assert not ours.got  # and the node's close finds no timer


def test_all_that_an_idle_node_does_again_and_again_goes_out_with_its_looks(
    node: MakeNode, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_source, "NET", 0.05)
    ours = idle(node(redis_url, lease=3.0, transport_options={"visibility_timeout": 2}).start())
    link, sent = ours.source._link, []  # type: ignore[attr-defined]
    write = link._write
    monkeypatch.setattr(link, "_write", lambda: (sent.append(bytes(link._out)), write()))

    def said(*words: bytes) -> bool:
        return all(any(word in pipeline for pipeline in sent) for word in words)

    # Whose leases are missing, our own lease, and what Celery's workers have held for too long.
    ours.until(lambda: said(b"SMEMBERS", b"workerd:lease:host:1", b"BYSCORE"))
    # On a machine that stands still for half a second one of them may be due before the next look.
    written = [pipeline for pipeline in sent if pipeline]
    alone = [pipeline for pipeline in written if b"EXISTS" not in pipeline]
    assert len(alone) * 10 <= len(written), alone
