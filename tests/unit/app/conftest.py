"""An app whose messages stay in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.app.mail import memory_app
from workerd import App


@pytest.fixture
def app() -> Iterator[App]:
    with memory_app() as app:
        yield app
