"""Running tasks in the caller's process, and the rules of trying again."""

from __future__ import annotations

from typing import Any

import pytest

from workerd import App, Ignore, MaxRetriesExceededError, Retry, Task
from workerd.app.results.result import EagerResult
from workerd.app.running.retry import backoff


def eager_app(**settings: Any) -> App:
    return App("proj", task_always_eager=True, **settings)


def test_an_eager_call_has_its_result_at_once() -> None:
    task = eager_app().task(name="t")(lambda x: x + 1)
    result = task.delay(1)
    assert isinstance(result, EagerResult)
    assert (result.get(), result.state, result.ready(), result.successful()) == (2, "SUCCESS", True, True)
    assert (result.result, result.children, result.traceback) == (2, [], None)


def test_a_failure_is_kept_or_raised_as_asked() -> None:
    app = eager_app()

    @app.task(name="boom")
    def boom() -> None:
        raise ValueError("kaput")

    result = boom.delay()
    assert (result.state, result.failed()) == ("FAILURE", True)
    assert isinstance(result.get(propagate=False), ValueError)
    with pytest.raises(ValueError, match="kaput"):
        result.get()
    with pytest.raises(ValueError, match="kaput"):
        boom.apply(throw=True)
    app.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="kaput"):
        boom.delay()


def test_an_eager_retry_ends_in_the_last_result() -> None:
    app = eager_app()
    tries: list[int] = []

    @app.task(name="flaky", bind=True, max_retries=3)
    def flaky(self: Task, x: int) -> int:
        tries.append(self.request.retries)
        assert self.request.is_eager
        if self.request.retries < 2:
            raise self.retry(countdown=10, exc=KeyError("again"))
        return x

    assert flaky.delay(5).get() == 5
    assert tries == [0, 1, 2]


def test_retries_come_to_an_end() -> None:
    app = eager_app()

    @app.task(name="bare", bind=True, max_retries=1)
    def bare(self: Task) -> None:
        self.retry(countdown=0)

    @app.task(name="told", bind=True, max_retries=1)
    def told(self: Task) -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            self.retry(countdown=0)

    assert isinstance(bare.delay().result, MaxRetriesExceededError)

    @app.task(name="given", bind=True, max_retries=1)
    def given(self: Task) -> None:
        self.retry(countdown=0, exc=KeyError("inner"))

    exhausted = told.delay().result
    assert isinstance(exhausted, MaxRetriesExceededError)
    assert isinstance(exhausted.__context__, KeyError)
    assert isinstance(given.delay().result, KeyError)


@pytest.mark.parametrize("most", [0, 1, 3, None])
def test_a_call_runs_once_more_than_it_may_be_retried(most: int | None) -> None:
    app = eager_app()
    tries: list[int] = []

    @app.task(name="counted", bind=True, max_retries=most)
    def counted(self: Task) -> int:
        tries.append(self.request.retries)
        if len(tries) == 6:
            return 6
        raise self.retry(countdown=0)

    counted.delay()
    assert tries == list(range(6 if most is None else most + 1))


@pytest.mark.parametrize(
    ("call", "again", "seen"),
    [
        ((1, 2), {}, (1, 2)),
        ((1, 2), {"kwargs": {"y": 5}}, (1, 5)),
        ((1, 2), {"args": (7, 8)}, (7, 8)),
        ((1,), {"kwargs": {"x": 7, "y": 8}}, (7, 8)),
        ((1, 2), {"args": (7,), "kwargs": {"y": 8}}, (7, 8)),
    ],
)
def test_a_retry_may_give_some_arguments_anew(call: Any, again: dict[str, Any], seen: Any) -> None:
    app = eager_app()

    @app.task(name="anew", bind=True)
    def anew(self: Task, x: int, y: int = 0) -> list[int]:
        if self.request.retries == 0:
            raise self.retry(countdown=0, **again)
        return [x, y]

    assert tuple(anew.delay(*call).get()) == seen
    if "args" in again:
        by_name = anew.apply_async((), {"x": 1, "y": 8})
        assert tuple(by_name.get()) == seen  # what has its place now has its name no more


def test_a_retry_of_a_plain_call_raises_what_it_was_given() -> None:
    app = App()

    @app.task(name="plain", bind=True)
    def plain(self: Task, exc: Exception | None) -> None:
        self.retry(exc=exc)

    with pytest.raises(KeyError):
        plain(KeyError("x"))
    with pytest.raises(Retry):
        plain(None)


def test_exceptions_are_tried_again_by_type() -> None:
    app = eager_app()
    seen: list[tuple[str, int]] = []

    @app.task(
        name="auto", bind=True, autoretry_for=(LookupError,), dont_autoretry_for=(IndexError,), max_retries=2
    )
    def auto(self: Task, kind: str) -> None:
        seen.append((kind, self.request.retries))
        raise {"key": KeyError, "index": IndexError, "value": ValueError, "ignore": Ignore}[kind]()

    states = {kind: auto.delay(kind).state for kind in ("key", "index", "value", "ignore")}
    assert states == {"key": "FAILURE", "index": "FAILURE", "value": "FAILURE", "ignore": "IGNORED"}
    assert seen == [("key", 0), ("key", 1), ("key", 2), ("index", 0), ("value", 0), ("ignore", 0)]


def test_retry_kwargs_override_the_task() -> None:
    app = eager_app()
    tries: list[int] = []

    @app.task(name="t", bind=True, autoretry_for=(KeyError,), retry_kwargs={"max_retries": 1, "countdown": 5})
    def task(self: Task) -> None:
        tries.append(self.request.retries)
        raise KeyError

    task.delay()
    assert tries == [0, 1]


def test_backoff_doubles_up_to_its_cap_and_jitter_stays_below() -> None:
    app = App()
    steady = app.task(name="a", retry_backoff=3, retry_backoff_max=20, retry_jitter=False)(lambda: 1)
    assert [backoff(steady, n) for n in (0, 1, 2, 3, 500)] == [3, 6, 12, 20, 20]
    jittery = app.task(name="b", retry_backoff=True)(lambda: 1)
    assert all(0 <= backoff(jittery, 3) <= 8 for _ in range(100))


def test_links_of_an_eager_call_run_after_it() -> None:
    app = eager_app()
    seen: list[int] = []
    follow = app.task(name="follow")(seen.append)
    first = app.task(name="first")(lambda: 4)
    first.apply_async(link=follow.s())
    assert seen == [4]


def test_a_task_called_inside_another_has_its_own_request() -> None:
    app = eager_app()

    @app.task(name="inner", bind=True)
    def inner(self: Task) -> tuple[bool, str | None]:
        return self.request.called_directly, self.request.id

    @app.task(name="outer", bind=True)
    def outer(self: Task) -> Any:
        return inner(), self.request.id, inner.delay().get()

    (plain, own, (eager, _)) = outer.apply(task_id="o").get()
    assert (plain, own, eager) == ((True, None), "o", False)


def test_an_interval_of_polling_is_taken_as_other_clients_take_it() -> None:
    task = App().task(lambda: 3)
    assert task.apply().get(timeout=1, interval=0.1) == 3
