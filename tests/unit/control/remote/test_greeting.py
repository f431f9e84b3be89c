"""What nodes tell each other when they start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.control.remote.fakes import HOST, REPLIES, FakeNode
from tests.unit.protocol.wire_vectors import vector
from workerd.broadcast import Heard
from workerd.control.remote.greeting import Greeting
from workerd.control.remote.pidbox import Manner
from workerd.control.remote.policy import Policy
from workerd.protocol.signing import HEADER, signature


class Meeting:
    """A greeting, and the node that greets."""

    def __init__(self, clock: FakeClock, allow: str = "all", key: str = "") -> None:
        self.node, self.clock, self.key = FakeNode(), clock, key
        node: Any = self.node
        manner = Manner("celery.pidbox", REPLIES, "json", ("json",), key)
        self.greeting = Greeting(node, Policy([allow], key, clock), manner, clock)
        self.body = json.loads(self.greeting.notice(1.0).body)

    def answer(self, body: Any, ticket: str | None = None, key: str = "") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"ticket": ticket or self.body["ticket"]}
        if key:
            headers[HEADER] = signature(key, data, self.clock.wall())
        self.greeting.heard(Heard("", data, headers, "application/json", "utf-8"))


def test_the_question_is_celerys(clock: FakeClock) -> None:
    captured = vector("control-request-hello")
    meeting = Meeting(clock)
    notice = meeting.greeting.notice(1.0)
    body = json.loads(notice.body)
    assert body.keys() == captured["body"].keys()
    assert body["arguments"] == captured["body"]["arguments"] | {"from_node": HOST}
    assert notice.headers.keys() == captured["headers"].keys()
    assert notice.delivery_mode == captured["properties"]["delivery_mode"]
    station = meeting.greeting.station(10.0)
    assert body["reply_to"] == {"exchange": REPLIES, "routing_key": station.key}
    assert station.queue == f"{station.key}.{REPLIES}"


def test_captured_answers_are_taken(clock: FakeClock) -> None:
    replies = [one["body"] for one in vector("control-reply-hello")["replies"]]
    meeting = Meeting(clock)
    meeting.node.hostname = "worker2@example.com"
    for body in replies:
        meeting.answer(body)
    told = next(body["worker1@example.com"] for body in replies if "worker1@example.com" in body)
    assert meeting.greeting.answered == ["worker1@example.com"]
    assert meeting.node.ids == told["revoked"]
    assert meeting.node.clock.value > told["clock"]


def test_celery_5_6_tells_times_with_its_ids(clock: FakeClock) -> None:
    meeting = Meeting(clock)
    meeting.answer({"w@h": {"revoked": {"a": 1.5, "b": 2.5}, "clock": 7}})
    assert meeting.node.ids == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        [],
        {"w@h": {"error": "no"}},
        {"w@h": {"clock": "soon"}},
        {"w@h": {"revoked": 7}},
        {"w@h": None},
        {HOST: {"revoked": ["own"], "clock": 5}},
    ],
)
def test_nonsense_and_our_own_answer_change_nothing(clock: FakeClock, body: Any) -> None:
    meeting = Meeting(clock)
    meeting.answer(body)
    meeting.answer({"w@h": {"revoked": ["x"], "clock": 5}}, ticket="another")
    assert meeting.node.ids == []
    assert meeting.greeting.answered in ([], ["w@h"])


def test_ids_are_taken_from_those_who_may_revoke_and_clocks_from_all(clock: FakeClock) -> None:
    told = {"w@h": {"revoked": ["x"], "clock": 500}}
    reading = Meeting(clock, allow="read-only")
    reading.answer(told)
    signed = Meeting(clock, key="secret")
    signed.answer(told)
    assert (reading.node.ids, signed.node.ids) == ([], [])
    assert reading.node.clock.value > 500
    signed.answer(told, key="secret")
    assert signed.node.ids == ["x"]
    assert HEADER in signed.greeting.notice(1.0).headers
