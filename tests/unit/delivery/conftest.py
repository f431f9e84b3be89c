"""A dispatcher with fakes for everything that it talks to, in each test."""

from __future__ import annotations

import pytest

from tests.unit.delivery.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()
