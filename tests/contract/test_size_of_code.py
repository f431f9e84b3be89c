"""No file and no function grows longer than somebody can keep in mind, those of tests and tools included."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 300, 50


def code(root: str) -> Iterator[tuple[str, str]]:
    """Name and text of every file of Python, and of every script."""
    for directory, below, names in os.walk(ROOT / root):
        below[:] = [name for name in below if not name.startswith(".")]  # what bench installs is not ours
        for path in sorted(Path(directory, name) for name in names):
            if path.suffix in (".py", ".sh", ""):
                text = path.read_text(encoding="utf-8")
                if path.suffix == ".py" or text.startswith("#!"):
                    yield str(path.relative_to(ROOT)), text


def functions(name: str, text: str) -> Iterator[tuple[str, int]]:
    if not name.endswith(".py") and "python" not in text.partition("\n")[0]:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("root", ["supervisor", "pool", "tests", "bench", "tools"])
def test_files_and_functions_are_short(root: str) -> None:
    long, seen = [], 0
    for name, text in code(root):
        seen += 1
        if (count := len(text.splitlines())) > LINES_OF_A_FILE:
            long.append(f"{name}: {count} lines")
        long += [
            f"{name}: {function} has {n}" for function, n in functions(name, text) if n > LINES_OF_A_FUNCTION
        ]
    assert not long
    assert seen
