"""Charts as a drawing, for those who have no graphviz.

Steps stand in layers, each below all that start before it; within a layer each stands near those.  Arrows
over several layers pass behind the boxes.

Units: pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from workerd.bootsteps.figure.chart import Box, Chart

CHARACTER, PADDING = 7.5, 20
"""Width of a letter, about, and of what stands around a name."""
HEIGHT, GAP, LAYER, MARGIN = 28, 16, 66, 24
TITLE = 20
BUILT_IN = 'fill="#f5f7fa" stroke="#456"'
ADDED = 'fill="#fff3d6" stroke="#a60" stroke-width="2"'
OFF = 'fill="#fff" stroke="#99a" stroke-dasharray="4 3"'
FRAME = 'fill="#fff" stroke="#ccd"'
ARROW = 'fill="none" stroke="#789" marker-end="url(#head)"'
NEXT = f'{ARROW} stroke-dasharray="4 3"'
FONT = 'font-family="sans-serif" font-size="13" fill="#222" text-anchor="middle"'
BASELINE = 4
"""From the middle of a line of text down to where it stands."""
HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<polygon points="0,0 8,4 0,8" fill="#789"/></marker>'
)


@dataclass(slots=True)
class Placed:
    """A box with its centre and its width."""

    box: Box
    x: float
    y: float
    width: float


def svg(charts: Sequence[Chart]) -> str:
    """One picture, the blueprints below one another."""
    drawings = [_placed(chart) for chart in charts]
    inner = max(map(_right, drawings), default=0.0)
    top, parts = float(MARGIN), []
    for chart, drawing in zip(charts, drawings, strict=True):
        shift = (inner - _right(drawing)) / 2 + 2 * MARGIN
        for placed in drawing:
            placed.x, placed.y = placed.x + shift, placed.y + top + TITLE + MARGIN
        bottom = max((placed.y for placed in drawing), default=top + TITLE) + HEIGHT / 2 + MARGIN / 2
        parts.append(_frame(chart.title, inner, top, bottom))
        top = bottom + MARGIN
    for one, following in pairwise(filter(None, drawings)):
        parts.append(_arrow(one[-1], following[0], NEXT))
    parts += [part for drawing in drawings for part in _parts(drawing)]
    width = inner + 4 * MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {top:.0f}" width="{width:.0f}">'
    return "\n".join([head, f"<defs>{HEAD}</defs>", f"<g {FONT}>", *parts, "</g>", "</svg>", ""])


def _placed(chart: Chart) -> list[Placed]:
    """Every box in its layer, the first at the left edge; in boot order."""
    ranks = chart.ranks()
    placed = [
        Placed(box, 0.0, rank * LAYER, _width(box)) for box, rank in zip(chart.boxes, ranks, strict=True)
    ]
    layers = [
        [one for one, rank in zip(placed, ranks, strict=True) if rank == layer] for layer in sorted({*ranks})
    ]
    widest = max((_layer_width(layer) for layer in layers), default=0.0)
    for layer in layers:
        layer.sort(key=lambda one: _middle(one, placed))
        x = (widest - _layer_width(layer)) / 2
        for one in layer:
            one.x = x + one.width / 2
            x += one.width + GAP
    return placed


def _middle(one: Placed, placed: Sequence[Placed]) -> float:
    """Where those stand that it follows; the layers above have their places already."""
    above = [placed[place].x for place in one.box.after]
    return sum(above) / len(above) if above else 0.0


def _width(box: Box) -> float:
    return len(box.alias) * CHARACTER + PADDING


def _layer_width(layer: Sequence[Placed]) -> float:
    return sum(one.width for one in layer) + GAP * (len(layer) - 1)


def _right(drawing: Sequence[Placed]) -> float:
    """The right edge; the left one is 0."""
    return max((one.x + one.width / 2 for one in drawing), default=0.0)


def _parts(drawing: Sequence[Placed]) -> Iterator[str]:
    for one in drawing:
        for place in one.box.after:
            yield _arrow(drawing[place], one)
    for one in drawing:
        style = OFF if one.box.off else ADDED if one.box.origin else BUILT_IN
        rect = _rect(one.x - one.width / 2, one.y - HEIGHT / 2, one.width, HEIGHT, style)
        yield rect + _text(one.x, one.y, one.box.alias)


def _arrow(start: Placed, end: Placed, style: str = ARROW) -> str:
    top, bottom = start.y + HEIGHT / 2, end.y - HEIGHT / 2
    bend = min((bottom - top) / 2, LAYER / 2)
    begin, finish = f"{start.x:.0f},{top:.0f}", f"{end.x:.0f},{bottom:.0f}"
    way = f"M{begin} C{start.x:.0f},{top + bend:.0f} {end.x:.0f},{bottom - bend:.0f} {finish}"
    return f'<path d="{way}" {style}/>'


def _frame(title: str, width: float, top: float, bottom: float) -> str:
    frame = _rect(MARGIN, top, width + 2 * MARGIN, bottom - top, FRAME)
    return frame + _text(MARGIN + PADDING / 2, top + TITLE, title, 'font-weight="bold" text-anchor="start"')


def _rect(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="5" {style}/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y + BASELINE:.0f}" {style}>{escape(text)}</text>'
