"""``app.conf``: names, values, sources, and what it tells the daemon."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.app.defaults import NAMESPACES, flatten

from workerd import App
from workerd.app.call import CallOptions
from workerd.app.conf import Conf
from workerd.app.drafting import draft_of
from workerd.app.settings import SETTINGS
from workerd.app.settings_elsewhere import NOT_HONOURED
from workerd.backends import BackendOptions
from workerd.config import Layers
from workerd.errors import ConfigError, ExitCode
from workerd.protocol.moment import parse_moment

# Not in Celery's table of defaults, although its Redis backend reads it.
BESIDE_THE_TABLE = {"redis_backend_health_check_interval"}


def test_every_setting_is_reached_by_attribute_and_by_item() -> None:
    conf = Conf({"task_default_queue": "a"})
    assert conf.task_default_queue == conf["task_default_queue"] == "a"
    conf.task_default_queue = "b"
    conf["result_expires"] = timedelta(hours=1)
    conf.update(task_serializer="json", timezone="Europe/Oslo")
    assert (conf["task_default_queue"], conf.result_expires, conf.timezone) == ("b", 3600.0, "Europe/Oslo")
    assert set(conf.given()) == {"task_default_queue", "result_expires", "task_serializer", "timezone"}
    del conf.task_default_queue
    assert conf.task_default_queue == "celery"


def test_an_unknown_name_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'task_acks_late'") as caught:
        Conf({"task_ack_late": True})
    assert caught.value.exit_code is ExitCode.CONFIG
    with pytest.raises(ConfigError):
        Conf().no_such_name


def test_a_name_that_celery_has_and_we_do_not_is_told_apart() -> None:
    with pytest.raises(ConfigError, match="known from Celery and not honoured here yet"):
        App(worker_prefetch_multiplier=1)


def test_every_setting_of_celery_is_honoured_or_told_apart() -> None:
    ours = set(SETTINGS) | NOT_HONOURED
    theirs = {name for name, _ in flatten(NAMESPACES) if name == name.lower()}
    # Backends that are not served need none of their settings.
    others = ("azureblockblob", "cache_", "cassandra", "couchbase", "couchdb", "cosmosdbsql", "arangodb")
    others += (
        "elasticsearch",
        "mongodb",
        "dynamodb",
        "s3_",
        "riak",
        "gcs_",
        "firestore",
        "deprecated",
        "tasks",
    )
    missing = {name for name in theirs - ours if not name.startswith(others)}
    assert missing == set()
    assert set(SETTINGS) <= theirs | BESIDE_THE_TABLE
    assert not set(SETTINGS) & NOT_HONOURED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", 1),
        ("result_expires", -1),
        ("result_expires", "soon"),
        ("task_default_queue", ""),
        ("broker_url", ""),
        ("task_protocol", 1),
        ("result_serializer", "pickle"),
        ("timezone", "Europe/Atlantis"),
        ("task_publish_retry_policy", 3),
        ("task_queues", [3]),
        ("worker_concurrency", "many"),
    ],
)
def test_a_value_that_cannot_be_is_an_error_that_names_the_setting(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Conf({name: value})


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_default_passes_its_own_check(name: str) -> None:
    conf = Conf()
    conf[name] = conf[name]


def test_brokers_are_a_list_in_order_of_trying() -> None:
    assert Conf({"broker_url": "redis://a;redis://b"}).broker_url == ("redis://a", "redis://b")
    assert Conf({"broker_url": ["redis://a"]}).broker_url == ("redis://a",)


def test_settings_come_from_a_module_without_what_is_none() -> None:
    module = ModuleType("settings_module")
    module.__dict__.update(
        task_default_queue="m", _private=1, helper=lambda: 1, Some=int, json=ModuleType("json")
    )
    app = App()
    app.config_from_object(module)
    assert app.conf.given() == {"task_default_queue": "m"}


def test_a_namespace_takes_only_what_begins_with_it() -> None:
    app = App()
    app.config_from_object(SimpleNamespace(CELERY_TASK_DEFAULT_QUEUE="n", DEBUG=True), namespace="CELERY")
    assert app.conf.task_default_queue == "n"
    with pytest.raises(ConfigError, match="task_default_que"):
        app.config_from_object({"CELERY_TASK_DEFAULT_QUE": "n"}, namespace="CELERY")


def test_a_module_that_is_missing_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no_such_settings"):
        App().config_from_object("no_such_settings")


def test_the_daemon_gets_only_what_the_app_says() -> None:
    assert App().daemon_defaults() == {"queues": ("celery",)}
    app = App(broker="redis://a", backend="redis://b", worker_concurrency=3, task_queues={"x": {}, "y": {}})
    assert app.daemon_defaults() == {
        "broker": ("redis://a",),
        "backend": "redis://b",
        "size": (3, 3),
        "queues": ("x", "y"),
    }
    recycling = App(worker_max_tasks_per_child=10, worker_max_memory_per_child=12_000).daemon_defaults()
    config = Layers(()).below("app.conf", recycling).config()
    assert (config.max_tasks_per_child, config.max_memory_per_child) == (10, 12_000 * 1024)


def test_results_are_where_the_embedded_broker_is_unless_said_otherwise() -> None:
    assert App().backend_url() == "embedded"
    assert App(broker="redis://a").backend_url() == ""
    assert not App(broker="redis://a").backend.enabled
    with pytest.raises(ConfigError, match="no result backend"):
        App(broker="redis://a").AsyncResult("x").get(timeout=0)


def test_asking_whether_there_is_a_setting_works_as_for_any_mapping_and_object() -> None:
    conf = Conf()
    assert not hasattr(conf, "no_such_name")
    assert getattr(conf, "no_such_name", 1) == conf.get("no_such_name", 1) == 1
    assert "no_such_name" not in conf
    with pytest.raises(ConfigError, match="unknown app setting 'no_such_name'; "):
        conf["no_such_name"]


@pytest.mark.parametrize("accepted", [["json", "pickle"], ["application/x-yaml"]])
def test_root_takes_no_messages_that_can_run_code(
    accepted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(accept_content=accepted)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(ConfigError, match="run as another user"):
        app.check_safe()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    app.check_safe()


def test_times_without_an_offset_are_in_the_apps_zone_for_client_and_daemon() -> None:
    app = App(timezone="Asia/Tokyo")
    naive = (datetime.now(ZoneInfo("Asia/Tokyo")) + timedelta(hours=1)).replace(tzinfo=None)
    call = CallOptions.of({"task_id": "i", "expires": naive})
    draft = draft_of(app, "t", (), {}, call)
    assert draft.expires == naive.isoformat()
    assert 3590 < (draft.lifetime or 0) <= 3600
    assert parse_moment(draft.expires, app.daemon_zone()) == pytest.approx(time.time() + 3600, abs=10)


def test_a_result_is_kept_for_a_second_at_least() -> None:
    kept = [BackendOptions(expires=seconds).lifetime("SUCCESS") for seconds in (0.5, 1.5, 60, 0, None)]
    assert kept == [1, 2, 60, None, None]
