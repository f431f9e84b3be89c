"""Steps with consumers of their own: on a new channel over each link, closed once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from workerd.bootsteps import ConsumerStep


class FakeChannel:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class FakeConsumer:
    def __init__(self, channel: FakeChannel, gone: bool = False) -> None:
        self.channel, self.gone, self.calls = channel, gone, list[str]()

    def consume(self) -> None:
        self.calls.append("consume")

    def cancel(self) -> None:
        self.calls.append("cancel")
        if self.gone:
            raise ConnectionResetError("gone")


class Odd(ConsumerStep):
    """Notes its channel, and gets no further."""

    def __init__(self, c: Any, found: Any = None) -> None:
        self.found = found

    def get_consumers(self, channel: Any) -> Any:
        self.channel = channel
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Custom(ConsumerStep):
    requires = ()

    def get_consumers(self, channel: Any) -> Any:
        self.mine = [FakeConsumer(channel), FakeConsumer(channel, gone=True)]
        return self.mine


def consumer_parent() -> Any:
    connection = SimpleNamespace(channel=FakeChannel, connection_errors=(), channel_errors=())
    return SimpleNamespace(connection=connection, steps=[], app=None)


def test_a_consumer_step_consumes_on_a_new_channel_after_each_start() -> None:
    c = consumer_parent()
    step = Custom(c)

    step.start(c)
    first = step.mine[0]
    step.stop(c)
    step.start(c)

    assert first.calls == ["consume", "cancel"]
    assert step.mine[0].calls == ["consume"]
    assert step.mine[0].channel is not first.channel


def test_a_consumer_step_closes_its_channel_once_though_the_link_is_gone() -> None:
    c = consumer_parent()
    step = Custom(c)
    step.start(c)

    step.stop(c)
    step.shutdown(c)
    step.stop(c)

    assert step.mine[1].calls == ["consume", "cancel"]
    assert step.mine[0].channel.closed == 1


def test_a_consumer_step_does_not_cancel_at_shutdown() -> None:
    c = consumer_parent()
    step = Custom(c)
    step.start(c)

    step.shutdown(c)

    assert step.mine[0].calls == ["consume"]
    assert step.mine[0].channel.closed == 1


def test_a_consumer_step_may_have_no_consumers() -> None:
    class Nobody(ConsumerStep):
        def get_consumers(self, channel: Any) -> None:
            return None

    c = consumer_parent()
    step = Nobody(c)
    step.start(c)
    step.stop(c)


def test_a_consumer_step_without_get_consumers_says_so() -> None:
    c = consumer_parent()

    with pytest.raises(NotImplementedError, match="missing get_consumers"):
        ConsumerStep(c).start(c)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (FakeConsumer(FakeChannel()), "is to return a list of consumers, not <.*FakeConsumer"),
        (["queue"], "is to return kombu.Consumer objects, not 'queue'"),
        (TypeError("of its own"), "of its own"),
    ],
)
def test_what_get_consumers_cannot_return_is_named_and_its_channel_closed(found: Any, says: str) -> None:
    c = consumer_parent()
    step = Odd(c, found)

    with pytest.raises(TypeError, match=says):
        step.start(c)
    assert step.channel.closed == 1
    step.stop(c)
