"""Key names as kombu spells them."""

from __future__ import annotations

import pytest
from kombu import Connection

from workerd.source.redis.keys import Keys


def test_lists_are_in_the_order_of_service() -> None:
    assert Keys().lists("q") == ["q", "q\x06\x163", "q\x06\x166", "q\x06\x169"]


OPTIONS = [{}, {"priority_steps": [0, 2, 4]}, {"sep": ":"}, {"priority_steps": [1, 5]}]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_priority_goes_to_the_list_that_kombu_would_choose(options: dict[str, object]) -> None:
    keys = Keys.of_options(options)
    channel_class = Connection("redis://", transport_options=options).transport.Channel
    channel = channel_class.__new__(channel_class)
    channel.sep = options.get("sep", channel_class.sep)
    channel.priority_steps = options.get("priority_steps", channel_class.priority_steps)
    for priority in range(10):
        assert keys.list_for("q", priority) == channel._q_for_pri("q", priority)


def test_priorities_out_of_range_are_bounded() -> None:
    assert Keys().list_for("q", -5) == "q"
    assert Keys().list_for("q", 255) == "q\x06\x169"


def test_the_global_prefix_is_before_every_key() -> None:
    keys = Keys.of_options({"global_keyprefix": "app:"})
    names = [keys.unacked, keys.index, keys.dead("q"), keys.lease("o"), *keys.lists("q")]
    names += [name for name, _ in keys.bindings("q")]
    assert all(name.startswith("app:") for name in names)


def test_bindings_are_those_of_a_direct_exchange_of_the_same_name() -> None:
    assert Keys().bindings("q") == [
        ("_kombu.binding.q", "q\x06\x16\x06\x16q"),
        ("_kombu.binding_permanent.q", "q\x06\x16\x06\x16q"),
    ]
