"""Requests of remote control: whom they are for, what is answered, and what goes no further."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.control.remote.fakes import HOST, NO_ANSWER, Box, reply_to
from tests.unit.protocol.wire_vectors import vector
from workerd.broadcast.topics import heard_of
from workerd.protocol.signing import HEADER, signature


@pytest.mark.parametrize("name", ["ping", "destination", "pattern"])
def test_captured_requests_are_answered_as_celery_answers(name: str) -> None:
    captured, answer = vector(f"control-request-{name}"), vector("control-reply-ping")
    box = Box()
    box.pidbox.heard(heard_of(captured["raw_envelope"].encode()))

    [notice] = box.notices
    assert json.loads(notice.body) == answer["body"]
    assert notice.headers.keys() == answer["headers"].keys()
    assert notice.headers["ticket"] == captured["body"]["ticket"]
    assert notice.headers["clock"] > captured["headers"]["clock"]
    assert (notice.exchange, notice.key) == tuple(captured["body"]["reply_to"].values())
    assert notice.delivery_mode == answer["properties"]["delivery_mode"]


@pytest.mark.parametrize(
    "to",
    [
        {"destination": ["another@example.com"]},
        {"pattern": "other*", "matcher": "glob"},
        {"pattern": "x", "matcher": "pcre"},
    ],
)
def test_a_request_for_others_is_none_of_our_business(to: dict[str, Any]) -> None:
    box = Box()
    box.hear({"method": "ping", "reply_to": reply_to(), **to})
    assert not box.notices


@pytest.mark.parametrize(
    "to",
    [
        {"destination": [HOST]},
        {"destination": HOST},
        {"destination": []},
        {"pattern": "worker*"},
        {"pattern": r"^worker\d", "matcher": "pcre"},
    ],
)
def test_a_request_for_us_among_others_is_answered(to: dict[str, Any]) -> None:
    box = Box()
    box.hear({"method": "ping", "reply_to": reply_to(), **to})
    assert len(box.notices) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        [],
        7,
        {},
        {"method": 3},
        {"method": "ping", "arguments": [1]},
        {"method": "ping", "destination": 7},
        {"method": "ping", "pattern": "(", "matcher": "pcre"},
        {"method": "ping", "pattern": "x", "matcher": "none"},
        {"method": "ping", "reply_to": "somewhere"},
        {"method": "ping", "reply_to": {"exchange": "x"}},
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_goes_no_further(body: Any) -> None:
    box = Box()
    box.hear(body)
    assert not box.notices
    assert box.ask("ping") == {"ok": "pong"}


def test_a_pickle_is_not_opened() -> None:
    box = Box()
    heard = heard_of(vector("control-request-ping")["raw_envelope"].encode())
    heard = replace(heard, content_type="application/x-python-serialize")
    box.pidbox.heard(heard)
    assert not box.notices


def test_answers_go_to_the_exchange_for_answers_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    box = Box()
    box.hear({"method": "ping", "reply_to": reply_to("celery")})
    assert not box.notices
    assert "'celery', which is not for answers" in caplog.text


def test_without_a_place_for_the_answer_the_command_runs_all_the_same() -> None:
    box = Box()
    box.hear({"method": "heartbeat"})
    assert (box.notices, box.node.asked) == ([], ["heartbeat"])


def test_an_unknown_command_is_answered_as_celery_answers() -> None:
    captured = vector("control-unknown-command")
    box = Box()
    box.pidbox.heard(heard_of(captured["raw_envelope"].encode()))
    assert json.loads(box.notices[0].body) == captured["replies"][0]["body"]


def test_nonsense_from_a_clock_does_not_become_everybodys() -> None:
    box = Box()
    for clock in (7, -1, "x", 2**70, None, 3.5):
        box.ask("ping", {"clock": clock})
    assert 7 < box.node.clock.value < 30


def test_with_read_only_what_changes_something_is_refused_and_told(caplog: pytest.LogCaptureFixture) -> None:
    box = Box(allow=["read-only"])
    assert box.ask("ping") == {"ok": "pong"}
    with caplog.at_level(logging.WARNING):
        answer = box.ask("shutdown")
    assert answer == {"error": "shutdown is not allowed here: control.allow is read-only"}
    assert "shutdown from oid refused" in caplog.text
    assert not box.daemon.asked


def test_what_a_monitor_asks_for_again_and_again_is_told_once_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    box = Box(allow=["read-only"])
    with caplog.at_level(logging.WARNING):
        for _ in range(120):
            box.hear({"method": "enable_events"})
            box.clock.advance(5.0)
        box.hear({"method": "shutdown"})
        box.hear({"method": "enable_events"})
    refused = "from somebody who waits for no answer refused: control.allow is read-only"
    assert caplog.messages == [
        f"Remote control: enable_events {refused}",
        f"Remote control: shutdown {refused}",
        f"Remote control: enable_events {refused} (119 times more since it was told last)",
    ]


def test_a_list_of_commands_allows_these_by_either_name() -> None:
    box = Box(allow=["active", "heartbeat"])
    assert box.ask("dump_active") == []
    assert box.ask("heartbeat") is None
    assert "error" in box.ask("stats")


def test_with_a_key_changes_must_be_signed_and_looks_need_not_be() -> None:
    box = Box(key="secret")
    assert box.ask("ping") == {"ok": "pong"}
    assert box.ask("heartbeat") == {"error": "heartbeat is not allowed here: it is not signed"}
    body = json.dumps({"method": "heartbeat", "reply_to": reply_to()}).encode()
    headers = {HEADER: signature("secret", body, box.clock.wall())}
    box.hear(body, headers)
    box.hear(body, headers)
    answers = [json.loads(notice.body)[HOST] for notice in box.notices[-2:]]
    assert answers == [None, {"error": "heartbeat is not allowed here: it has come before"}]
    assert all(HEADER in notice.headers for notice in box.notices)


@pytest.mark.parametrize("trust", [{}, {"allow": ["read-only"]}, {"key": "secret"}])
def test_ids_that_others_have_revoked_are_taken_over_from_those_who_may_revoke(trust: dict[str, Any]) -> None:
    box = Box(**trust)
    answer = box.ask("hello", from_node="other@host", revoked=["a"])
    assert answer == {"revoked": [] if trust else ["a"], "clock": box.notices[0].headers["clock"] - 1}


def test_a_hello_of_celery_5_6_has_times_and_our_own_is_answered_with_nothing() -> None:
    box = Box()
    assert box.ask("hello", from_node="other@host", revoked={"a": 1.5})["revoked"] == ["a"]
    assert box.ask("hello", from_node=HOST) is None


def test_a_shutdown_is_not_answered() -> None:
    box = Box()
    assert box.ask("shutdown") is NO_ANSWER
    assert box.daemon.asked == [("stop", False, None)]
