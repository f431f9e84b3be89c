"""An inbox that hears the signals of this very process."""

from __future__ import annotations

from collections.abc import Iterator
from signal import Signals

import pytest

from tests.support.clock import FakeClock
from workerd.worker.loop.inbox import Inbox


@pytest.fixture
def inbox(clock: FakeClock) -> Iterator[Inbox]:
    inbox = Inbox(clock.now)
    inbox.install()
    yield inbox
    inbox.uninstall()


def taken(inbox: Inbox) -> list[Signals]:
    return [seen.signum for seen in inbox.take()]
