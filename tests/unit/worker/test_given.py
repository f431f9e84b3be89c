"""What children are given of settings that the app's receivers have changed in the daemon."""

from __future__ import annotations

import pytest
from kombu import Queue

from workerd import App
from workerd.worker.given import Given


def test_only_what_has_changed_since_the_import_is_handed_on() -> None:
    app = App(task_serializer="json", timezone="Europe/Oslo")
    given = Given(settings=app.conf.given())
    assert given.changed(app.conf.given()) == {}

    app.conf.update(timezone="UTC", task_default_queue="north", broker_url="redis://here")
    assert given.changed(app.conf.given()) == {"timezone": "UTC", "task_default_queue": "north"}


def test_what_is_no_plain_value_stays_behind_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    given = Given(settings=app.conf.given())
    app.conf.task_queues = [Queue("a")]  # type: ignore[no-untyped-call]

    assert given.changed(app.conf.given()) == {}
    assert "app.conf.task_queues was changed to (<unbound Queue a" in caplog.text
    assert "children do not see that" in caplog.text


def test_a_worker_that_is_only_looked_at_hands_on_nothing() -> None:
    assert Given().changed(App(timezone="UTC").conf.given()) == {}
