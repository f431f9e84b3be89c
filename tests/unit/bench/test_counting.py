"""The benchmarks' own bookkeeping: no run counts in which a task was lost or repeated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.daemon import aims
from bench.daemon.apps.ledger import Ledger
from bench.daemon.contenders import CELERY, HUEY, OURS, Contender
from bench.daemon.drain import COLUMNS
from bench.daemon.running import BenchError
from bench.daemon.setting import Table
from bench.daemon.turns import Figures, Found, ratios, take_turns


def test_a_ledger_knows_what_ran_and_how_often(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger", 3)
    same = Ledger(tmp_path / "ledger")  # as another process maps it
    assert (ledger.done(), ledger.repeated()) == (0, 0)

    same.note(2)
    same.note(0)
    assert (ledger.done(), ledger.repeated()) == (2, 0)
    assert ledger.in_order() == [ledger.began[2], ledger.began[0]]
    same.note(2)
    assert (ledger.done(), ledger.repeated()) == (2, 1)


def test_a_peer_whose_runs_do_not_count_is_left_out_after_a_second_try() -> None:
    taken = []

    def turn(contender: Contender, before: Figures) -> Figures:
        taken.append(contender.name)
        if contender is HUEY:
            raise BenchError("huey: 1 tasks repeated")
        return {"rate": before.get("rate", 0.0) + 1.0}

    turns = take_turns((OURS, HUEY, CELERY), 2, turn, "rate")
    assert taken == ["workerd", "huey", "huey", "celery", "workerd", "celery"]
    assert turns.found == {name: [{"rate": 1.0}, {"rate": 2.0}] for name in ("workerd", "celery")}
    assert turns.left_out == {"huey": "huey: 1 tasks repeated"}


@pytest.mark.parametrize(
    "contender", [OURS, replace(OURS, name="workerd events")], ids=lambda each: each.name
)
def test_a_run_of_ours_that_does_not_count_ends_the_measure(contender: Contender) -> None:
    def turn(contender: Contender, before: Figures) -> Figures:
        raise BenchError("workerd: 1 messages lost")

    with pytest.raises(BenchError, match="lost"):
        take_turns((contender, CELERY), 1, turn, "rate")


def test_a_ratio_is_one_of_the_same_round_and_an_aim_is_met_by_the_median() -> None:
    found: Found = {
        "workerd": [{"rate": 30.0}, {"rate": 20.0}, {"rate": 64.0}],
        "celery": [{"rate": 1.0}, {"rate": 2.0}, {"rate": 4.0}],
    }
    ratio = ratios(found, "rate", "workerd", "celery")
    assert (ratio.low, ratio.median, ratio.high) == (10.0, 16.0, 30.0)

    drained = Table("drain redis", "", COLUMNS, found)
    lines = aims.lines({"drain redis": drained}, {}, silent=True)
    assert "| drain, redis | ≥ 15 x Celery | 16.00 (10.00 - 30.00) x celery | met |" in lines
