"""What becomes of each of Celery's settings: told by name, never in silence."""

from __future__ import annotations

from workerd import App
from workerd.app.settings.conf import KNOWN
from workerd.app.settings.daemon import DAEMON, waiting_per_slot
from workerd.app.settings.explain import of_app, of_celery, verdict, without_effect
from workerd.config.load import KEYS


def test_every_setting_has_a_verdict() -> None:
    told = dict(of_celery())
    assert told.keys() == KNOWN.keys()
    assert told["task_serializer"] == "honoured"
    assert told["worker_pool"].startswith("refused: tasks run in children")
    assert told["worker_lost_wait"].startswith("no effect: the end of a child")
    assert verdict("worker_concurrency") == "honoured: the daemon's size, where nothing stronger sets that"


def test_those_of_the_daemon_stand_for_settings_that_it_has() -> None:
    assert {stands.key for stands in DAEMON.values()} <= set(KEYS)


def test_what_an_app_was_given_is_explained_with_what_goes_before_it() -> None:
    app = App(worker_concurrency=3, task_time_limit=5, worker_state_db="/x", worker_lost_wait=10.0)
    told = dict(of_app(app.conf, lambda key: "the command line" if key == "size" else "app.conf"))
    assert told["worker_concurrency"] == "not used: size is set by the command line"
    assert told["task_time_limit"] == "honoured"
    assert told["worker_state_db"].startswith("no effect: state is always kept")
    # Celery's own default asks for nothing.
    assert [line.split()[0] for line in without_effect(app.conf)] == ["app.conf.worker_state_db"]


def test_celerys_multiplier_counts_what_runs_too() -> None:
    assert waiting_per_slot(App().conf) is None
    assert waiting_per_slot(App(worker_prefetch_multiplier=1).conf) == 0
    assert waiting_per_slot(App(worker_prefetch_multiplier=4).conf) == 3
    assert waiting_per_slot(App(worker_prefetch_multiplier=0).conf) is None
    assert waiting_per_slot(App(worker_prefetch_multiplier=9, worker_disable_prefetch=True).conf) == 0


def test_a_child_is_given_no_less_time_to_start_than_it_has_anyway() -> None:
    assert App(worker_proc_alive_timeout=4).daemon_defaults()["boot_timeout"] == 60
    assert App(worker_proc_alive_timeout=300).daemon_defaults()["boot_timeout"] == 300
