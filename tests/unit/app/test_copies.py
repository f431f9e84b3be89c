"""Results, signatures and an app's registries can be copied and pickled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from workerd import App, AsyncResult
from workerd.errors import ConfigError


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_a_result_and_a_signature_come_back_with_an_app_that_finds_them(again: Any) -> None:
    app = App("proj", broker="memory://", backend="redis://nowhere/3", result_expires=5)
    result = again(AsyncResult("id", app, parent=AsyncResult("up", app)))
    assert (result.id, result.parent.id, result.app.main) == ("id", "up", "proj")
    assert (result.app.backend_url(), result.app.conf.result_expires) == ("redis://nowhere/3", 5)
    signature = again(app.signature("t", (1,), options={"queue": "q"}))
    assert (signature["task"], signature["args"], signature["options"]) == ("t", (1,), {"queue": "q"})
    assert signature.app.main == "proj"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_steps_and_user_options_come_back_filled(again: Any) -> None:
    app = App()
    app.steps["worker"].add("proj:Step")
    app.user_options["preload"].add("option")
    assert again(app.steps) == app.steps
    assert again(app.user_options) == app.user_options


def test_steps_of_an_unknown_blueprint_are_an_error_with_the_nearest_one() -> None:
    app = App()
    with pytest.raises(ConfigError, match="did you mean worker"):
        app.steps["wroker"].add(object)
    assert set(app.steps) == {"worker", "consumer"}
