"""Messages and results captured from running Celery processes, one family a file in ``vectors/``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent / "vectors"


class Captured(NamedTuple):
    """One task message as it stood in Redis."""

    name: str
    raw: bytes
    headers: dict[str, Any]
    properties: dict[str, Any]
    body: Any
    content_type: str


def vector(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text())


def task_messages() -> list[Captured]:
    """Every task message of protocol 1 or 2 in every file."""
    found = []
    for path in sorted(HERE.glob("*.json")):
        for number, node in enumerate(_messages(json.loads(path.read_text()))):
            envelope = json.loads(node["raw_envelope"])
            found.append(
                Captured(
                    f"{path.stem}-{number}",
                    node["raw_envelope"].encode(),
                    envelope["headers"],
                    envelope["properties"],
                    node.get("body"),
                    envelope["content-type"],
                )
            )
    return [one for one in found if "task" in one.headers or one.name.startswith("task-v1")]


def metas() -> list[tuple[str, dict[str, Any]]]:
    """Every result that is stored as JSON, with a name for the test."""
    found = []
    for path in sorted(HERE.glob("result-redis-*.json")):
        if "pickle" in path.name:
            continue
        for number, meta in enumerate(_metas(json.loads(path.read_text()))):
            found.append((f"{path.stem}-{number}", meta))
    return found


def _messages(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("raw_envelope"), str):
            yield node
        for value in node.values():
            yield from _messages(value)
    elif isinstance(node, list):
        for value in node:
            yield from _messages(value)


def _metas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "status" in node and "task_id" in node:
            yield node
            return
        for value in node.values():
            yield from _metas(value)
    elif isinstance(node, list):
        for value in node:
            yield from _metas(value)
