"""Gossip: the cluster-wide rate limit, with daemons that join, leave and are killed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from tests.interop.stock import stock_client
from tests.support.daemon import Workerd
from tests.support.eventually import eventually

APP = "tests.support.apps.cluster"
Start = Callable[..., Workerd]


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("gossip.md")


def rate(daemon: Workerd) -> set[str]:
    return {found["rate"] for found in daemon.status()["rates"].values()}


def shared(daemons: list[Workerd], wanted: str, within: float = 20.0) -> None:
    """All of them have come to this rate."""
    eventually(lambda: all(rate(one) == {wanted} for one in daemons), within)


def test_three_daemons_share_a_rate_until_one_leaves_and_one_is_killed(start: Start, redis_url: str) -> None:
    urls = {"broker": redis_url, "backend": redis_url, "app": APP, "size": "1"}
    daemons = [start(home=name, name=name, **urls) for name in "abc"]
    shared(daemons, "20/m")
    with stock_client(redis_url, redis_url) as client:
        client.control.election("e-1", "nobody-knows-it")
        won = [lambda one=one: one.logged("I won the election 'e-1'") for one in daemons]
        eventually(lambda: sum(one() for one in won) == 1)
        eventually(lambda: all(one.logged("the election 'e-1'|elected for 'e-1'") for one in daemons))
    with daemons[0].client() as ours:
        ours.control.election("e-2", "task", {"task": "proj.tasks.add", "args": [2, 3], "kwargs": {}})
        eventually(lambda: sum(one.text().count("proj.tasks.add[") for one in daemons) == 1)
    assert daemons[2].stop() == 0
    shared(daemons[:2], "30/m")
    daemons[1].kill(signal.SIGKILL)
    daemons[1].wait()
    eventually(lambda: daemons[0].logged(r"lost b@.*, alive: False"))
    shared(daemons[:1], "1/s", within=40.0)


def test_daemons_on_rabbitmq_see_each_other_and_obey_who_has_their_key(
    start: Start, fresh_rabbit_url: str
) -> None:
    key = {"WORKERD_CONTROL__KEY": "secret"}
    options: dict[str, Any] = {"broker": fresh_rabbit_url, "app": APP, "size": "1", "env": key}
    daemons = [start(home=name, name=name, **options) for name in "ab"]
    shared(daemons, "30/m")
    words = ("control", "revoke", "gone", "-d", "a,b", "-t", "20", "-b", fresh_rabbit_url)
    refused = daemons[0].run(*words)
    assert (refused.returncode, refused.stdout.count("it is not signed")) == (1, 2)
    assert daemons[0].logged("Remote control: revoke from gen.* refused: it is not signed")
    obeyed = daemons[0].run(*words, env=key)
    assert (obeyed.returncode, obeyed.stdout.count("flagged as revoked")) == (0, 2), obeyed.stderr
    assert daemons[1].stop() == 0
    shared(daemons[:1], "1/s")
