"""Workflows in this process: how they are made, stamped and run at once, and what a child makes of them."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.support.ids import named
from tests.unit.app.mail import body, run, sent
from tests.unit.protocol.wire_vectors import vector
from workerd import App, Signature, StampingVisitor, chain, chord, group, maybe_signature, signature
from workerd.app.canvas.chain import Chain
from workerd.app.canvas.chord import Chord
from workerd.app.canvas.group import Group
from workerd.errors import ConfigError

PLACE = ("task", "id", "group", "group_index", "root_id", "parent_id", "replaced_task_nesting", "stamps")


@pytest.fixture
def add(app: App) -> Any:
    @app.task(name="capapp.add")
    def add(x: Any, y: Any) -> Any:
        return x + y

    return add


@pytest.fixture
def total(app: App) -> Any:
    @app.task(name="capapp.tsum")
    def total(numbers: Any) -> Any:
        return sum(numbers)

    return total


def told(messages: list[dict[str, Any]]) -> Any:
    """What is compared of captured messages and of ours."""
    names: dict[str, str] = {}
    found = []
    for message in messages:
        args, kwargs, embed = message["body"]
        place = {name: message["headers"].get(name) for name in PLACE}
        found.append(named({"place": place, "args": args, "kwargs": kwargs, "embed": embed}, names))
    return found


def ours(app: App) -> list[dict[str, Any]]:
    return [{"headers": message.headers, "body": body(message)} for message in sent(app)]


# -- what a child makes of captured messages -------------------------------------------------------


def run_captured(app: App, message: dict[str, Any]) -> Any:
    headers = {name: value for name, value in message["headers"].items() if name not in ("task", "id")}
    args, kwargs, embed = message["body"]
    return run(app, message["headers"]["task"], args, kwargs, embed=embed, **{**headers, "id": CAPTURED})


CAPTURED = "99999999-9999-4999-8999-999999999999"


def test_the_steps_of_a_captured_chain_go_on_as_celery_sends_them(app: App, add: Any) -> None:
    first, second, third = vector("task-v2-chain-steps")["messages"]
    for here, following in ((first, second), (second, third)):
        ended = {**here, "headers": {**here["headers"], "id": CAPTURED, "root_id": "root"}}
        run_captured(app, ended)
        (message,) = ours(app)
        wanted = {**following, "headers": {**following["headers"], "parent_id": CAPTURED, "root_id": "root"}}
        assert told([message]) == told([wanted])


def test_a_captured_chain_to_a_group_ends_in_its_members(app: App, add: Any) -> None:
    message = vector("task-v2-chain-of-group")
    ran = run_captured(app, message)
    group_id = message["body"][2]["chain"][0]["options"]["task_id"]
    sent_ = ours(app)
    assert [(m["headers"]["group"], m["headers"]["group_index"]) for m in sent_] == [
        (group_id, 0),
        (group_id, 1),
    ]
    assert [m["body"][0] for m in sent_] == [[3, 3], [3, 4]]
    assert ran.meta["children"][0][0][0] == group_id


def test_a_chain_to_a_group_leaves_as_captured(app: App, add: Any) -> None:
    (add.s(1, 2) | group(add.s(3), add.s(4))).apply_async()
    assert told(ours(app)) == told([vector("task-v2-chain-of-group")])


def test_a_chord_over_a_backend_that_cannot_count_leaves_as_captured(
    add: Any, total: Any, app: App, tmp_path: Path
) -> None:
    app.conf.result_backend = f"file://{tmp_path}"
    chord([add.s(1, 1), add.s(2, 2)], total.s()).apply_async()
    found, wanted = told(ours(app)), told(vector("chords/chord-unlock-fallback")["messages"])
    assert [one["place"]["task"] for one in found] == ["celery.chord_unlock", "capapp.add", "capapp.add"]
    assert found == wanted


def test_what_replaces_a_task_leaves_as_captured(app: App, add: Any) -> None:
    first, second = vector("task-v2-replace")["messages"]

    @app.task(name="capapp.replacer", bind=True)
    def replacer(self: Any) -> Any:
        return self.replace(add.s(20, 22))

    ran = run(app, "capapp.replacer", id=first["headers"]["id"], root_id=first["headers"]["root_id"])
    assert ran.state == "IGNORED"
    assert told(ours(app)) == told([second])


# -- signatures ------------------------------------------------------------------------------------


def test_arguments_go_before_those_that_are_there_unless_it_is_immutable(add: Any) -> None:
    partial = add.s(2, z=1).clone((1,), {"z": 3}, queue="q")
    assert (partial.args, partial.kwargs, partial.options) == ((1, 2), {"z": 3}, {"queue": "q"})
    fixed = add.si(2).clone((1,), {"z": 3}, queue="q")
    assert (fixed.args, fixed.kwargs, fixed.options) == ((2,), {}, {"queue": "q"})
    fixed.set(immutable=False)
    assert fixed.clone((1,)).args == (1, 2)


def test_copies_share_nothing_that_is_changed_in_place(add: Any) -> None:
    first = add.s(1).on_error(add.si(0, 0))
    for second in (first.clone(), copy.deepcopy(first)):
        second.link_error(add.si(9, 9))
        second.options["link_error"][0].set(queue="other")
    assert [errback.options for errback in first.options["link_error"]] == [{}]


@pytest.mark.parametrize("kind", [Chain, Group, Chord])
def test_a_workflow_comes_back_from_its_mapping(add: Any, total: Any, app: App, kind: type) -> None:
    whole = {
        Chain: add.s(1, 1) | add.s(2),
        Group: group(add.s(1, 1), add.s(2, 2)),
        Chord: chord([add.s(1, 1), add.s(2, 2)], total.s()),
    }[kind]
    data = json.loads(json.dumps(whole))
    for again in (app.signature(data), maybe_signature(data, app), pickle.loads(pickle.dumps(whole))):
        assert type(again) is kind
        assert json.loads(json.dumps(again)) == data
    assert repr(app.signature(data)) == repr(whole)


@pytest.mark.parametrize("wrong", [3, {}, {"task": 3}, None])
def test_what_is_no_signature_is_an_error(add: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match="signature"):
        maybe_signature(wrong)
    with pytest.raises(TypeError, match="signature"):
        group([wrong])
    with pytest.raises(TypeError):
        add.s(1) | wrong


def test_a_signature_of_no_app_says_how_to_make_one() -> None:
    with pytest.raises(TypeError, match="belongs to no app"):
        (signature("t", (1,)) | signature("u")).delay()


def test_empty_workflows_are_what_they_can_be(add: Any, app: App) -> None:
    assert chain(app=app)() is None
    assert (add.s(1, 1) | group()).apply().get() == 2
    assert group(app=app).apply().results == []
    assert (group(app=app) | group()) == group(app=app)


def test_a_group_has_no_callbacks_of_its_own(add: Any) -> None:
    with pytest.raises(TypeError, match="make a chord"):
        group(add.s(1, 1)).apply_async(link=add.s(2))


def test_a_chord_without_a_backend_is_refused_before_anything_is_sent(add: Any, total: Any, app: App) -> None:
    for backend in ("disabled", "rpc://"):
        app.conf.result_backend = backend
        with pytest.raises(ConfigError, match="a chord needs a result backend"):
            chord([add.si(1, 1).set(reply_to="r")], total.s().set(reply_to="r")).apply_async()
    app.conf.result_backend = "disabled"
    assert sent(app) == []


# -- at once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("eager", [True, False])
def test_workflows_run_at_once(add: Any, total: Any, app: App, eager: bool) -> None:
    app.conf.task_always_eager = eager
    for whole, wanted in (
        (add.s(1, 1) | add.s(2) | add.s(3), 7),
        (group(add.s(n, n) for n in range(3)), [0, 2, 4]),
        (chord([add.s(1, 1), add.s(2, 2)], total.s()), 6),
        (add.s(1, 1) | group(add.s(2), add.s(3)) | total.s() | add.s(10), 19),
        (chord([add.s(1, 1)], total.s() | add.s(1)), 3),
        (add.chunks([(1, 1), (2, 2), (3, 3)], 2), [[2, 4], [6]]),
        (add.starmap([(1, 1), (2, 2)]), [2, 4]),
        (total.map([[1], [2, 3]]), [1, 5]),
    ):
        result = whole.delay() if eager else whole.apply()
        assert result.get() == wanted, whole


def test_a_replaced_run_at_once_gives_the_result_of_what_replaced_it(add: Any, app: App) -> None:
    @app.task(name="replacer", bind=True)
    def replacer(self: Any) -> Any:
        return self.replace(group(add.s(1, 1), add.s(2, 2)))

    assert replacer.apply().get() == [2, 4]
    with pytest.raises(ValueError, match="only a call"):
        replacer()


# -- stamps ----------------------------------------------------------------------------------------


class Numbers(StampingVisitor):
    """Gives each part the number of its kind."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_signature(self, sig: Signature, **headers: Any) -> dict[str, Any]:
        self.seen.append(sig.task)
        return {"number": len(self.seen)}

    def on_chord_body(self, sig: Chord, **headers: Any) -> dict[str, Any]:
        return {"body": True}

    def on_errback(self, errback: Signature, **headers: Any) -> dict[str, Any]:
        return {"late": "yes"}


def test_a_visitor_stamps_each_part(add: Any, total: Any) -> None:
    whole = chord([add.s(1, 1), add.s(2, 2)], total.s().on_error(add.si(0, 0)))
    visitor = Numbers()
    whole.stamp(visitor, tenant="blue")
    first, second = whole.header
    assert sorted(first.options["stamped_headers"]) == ["number", "tenant"]
    assert (first.options["number"], second.options["number"]) == (1, 2)
    assert (whole.body.options["body"], whole.body.options["tenant"]) == (True, "blue")
    assert whole.body.options["link_error"][0].options["late"] == "yes"
    assert "body" not in first.options


def test_stamps_are_replaced_or_joined(add: Any, app: App) -> None:
    call = add.s(1, 1)
    call.stamp(tag="a")
    call.stamp(tag="b")
    assert call.options["tag"] == "b"
    call.stamp(tag="c", append_stamps=True)
    assert call.options["tag"] == ["c", "b"]
    call.delay()
    (message,) = sent(app)
    assert (message.headers["stamped_headers"], message.headers["stamps"]) == (["tag"], {"tag": ["c", "b"]})
    assert body(message)[0] == [1, 1]
