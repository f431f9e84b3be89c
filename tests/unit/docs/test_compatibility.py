"""The table of what of Celery there is says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.compatibility import PAGE, page
from workerd.app.settings.names import SETTINGS

PRODUCT = Path(__file__).parents[3] / "supervisor/workerd"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "type: make compatibility"


@pytest.fixture(scope="module")
def product() -> str:
    """All of the code but the table of names."""
    names = PRODUCT / "app/settings/names.py"
    return "\n".join(path.read_text("utf-8") for path in PRODUCT.rglob("*.py") if path != names)


# Its one value is what is sent anyway.
@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - {"task_protocol"}))
def test_what_is_called_honoured_is_looked_at(product: str, name: str) -> None:
    assert re.search(rf'conf\.{name}\b|"{name}"', product), f"nothing reads app.conf.{name}"
