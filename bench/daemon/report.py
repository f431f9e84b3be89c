"""What was found, as tables for people (``bench/RESULTS.md``) and as data (``bench/results.json``)."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench.daemon import aims
from bench.daemon.contenders import OURS, PEERS, ROOT
from bench.daemon.growth import Curve
from bench.daemon.machine import machine, revision, versions
from bench.daemon.setting import Setting, Table
from bench.daemon.turns import ratios, spread

TEXT, DATA = ROOT / "bench" / "RESULTS.md", ROOT / "bench" / "results.json"
CURVES = ROOT / "docs" / "explanation" / "performance"


@dataclass
class Results:
    """Everything of one run, or of several that were added to each other."""

    facts: dict[str, str]
    versions: dict[str, str]
    runs: dict[str, str] = field(default_factory=dict)
    """When and how each measure was taken."""
    tables: dict[str, Table] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    """Measures that do not count, and why."""

    @classmethod
    def of_now(cls, chosen: Setting) -> Results:
        """Nothing found yet; the machine as it is before the first turn."""
        return cls(machine(), versions())

    def take_over(self) -> None:
        """Begin with what ``bench/results.json`` has of the same machine and versions."""
        if not DATA.exists():
            return
        earlier = msgspec.json.decode(DATA.read_bytes(), type=Results)
        if (earlier.facts, earlier.versions) == (self.facts, self.versions):
            self.runs, self.tables, self.curves = earlier.runs, earlier.tables, earlier.curves

    def note(self, measure: str, chosen: Setting) -> None:
        """This measure is about to be taken."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        rounds = f"{chosen.rounds} rounds, {chosen.seconds:g} s a turn{', --quick' if chosen.quick else ''}"
        self.runs[measure] = f"{now}, {rounds}, revision {revision()}, load before {os.getloadavg()[0]:.1f}"

    def add(self, found: Table | Curve) -> None:
        """Keep what a measure has found."""
        if isinstance(found, Table):
            self.tables[found.key] = found
        else:
            self.curves[found.key] = found

    def write(self) -> None:
        """The text, the data, and the curves with their pictures."""
        DATA.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        TEXT.write_text("\n".join(self.lines()) + "\n")
        self.write_curves()

    def lines(self) -> list[str]:
        """The whole text."""
        lines = [
            "# Results",
            "",
            "Written by `python -m bench.daemon`; how it is measured is told in [README.md](README.md).",
            "",
        ]
        lines += ["A figure is the median of the rounds, with the least and the greatest."]
        lines += [f"Ratios are {OURS.name}'s figure divided by the other's in the same round.", ""]
        lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in self.facts.items())]
        lines += [f"| {key} | {value} |" for key, value in (self.versions | self.runs).items()]
        lines += ["", "## Aims", "", *aims.lines(self.tables, self.curves)]
        if self.failed:
            lines += ["", "## Does not count", "", *(f"- {each}" for each in self.failed)]
        everything: list[Table | Curve] = [*self.tables.values(), *self.curves.values()]
        for each in everything:
            lines += ["", f"## {each.title}", "", *shown(each)]
        return lines

    def write_curves(self) -> None:
        """A CSV file and a picture for each axis."""
        CURVES.mkdir(exist_ok=True)
        for axis in {each.axis for each in self.curves.values()}:
            rows: list[dict[str, Any]] = []
            for each in self.curves.values():
                if each.axis == axis:
                    series = each.key.removeprefix(f"{axis} ")
                    for x, point in each.points.items():
                        figures = {figure: f"{value:.4g}" for figure, value in point.items()}
                        rows.append({"series": series, axis: x, **figures})
            with (CURVES / f"{axis}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        drawing = [str(PEERS / "plots" / "bin" / "python"), str(ROOT / "bench" / "daemon" / "plots.py")]
        subprocess.run([*drawing, str(CURVES)], check=True)


def shown(found: Table | Curve) -> list[str]:
    """As Markdown."""
    return table(found) if isinstance(found, Table) else curve(found)


def table(found: Table) -> list[str]:
    """One line for each contender, as Markdown."""
    first = found.columns[0]
    beside = OURS.name in found.found and len(found.found) > 1
    heads = ["", *(column.head for column in found.columns), *([f"{OURS.name} / it"] if beside else [])]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name in found.found:
        cells = [format(spread(found.found, name, column.figure), column.form) for column in found.columns]
        if beside:
            ratio = ratios(found.found, first.figure, OURS.name, name)
            cells.append(format(ratio, ".2f") if name != OURS.name else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [f"\nLeft out: {why}" for why in found.left_out.values()]
    return lines


def curve(found: Curve) -> list[str]:
    """One line for each point, as Markdown."""
    figures = list(next(iter(found.points.values())))
    lines = [f"| {found.axis} | {' | '.join(figures)} |", "|---:" * (len(figures) + 1) + "|"]
    for x, point in found.points.items():
        lines.append(f"| {x:,} | {' | '.join(f'{point[figure]:,.1f}' for figure in figures)} |")
    return lines
