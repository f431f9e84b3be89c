"""Which queues each pool consumes: what settings and app name, without what is left out."""

from __future__ import annotations

from typing import Any

import pytest
from kombu.common import Broadcast

from workerd import App
from workerd.config import load_layers
from workerd.errors import ConfigError
from workerd.worker.served import queues_by_pool


def of(app: App, **flags: Any) -> dict[str, Any]:
    layers = load_layers({"app": "x", **flags}, None, {})
    return dict(queues_by_pool(app, layers.config()))


def test_the_apps_queues_are_the_default_pools() -> None:
    assert of(App()) == {"default": ("celery",)}
    assert of(App(task_queues={"a": {}, "b": {}})) == {"default": ("a", "b")}
    assert of(App(), queues="x,y") == {"default": ("x", "y")}


def test_what_is_left_out_no_pool_consumes() -> None:
    app = App(task_queues={"a": {}, "b": {}})
    assert of(app, exclude_queues="b") == {"default": ("a",)}
    pools = {"pools.video.queues": "v,w", "queues": "a"}
    assert of(app, exclude_queues="w", **pools) == {"default": ("a",), "video": ("v",)}
    with pytest.raises(ConfigError, match="pool 'default' has no queue left"):
        of(app, exclude_queues="a,b")


def test_a_queue_may_be_called_by_its_alias() -> None:
    everyone = Broadcast("everyone")
    app = App(task_queues=[everyone, "a"])
    assert app.daemon_defaults()["queues"] == ("everyone", "a")
    assert of(app, queues="everyone") == {"default": (everyone.name,)}
    assert of(app, exclude_queues="everyone") == {"default": ("a",)}


def test_a_queue_that_may_not_be_made_ends_the_start() -> None:
    app = App(task_queues={"a": {}}, task_create_missing_queues=False)
    with pytest.raises(ConfigError, match="'b' is not in task_queues"):
        of(app, queues="a,b")
