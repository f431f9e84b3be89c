"""Figures of blueprints: which steps there are, and which of them start after which."""

from workerd.bootsteps.figure.chart import Box, Chart, chart_of
from workerd.bootsteps.figure.svg import svg
from workerd.bootsteps.figure.words import dot, mermaid, text

FORMATS = {"text": text, "mermaid": mermaid, "dot": dot, "svg": svg}
"""Each takes charts, the first to start first, and returns the whole text of a figure."""

__all__ = ["FORMATS", "Box", "Chart", "chart_of", "dot", "mermaid", "svg", "text"]
