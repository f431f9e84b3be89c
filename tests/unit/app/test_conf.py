"""``app.conf``: names, values, sources, and what it tells the daemon."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.app.defaults import _TO_NEW_KEY, NAMESPACES, flatten

from workerd import App
from workerd.app.sending.call import CallOptions
from workerd.app.sending.drafting import draft_of
from workerd.app.settings.conf import KNOWN, Conf
from workerd.app.settings.elsewhere import ELSEWHERE
from workerd.app.settings.names import SETTINGS
from workerd.app.settings.old_names import todays_name
from workerd.backends import BackendOptions
from workerd.config import Layers
from workerd.errors import ConfigError, ExitCode
from workerd.protocol.moment import parse_moment

# Not in Celery's table of defaults: one that its Redis backend reads all the same, and our own.
BESIDE_THE_TABLE = {"redis_backend_health_check_interval", "beat_lease", "beat_missed"}


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
    with pytest.raises(ConfigError, match=r"'worker_pool' cannot be 'gevent'.*one at a time each; leave it"):
        App(worker_pool="gevent")
    assert App(worker_pool="prefork").conf.worker_pool == App().conf.worker_pool == "prefork"
    assert App(worker_state_db="/var/state").conf.given() == {"worker_state_db": "/var/state"}


def test_every_setting_of_celery_is_honoured_or_told_apart() -> None:
    ours = set(SETTINGS) | set(ELSEWHERE)
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
    assert not set(SETTINGS) & set(ELSEWHERE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", 1),
        ("result_expires", -1),
        ("result_expires", "soon"),
        ("task_default_queue", ""),
        ("broker_url", ""),
        ("task_protocol", 1),
        ("result_serializer", "xml"),
        ("timezone", "Europe/Atlantis"),
        ("task_publish_retry_policy", 3),
        ("task_queues", [3]),
        ("worker_concurrency", "many"),
    ],
)
def test_a_value_that_cannot_be_is_an_error_that_names_the_setting(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Conf({name: value})


def test_what_is_not_honoured_has_celerys_default_and_a_reason() -> None:
    theirs = dict(flatten(NAMESPACES))
    for name, one in ELSEWHERE.items():
        if name in theirs:
            assert (name, one.default) == (name, theirs[name].default)
        assert one.why
        assert one.instead


def test_old_names_are_todays() -> None:
    for old, new in _TO_NEW_KEY.items():
        if new in KNOWN:
            assert (old, todays_name(old, KNOWN)) == (old, new)
    conf = Conf({"CELERYD_CONCURRENCY": 3, "CELERY_ALWAYS_EAGER": True})
    assert (conf.worker_concurrency, conf.CELERY_ALWAYS_EAGER) == (3, True)
    assert conf.given() == {"worker_concurrency": 3, "task_always_eager": True}
    assert "BROKER_URL" in conf
    assert "BROKER_EARL" not in conf


def test_settings_of_others_in_the_same_module_are_left_alone_and_ours_are_not() -> None:
    app = App()
    app.config_from_object(SimpleNamespace(DEBUG=True, INSTALLED_APPS=[], CELERY_DEFAULT_QUEUE="old"))
    assert app.conf.given() == {"task_default_queue": "old"}
    with pytest.raises(ConfigError, match="unknown app setting 'CELERY_DEFAULT_QUEU'"):
        app.config_from_object(SimpleNamespace(CELERY_DEFAULT_QUEU="old"))


def test_a_variable_may_name_the_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mail_settings.py").write_text(
        "task_default_queue = 'mail'\nclass Inner:\n    timezone='UTC'"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MAIL_SETTINGS", "mail_settings")
    app = App()
    assert app.config_from_envvar("MAIL_SETTINGS")
    assert app.conf.task_default_queue == "mail"
    assert not app.config_from_envvar("NO_SETTINGS", silent=True)
    with pytest.raises(ConfigError, match="NO_SETTINGS names no module"):
        app.config_from_envvar("NO_SETTINGS")
    app.config_from_object("mail_settings:Inner")
    assert app.conf.timezone == "UTC"
    with pytest.raises(ConfigError, match="mail_settings:Outer"):
        app.config_from_object("mail_settings:Outer")


def test_the_deprecated_pair_stands_for_both_unless_one_is_given() -> None:
    conf = Conf({"task_acks_on_timeout": True, "task_acks_on_failure_or_timeout": False})
    assert (conf.task_acks_on_failure, conf.task_acks_on_timeout) == (False, True)
    task = App().task(acks_on_failure_or_timeout=False, acks_on_timeout=True)(len_of)
    assert (task.acks_on_failure, task.acks_on_timeout) == (False, True)


def len_of(text: str) -> int:
    return len(text)


class Slow:
    """An annotation by an object."""

    def annotate(self, task: Any) -> dict[str, Any] | None:
        return {"rate_limit": "1/m"} if task.name == "slow" else None


def test_annotations_go_over_what_tasks_say_of_themselves_whenever_they_come() -> None:
    app = App(task_annotations=[{"*": {"time_limit": 60}, "early": {"rate_limit": "5/s"}}, Slow()])
    early, slow = (app.task(name=name, rate_limit="9/s")(len_of) for name in ("early", "slow"))
    assert [(t.rate_limit, t.time_limit) for t in (early, slow)] == [("5/s", 60), ("1/m", 60)]
    app.conf.task_annotations = {"early": {"soft_time_limit": 30}}
    assert early.soft_time_limit == 30
    for wrong in ({"early": {"rate_limit": "often"}}, {"early": {"@on_failure": print}}, {"early": {"x": 1}}):
        with pytest.raises(ConfigError, match=r"early|'x'"):
            app.conf.task_annotations = wrong


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis_password", "hush"),
        ("result_backend", ["redis://:hush@h/0"]),
        ("broker_transport_options", [{"password": "hush", "url": "redis://:hush@h/0"}]),
    ],
)
def test_no_error_tells_a_secret(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' cannot be") as caught:
        Conf({name: value})
    assert "hush" not in str(caught.value)


def test_an_error_tells_what_is_no_secret() -> None:
    with pytest.raises(ConfigError, match="'task_default_routing_key' cannot be 3"):
        Conf({"task_default_routing_key": 3})
