"""``plots.py DIRECTORY``: draw each ``AXIS.csv`` as ``AXIS.svg``, in an environment of its own."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

AXES = {
    "backlog": "messages that wait",
    "queues": "queues",
    "children": "children (sleeping tasks)",
    "bodies": "bytes of a body",
    "eta": "tasks due in an hour",
}
SCALES: dict[str, tuple[str, dict[str, float]]] = {
    "backlog": ("log", {"base": 10}),
    "queues": ("log", {"base": 2}),
    "children": ("log", {"base": 2}),
    "bodies": ("linear", {}),
    "eta": ("symlog", {"linthresh": 1_000}),
}
FIGURES = {"rate": "tasks a second", "own": "supervisor's CPU, µs a task", "rss": "supervisor's memory, MB"}


def draw(path: Path) -> None:
    """One picture: a panel for each figure, a line for each series."""
    axis = path.stem
    series: dict[str, list[dict[str, str]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            series[row["series"]].append(row)
    shown = [figure for figure in FIGURES if figure in next(iter(series.values()))[0]]
    picture, panels = plt.subplots(1, len(shown), figsize=(4.5 * len(shown), 3.2), squeeze=False)
    for panel, figure in zip(panels[0], shown, strict=True):
        for name, rows in series.items():
            x, y = ([float(row[key]) for row in rows] for key in (axis, figure))
            panel.plot(x, y, marker="o", label=name)
        scale, options = SCALES[axis]
        panel.set_xscale(scale, **options)
        panel.set(xlabel=AXES[axis], ylabel=FIGURES[figure], ylim=(0, None))
        panel.grid(alpha=0.3)
    panels[0][0].legend()
    picture.tight_layout()
    picture.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def main() -> None:
    """Draw all that is there."""
    mpl.rcParams.update({"svg.hashsalt": "workerd", "svg.fonttype": "none", "font.size": 9})
    for path in sorted(Path(sys.argv[1]).glob("*.csv")):
        draw(path)


if __name__ == "__main__":
    main()
