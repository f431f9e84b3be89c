"""Messages that are filled in are, byte for byte, those that are made the long way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Exchange, Queue

from tests.unit.app.mail import memory_app
from workerd import App
from workerd.app.running.request import Request
from workerd.app.sending.call import CallOptions
from workerd.app.sending.drafting import draft_of
from workerd.app.sending.outlet.base import Posting
from workerd.protocol.amqp_content import publish_frames
from workerd.protocol.amqp_stencil import filled_frames
from workerd.protocol.parcel import Parcel, envelope_of
from workerd.protocol.redis_stencil import filled_envelope
from workerd.signals import after_task_publish, before_task_publish

Options = dict[str, Any]
FRAME = 4096

NAMES = st.text(max_size=20)
IDS = st.text(min_size=1, max_size=40)
STEADY = {
    "queue": st.sampled_from(["q", "é%b%"]),
    "routing_key": st.sampled_from(["k", "%s"]),
    "exchange": st.sampled_from(["", "e"]),
    "priority": st.integers(0, 255),
    "serializer": st.sampled_from(["json", "msgpack", "pickle"]),
    "delivery_mode": st.sampled_from([1, 2, "transient", "persistent"]),
    "time_limit": st.sampled_from([1, 1.0, 30, 2.5]),
    "soft_time_limit": st.sampled_from([1, 1.0, None]),
    "ignore_result": st.booleans(),
    "retry": st.booleans(),
    "retries": st.integers(0, 3),
    "shadow": NAMES,
    "replaced_task_nesting": st.integers(0, 2),
}
OWN = {
    "group_id": IDS,
    "group_index": st.integers(0, 2**40),
    "root_id": IDS,
    "parent_id": IDS,
    "reply_to": IDS,
    "countdown": st.sampled_from([0, 5, 1.5]),
    "add_to_parent": st.booleans(),
}
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)
CALLS = st.tuples(st.lists(VALUES, max_size=3).map(tuple), st.dictionaries(NAMES, VALUES, max_size=3))


def like_others(app: App, task_id: str, call: tuple[Any, Any], options: Options) -> Posting | None:
    """The message of a call of ``t`` before which there were two others of its kind."""
    app.stencils.find("t", options)
    kind = app.stencils.find("t", options)
    return None if kind is None else app.stencils.filled(kind, task_id, *call, options)


def the_long_way(app: App, task_id: str, call: tuple[Any, Any], options: Options) -> Posting:
    options = CallOptions.of({**options, "task_id": task_id})
    return app.publisher.posting(draft_of(app, "t", *call, options), options, app.own_queue())


def assert_same(quick: Posting, slow: Posting) -> None:
    assert quick[1:] == slow[1:]
    assert quick.place == slow.place
    assert quick.size == slow.size
    parcel, letter = slow.parcel, quick.letter
    assert quick.parcel == parcel
    assert not isinstance(letter, Parcel)
    assert filled_envelope(letter, "a tag") == envelope_of(parcel, "a tag")
    for channel in (1, 0x2525):
        try:
            expected = b"".join(publish_frames(parcel, channel, FRAME))
        except Exception as exc:  # noqa: BLE001 (whatever it is, the quick way says the same)
            with pytest.raises(type(exc), match=re.escape(str(exc))):
                filled_frames(letter, channel, FRAME)
        else:
            assert b"".join(filled_frames(letter, channel, FRAME)) == expected


@given(
    st.fixed_dictionaries({}, optional=STEADY | OWN),
    IDS,
    CALLS,
    st.fixed_dictionaries({}, optional={"task_repr_maxlevels": st.integers(0, 3)}),
)
def test_whatever_the_options_are(options: Options, task_id: str, call: Any, settings: Options) -> None:
    with memory_app(**settings) as app:
        quick = like_others(app, task_id, call, options)
        assert quick is not None
        if options.get("countdown"):
            options = {**options, "eta": quick.parcel.headers["eta"]}
            assert options["eta"] is not None
            del options["countdown"]
        assert_same(quick, the_long_way(app, task_id, call, options))


@pytest.mark.parametrize(
    "settings",
    [
        {"task_routes": {"t": {"queue": "routed", "priority": 3}}},
        {"task_routes": [("t", "routed")]},
        {"task_queues": [Queue("celery", Exchange("media", "topic"), "media.#")]},
        {"task_default_priority": 5, "task_queue_max_priority": 9},
        {"task_publish_retry": False, "task_default_delivery_mode": "transient"},
        {"task_serializer": "msgpack", "task_default_routing_key": "k"},
        {"task_create_missing_queues": True, "task_default_exchange": "e"},
    ],
    ids=str,
)
def test_whatever_the_settings_are(settings: Options) -> None:
    with memory_app(**settings) as app:
        for options in ({}, {"queue": "q"}, {"group_id": "g"}):
            quick = like_others(app, "i", ((1,), {}), options)
            assert quick is not None
            assert_same(quick, the_long_way(app, "i", ((1,), {}), options))


def test_settings_that_change_count_from_the_next_call_on() -> None:
    with memory_app() as app:
        for queue in ("one", "two"):
            app.conf.task_default_queue = queue
            quick = like_others(app, "i", ((), {}), {})
            assert quick is not None
            assert quick.queue == queue


def test_a_call_inside_of_a_run_is_its_child() -> None:
    with memory_app() as app:
        assert like_others(app, "i", ((), {}), {}) is not None
        parent = app.task(name="parent")(lambda: None)
        for root in ("r", None):
            request = Request(id="p", root_id=root, called_directly=False, delivery_info={"routing_key": "q"})
            with app.frames.entered(parent, request):
                for options in ({"queue": "q"}, {"queue": "other"}, {"parent_id": "own"}):
                    quick = like_others(app, "i", ((1,), {}), options)
                    assert quick is not None
                    assert_same(quick, the_long_way(app, "i", ((1,), {}), options))


@pytest.mark.parametrize("own", [{}, {"task_id": "i"}], ids=["plain", "with an id"])
def test_numbers_that_python_takes_for_equal_are_told_apart(own: Options) -> None:
    with memory_app() as app:
        for limit in (1, 1.0, 1):
            found = like_others(app, "i", ((), {}), {"time_limit": limit, **own})
            assert found is not None
            assert repr(found.parcel.headers["timelimit"][0]) == repr(limit)


@pytest.mark.parametrize(
    "options",
    [
        {"expires": 60},
        {"eta": "2030-01-02T03:04:05"},
        {"compression": "gzip"},
        {"correlation_id": "c"},
        {"headers": {"tenant": "acme"}},
        {"stamps": {"s": 1}, "stamped_headers": ["s"]},
        {"link": [{"task": "u"}]},
        {"chord": {"task": "u"}},
        {"retry_policy": {"max_retries": 1}},
        {"queue": Queue("q")},
    ],
    ids=str,
)
def test_calls_that_take_the_long_way(options: Options) -> None:
    with memory_app() as app:
        assert like_others(app, "i", ((), {}), options) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"task_compression": "gzip"},
        {"task_routes": lambda name, args, kwargs, options, task: {"queue": args[0]} if args else None},
        {"task_routes": {"t": {"expires": 5}}},
        {"task_routes": {"t": {"headers": {"a": 1}}}},
    ],
    ids=["compression", "a router of code", "an expiry", "headers"],
)
def test_settings_that_make_all_calls_take_the_long_way(settings: Options) -> None:
    with memory_app(**settings) as app:
        assert like_others(app, "i", ((), {}), {}) is None


def test_who_inherits_a_priority_takes_the_long_way() -> None:
    with memory_app(task_inherit_parent_priority=True) as app:
        assert like_others(app, "i", ((), {}), {}) is not None
        with app.frames.entered(app.task(name="parent")(lambda: None), Request(id="p")):
            assert like_others(app, "i", ((), {}), {}) is None


def test_a_wrong_option_is_told_each_time() -> None:
    wrong: list[tuple[Mapping[str, Any], type[Exception]]] = [
        ({"cuontdown": 1}, TypeError),
        ({"priority": 999}, ValueError),
        ({"countdown": "soon"}, ValueError),
        ({"task_id": "x" * 300}, ValueError),
    ]
    with memory_app() as app:
        for options, error in wrong:
            for _ in range(3):
                with pytest.raises(error):
                    app.send_task("t", **options)


def test_kinds_are_not_remembered_without_end() -> None:
    with memory_app() as app:
        for number in range(2000):
            app.stencils.find("t", {"queue": f"q{number}"})
            app.stencils.find("t", {"queue": f"q{number}"})
        assert len(app.stencils) < 1000


@pytest.fixture
def heard() -> Any:
    """What receivers of the two signals of a publish were told."""
    told: list[tuple[str, Any, Any]] = []

    def note(name: str) -> Callable[..., None]:
        def receiver(sender: Any = None, body: Any = None, headers: Any = None, **_: Any) -> None:
            told.append((name, headers["id"], body))

        return receiver

    before, after = note("before"), note("after")
    yield told, before, after
    before_task_publish.disconnect(before)
    after_task_publish.disconnect(after)


def test_receivers_are_told_of_each_message(heard: Any) -> None:
    told, before, after = heard
    embed = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    with memory_app() as app:
        for _ in range(3):
            app.send_task("t")
        after_task_publish.connect(after)
        app.send_task("t", (1,), task_id="a")
        assert told == [("after", "a", ((1,), {}, embed))]
        before_task_publish.connect(before)
        app.send_task("t", (2,), task_id="b")
        assert [(name, task_id) for name, task_id, _ in told[1:]] == [("before", "b"), ("after", "b")]
