"""Results: what we would write next to what Celery wrote, and exceptions there and back."""

from __future__ import annotations

import base64
import sys
from types import ModuleType
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from kombu.exceptions import ContentDisallowed, DecodeError, EncodeError

from tests.unit.protocol.wire_vectors import metas, vector
from workerd.protocol.exceptions import (
    NotRegistered,
    Reject,
    RemoteError,
    Retry,
    TaskRevokedError,
    TimeoutError,  # noqa: A004
)
from workerd.protocol.failure import decode_exception, encode_exception
from workerd.protocol.message import Message
from workerd.protocol.result import Coding, Lineage, make_meta, not_registered, supervisor_meta, task_key
from workerd.protocol.states import EXCEPTION_STATES, READY_STATES

METAS = metas()
CODING = Coding()


def lineage_of(meta: dict[str, Any]) -> Lineage:
    own = {"status", "result", "traceback", "children", "date_done", "group_id", "parent_id", "task_id"}
    return Lineage(
        children=meta["children"],
        group_id=meta.get("group_id"),
        parent_id=meta.get("parent_id"),
        extended={name: value for name, value in meta.items() if name not in own},
    )


@pytest.mark.parametrize(("name", "meta"), METAS, ids=[name for name, _ in METAS])
def test_a_meta_of_ours_has_the_same_fields_in_the_same_order(name: str, meta: dict[str, Any]) -> None:
    state, result = meta["status"], meta["result"]
    if state in EXCEPTION_STATES and result is not None:
        result = decode_exception(result)
    ours = make_meta(meta["task_id"], state, result, lineage_of(meta), traceback=meta["traceback"])
    assert (ours["date_done"] is None) == (meta["date_done"] is None) == (state not in READY_STATES)
    assert ours | {"date_done": None} == meta | {"date_done": None}
    assert list(ours) == list(meta)
    assert CODING.decode(CODING.encode(meta)) == meta


def message(**changes: Any) -> Message:
    plain: dict[str, Any] = {"id": "1", "task": "no.such.task", "protocol": 2, "payload": b""}
    return Message(content_type="application/json", **{**plain, **changes})


@pytest.mark.parametrize(
    ("file", "exc"),
    [
        ("result-redis-unregistered", not_registered(message())),
        ("result-redis-expired", TaskRevokedError("expired")),
        ("result-redis-timelimit", TimeLimitExceeded(1)),
        (
            "result-redis-workerlost",
            WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 1."),
        ),
    ],
)
def test_the_supervisors_results_are_celerys(file: str, exc: Exception) -> None:
    expected = vector(file)["value"]
    state, data = supervisor_meta(message(id=expected["task_id"]), exc)
    meta = CODING.decode(data)
    assert state == expected["status"]
    assert meta | {"date_done": None} == expected | {"date_done": None}


def test_the_supervisors_results_tell_group_and_parent() -> None:
    _, data = supervisor_meta(message(group="g", parent_id="p"), NotRegistered("x"))
    meta = CODING.decode(data)
    assert (meta["group_id"], meta["parent_id"]) == ("g", "p")


def test_compressed_results_are_celerys_bytes_and_read_without_being_asked() -> None:
    captured = vector("result-redis-compressed")
    data = base64.b64decode(captured["value_base64"])
    meta = CODING.decode(data)
    assert meta["status"] == "SUCCESS"
    assert Coding(compression="gzip").encode(meta)[:38] == data[:38]
    assert CODING.decode(Coding(compression="gzip").encode(meta)) == meta


def test_bytes_that_are_no_result_are_decode_errors() -> None:
    for data in (b"", b"[", b"[]", b"\x00celery-compressed\x00application/x-gzip\x00nothing"):
        with pytest.raises(DecodeError):
            CODING.decode(data)
    pickled = base64.b64decode(vector("result-redis-pickle")["success_base64"])
    with pytest.raises((DecodeError, ContentDisallowed)):
        CODING.decode(pickled)


def test_a_result_that_cannot_be_written_is_an_encode_error() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (object(), deep):
        with pytest.raises(EncodeError):
            CODING.encode({"result": value})
        assert not CODING.encodable(value)


def test_keys_begin_with_the_prefix() -> None:
    assert task_key("a", "team_") == "team_celery-task-meta-a"


def through(exc: BaseException) -> Exception:
    return decode_exception(encode_exception(exc, CODING.encodable))


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("x", 1),
        KeyError(),
        NotRegistered("a"),
        Reject("no", True),
        TimeoutError("late"),
        SoftTimeLimitExceeded(3),
        EncodeError("x"),
    ],
    ids=repr,
)
def test_a_known_exception_comes_back_as_itself(exc: Exception) -> None:
    back = through(exc)
    assert (type(back), back.args) == (type(exc), exc.args)


def test_names_that_celery_knows_keep_its_module() -> None:
    assert encode_exception(Retry("x"), CODING.encodable)["exc_module"] == "celery.exceptions"
    assert encode_exception(SoftTimeLimitExceeded(), CODING.encodable)["exc_module"] == "billiard.exceptions"
    assert encode_exception(ValueError(), CODING.encodable)["exc_module"] == "builtins"


def test_arguments_that_cannot_be_written_become_their_repr() -> None:
    encoded = encode_exception(ValueError(1, object), CODING.encodable)
    assert encoded["exc_message"] == [1, "<class 'object'>"]


def test_a_constructor_with_other_arguments_does_not_change_the_type() -> None:
    module = ModuleType("needy_module")
    module.Needy = type("Needy", (Exception,), {"__init__": lambda self, *, key: None})  # type: ignore[attr-defined]
    sys.modules["needy_module"] = module
    try:
        data = {"exc_type": "Needy", "exc_message": ["a"], "exc_module": "needy_module"}
        assert (type(decode_exception(data)), decode_exception(data).args) == (module.Needy, ("a",))
    finally:
        del sys.modules["needy_module"]


def test_a_name_that_no_class_can_have_is_made_one() -> None:
    for name, made in (("B\0ad", "Bad"), ("\0", "RemoteError"), ("caf\udce9", "caf\\udce9")):
        found = decode_exception({"exc_type": name, "exc_message": ["a"], "exc_module": "m"})
        assert (type(found).__name__, found.args) == (made, ("a",))


@pytest.mark.parametrize(
    "data",
    [
        {"exc_type": "SystemExit", "exc_message": [1], "exc_module": "builtins"},
        {"exc_type": "Popen", "exc_message": ["true"], "exc_module": "subprocess"},
        {"exc_type": "system", "exc_message": ["true"], "exc_module": "os"},
        {"exc_type": "Gone", "exc_message": "text", "exc_module": None},
        {"exc_type": "A.B", "exc_message": None, "exc_module": "never.imported"},
        {"exc_type": 3},
        "text",
        None,
    ],
    ids=repr,
)
def test_what_is_no_known_exception_never_runs_nor_ends_anything(data: Any) -> None:
    assert isinstance(decode_exception(data), RemoteError)
    assert "never.imported" not in sys.modules
