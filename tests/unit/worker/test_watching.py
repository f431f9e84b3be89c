"""Which changes of files are changes of code."""

from __future__ import annotations

import pytest

from workerd.worker.watching.program import is_code


@pytest.mark.parametrize("name", ["tasks.py", "deep/er/tasks.py", "fast.cpython-311-x86_64-linux-gnu.so"])
def test_sources_and_compiled_extensions_are_code(name: str) -> None:
    assert is_code(f"/srv/proj/{name}", "/srv/proj")


@pytest.mark.parametrize(
    "name",
    [
        ".tasks.py.swp",
        ".tasks.py.swx",
        "tasks.py~",
        "#tasks.py#",
        "#tasks.py",
        ".#tasks.py",
        "4913",
        "tasks.py.tmp.123",
        "__pycache__/tasks.cpython-311.pyc",
        ".git/hooks/hook.py",
        "deep/.ipynb_checkpoints/tasks.py",
        "db.sqlite3",
        "templates/mail.html",
    ],
)
def test_droppings_and_data_are_not(name: str) -> None:
    assert not is_code(f"/srv/proj/{name}", "/srv/proj")


def test_a_hidden_directory_above_the_package_hides_nothing() -> None:
    assert is_code("/home/me/.work/proj/tasks.py", "/home/me/.work/proj")
