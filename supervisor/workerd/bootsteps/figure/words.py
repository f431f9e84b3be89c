"""Charts as text: for people, for graphviz (dot) and for mermaid.

An arrow leads from a step to one that starts after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from workerd.bootsteps.figure.chart import Box, Chart


def text(charts: Sequence[Chart]) -> str:
    """One line for each step, in boot order."""
    return "\n".join(line for chart in charts for line in _lines(chart)) + "\n"


def _lines(chart: Chart) -> Iterator[str]:
    yield chart.title
    width = max((len(box.alias) for box in chart.boxes), default=0)
    for number, box in enumerate(chart.boxes, start=1):
        yield f"  {number:>2}  {box.alias:<{width}}  {'; '.join(_facts(chart, box))}".rstrip()


def _facts(chart: Chart, box: Box) -> Iterator[str]:
    if box.last:
        yield "after all others"
    elif box.after:
        yield f"after {', '.join(chart.boxes[place].alias for place in box.after)}"
    if box.origin:
        yield f"added: {box.origin}"
    if box.off:
        yield "off"


def dot(charts: Sequence[Chart]) -> str:
    """For graphviz; steps that are off are dashed, added ones bold."""
    lines = ["digraph bootsteps {", "  node [shape=box, fontname=sans];"]
    for chart in charts:
        name = chart.title.lower()
        lines += [f"  subgraph cluster_{name} {{", f"    label={_quoted(chart.title)};"]
        for place, box in enumerate(chart.boxes):
            style = ", style=dashed" if box.off else ", style=bold" if box.origin else ""
            lines.append(f"    {name}{place} [label={_quoted(box.alias)}{style}];")
        lines += [f"    {name}{start} -> {name}{end};" for start, end in _arrows(chart)]
        lines.append("  }")
    lines += [f"  {start} -> {end} [style=dotted];" for start, end in _between(charts)]
    return "\n".join([*lines, "}", ""])


def mermaid(charts: Sequence[Chart]) -> str:
    """For mermaid, which GitHub draws; as in ``dot``, off is dashed and added is bold."""
    lines = ["flowchart TB"]
    for chart in charts:
        name = chart.title.lower()
        lines.append(f"  subgraph {chart.title}")
        for place, box in enumerate(chart.boxes):
            style = ":::off" if box.off else ":::added" if box.origin else ""
            label = box.alias.replace('"', "#quot;")
            lines.append(f'    {name}{place}["{label}"]{style}')
        lines += [f"    {name}{start} --> {name}{end}" for start, end in _arrows(chart)]
        lines.append("  end")
    lines += [f"  {start} -.-> {end}" for start, end in _between(charts)]
    lines += ["  classDef off stroke-dasharray: 4 3", "  classDef added stroke-width: 3px"]
    return "\n".join([*lines, ""])


def _arrows(chart: Chart) -> Iterator[tuple[int, int]]:
    for end, box in enumerate(chart.boxes):
        for start in box.after:
            yield start, end


def _between(charts: Sequence[Chart]) -> Iterator[tuple[str, str]]:
    """The last step of each blueprint starts the next one."""
    for one, following in pairwise(charts):
        if one.boxes and following.boxes:
            yield f"{one.title.lower()}{len(one.boxes) - 1}", f"{following.title.lower()}0"


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
