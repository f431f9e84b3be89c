"""The tree of calls that came of one: what a run has sent, and what those have.

Errors:  IncompleteStream when a part of it has not ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workerd.protocol.exceptions import IncompleteStream

if TYPE_CHECKING:
    from workerd.app.results.result import AsyncResult


def children_of(result: AsyncResult, nodes: Iterable[Any]) -> list[Any]:
    """The results that the stored tuples ``nodes`` name; what is none of them is left out."""
    # It is made of single results.
    from workerd.app.results.group import result_from_tuple  # noqa: PLC0415

    found = []
    for node in nodes:
        if isinstance(node, Mapping) or not node:
            continue
        child = result_from_tuple(node, result.app)
        child.parent = child.parent or result
        found.append(child)
    return found


def iterdeps(root: Any, intermediate: bool) -> Iterator[tuple[Any, Any]]:
    """(parent, result) of ``root`` and all below it, level by level."""
    waiting: deque[tuple[Any, Any]] = deque([(None, root)])
    while waiting:
        parent, node = waiting.popleft()
        yield parent, node
        if node.ready():
            waiting.extend((node, child) for child in node.children or ())
        elif not intermediate:
            raise IncompleteStream(f"{node.id} has not ended")
