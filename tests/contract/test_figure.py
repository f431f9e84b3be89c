"""Figures of blueprints: every step in its order, and only the arrows that say something new."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.contract.fakes import Parent, plain
from workerd.bootsteps import Blueprint
from workerd.bootsteps.figure import FORMATS, Chart, chart_of, dot, mermaid, svg, text

SVG = "{http://www.w3.org/2000/svg}"


def chart(*built_in: Any, added: tuple[Any, ...] = (), name: str = "Worker") -> Chart:
    return chart_of(Blueprint(name=name, default_steps=built_in, steps=added).apply(Parent()))


@pytest.fixture
def charts() -> list[Chart]:
    hub, timer = plain("Hub"), plain("Timer", requires=("Hub",))
    pool = plain("Pool", requires=("Hub", "Timer"))
    beat = plain("Beat", conditional=True, enabled=False)
    mine = plain("Mine", name="proj.Mine", requires=("Pool",))
    worker = chart(hub, timer, pool, beat, plain("Consumer", last=True), added=(mine,))
    return [worker, chart(plain("Connection"), plain('event "loop"', last=True), name="Consumer")]


def test_what_follows_from_other_arrows_is_left_out(charts: list[Chart]) -> None:
    boxes = charts[0].boxes

    assert [box.alias for box in boxes] == ["Hub", "Timer", "Pool", "Beat", "Mine", "Consumer"]
    assert [box.after for box in boxes] == [(), (0,), (1,), (), (2,), (3, 4)]


def test_a_box_knows_where_its_step_comes_from_and_whether_it_takes_part(charts: list[Chart]) -> None:
    facts = {box.alias: (box.origin, box.off, box.last) for box in charts[0].boxes}

    assert facts["Pool"] == ("", False, False)
    assert facts["Beat"] == ("", True, False)
    assert facts["Mine"] == ("proj.Mine", False, False)
    assert facts["Consumer"] == ("", False, True)


def test_a_step_that_takes_part_without_any_hook_is_not_off() -> None:
    assert [box.off for box in chart(plain("Quiet")).boxes] == [False]


def test_a_rank_is_the_longest_way(charts: list[Chart]) -> None:
    assert charts[0].ranks() == [0, 1, 2, 0, 3, 4]


def test_text_has_a_line_for_each_step_in_boot_order(charts: list[Chart]) -> None:
    assert text(charts).splitlines() == [
        "Worker",
        "   1  Hub",
        "   2  Timer     after Hub",
        "   3  Pool      after Timer",
        "   4  Beat      off",
        "   5  Mine      after Pool; added: proj.Mine",
        "   6  Consumer  after all others",
        "Consumer",
        "   1  Connection",
        '   2  event "loop"  after all others',
    ]


def test_dot_has_a_cluster_for_each_blueprint_and_escapes_names(charts: list[Chart]) -> None:
    lines = [line.strip() for line in dot(charts).splitlines()]

    assert lines.count("subgraph cluster_worker {") == lines.count("subgraph cluster_consumer {") == 1
    assert 'worker3 [label="Beat", style=dashed];' in lines
    assert 'worker4 [label="Mine", style=bold];' in lines
    assert r'consumer1 [label="event \"loop\""];' in lines
    arrows = [line for line in lines if "->" in line]
    assert arrows == [
        "worker0 -> worker1;",
        "worker1 -> worker2;",
        "worker2 -> worker4;",
        "worker3 -> worker5;",
        "worker4 -> worker5;",
        "consumer0 -> consumer1;",
        "worker5 -> consumer0 [style=dotted];",
    ]


def test_mermaid_says_the_same(charts: list[Chart]) -> None:
    lines = [line.strip() for line in mermaid(charts).splitlines()]

    assert lines[:2] == ["flowchart TB", "subgraph Worker"]
    assert 'worker3["Beat"]:::off' in lines and 'worker4["Mine"]:::added' in lines
    assert 'consumer1["event #quot;loop#quot;"]' in lines
    assert sum("-->" in line for line in lines) == 6
    assert "worker5 -.-> consumer0" in lines


def test_svg_draws_each_step_once_below_those_before_it_and_beside_no_other(charts: list[Chart]) -> None:
    root = ElementTree.fromstring(svg(charts))
    names = [element.text for element in root.iter(f"{SVG}text")]
    steps = [box.alias for one in charts for box in one.boxes]
    assert sorted(str(name) for name in names) == sorted(["Worker", "Consumer", *steps])

    rects = [rect.attrib for rect in root.iter(f"{SVG}rect")]
    frames, boxes = rects[:2], rects[2:]
    places = [tuple(float(box[key]) for key in ("x", "y", "width", "height")) for box in boxes]
    for number, (x, y, width, height) in enumerate(places):
        for x2, y2, width2, _ in places[number + 1 :]:
            assert y != y2 or x + width < x2 or x2 + width2 < x, "two boxes in one place"
        frame = next(f for f in frames if float(f["y"]) < y < float(f["y"]) + float(f["height"]))
        assert float(frame["x"]) <= x and x + width <= float(frame["x"]) + float(frame["width"])
        assert y + height <= float(frame["y"]) + float(frame["height"])


def test_svg_has_arrows_that_lead_down(charts: list[Chart]) -> None:
    ways = [path.attrib["d"] for path in ElementTree.fromstring(svg(charts)).iter(f"{SVG}path")]

    assert len(ways) == 7
    for way in ways:
        heights = [float(pair.split(",")[1]) for pair in re.findall(r"[\d.-]+,[\d.-]+", way)]
        assert heights == sorted(heights) and heights[0] < heights[-1]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_figure_of_nothing_is_no_error(kind: str) -> None:
    assert FORMATS[kind]([])
    assert FORMATS[kind]([chart()])
