"""Fixtures of the contract: a parent for blueprints."""

from __future__ import annotations

import pytest

from tests.contract.fakes import Parent


@pytest.fixture
def parent() -> Parent:
    return Parent()
