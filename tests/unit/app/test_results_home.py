"""An app keeps its result backend until its settings mean another one."""

from __future__ import annotations

from workerd import App
from workerd.backends.url import EMBEDDED


def test_the_backend_is_kept_over_settings_that_do_not_concern_it() -> None:
    app = App("proj", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1")
    backend, options = app.backend, app.backend_options()
    assert app.backend is backend
    assert app.backend_options() is options
    app.conf.task_acks_late = False
    assert app.backend is backend


def test_another_one_follows_each_setting_that_does() -> None:
    app = App("proj", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1")
    before = app.backend
    app.conf.result_expires = 60
    assert app.backend_options().expires == 60
    assert app.backend is not before
    before = app.backend
    app.conf.result_backend = "redis://127.0.0.1:1/2"
    assert app.backend is not before
    app.conf.result_backend = "disabled"
    assert not app.backend.enabled
    del app.conf.result_backend
    assert app.backend_url() == ""
    app.conf.broker_url = "embedded"
    assert app.backend_url() == EMBEDDED


def test_a_closed_app_opens_it_again() -> None:
    app = App("proj", backend="redis://127.0.0.1:1/1")
    before = app.backend
    app.close()
    assert app.backend is not before
