"""No file and no function grows longer than somebody can keep in mind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 300, 50


def functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("root", ["supervisor", "pool"])
def test_files_and_functions_are_short(root: str) -> None:
    long = []
    for path in sorted((ROOT / root).rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        if (count := len(text.splitlines())) > LINES_OF_A_FILE:
            long.append(f"{name}: {count} lines")
        long += [f"{name}: {function} has {n}" for function, n in functions(text) if n > LINES_OF_A_FUNCTION]
    assert not long
