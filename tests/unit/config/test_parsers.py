"""Reading times, sizes and names as operators write them."""

from __future__ import annotations

import os

import pytest

from workerd.config.model import Config, default_size
from workerd.config.parsers import (
    parse_budget,
    parse_bytes,
    parse_count,
    parse_count_or_none,
    parse_duration,
    parse_flag,
    parse_names,
    parse_positive_duration,
    parse_size,
    parse_urls,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (3, 3.0),
        (0, 0.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("250ms", 0.25),
        ("90s", 90.0),
        ("1.5 m", 90.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
    ],
)
def test_a_time_is_a_number_of_seconds_or_has_a_unit(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "soon", "5 weeks", "1m30s", "inf", "nan", True, None])
def test_what_is_no_time_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="write seconds, or a number with ms, s, m, h or d"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [("200MB", 200 << 20), ("1.5 GB", 3 << 29), ("64k", 65536), ("2gib", 2 << 30), (0, 0), ("0", 0)],
)
def test_memory_has_a_unit_of_1024(written: object, size: int) -> None:
    assert parse_bytes(written) == size


@pytest.mark.parametrize("written", ["", 200, "200", "many", "-1MB", "5 TB", True, None])
def test_memory_without_a_unit_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="such as 200MB, or 0 for no limit"):
        parse_bytes(written)


def test_a_budget_may_be_left_to_the_cgroup() -> None:
    assert [parse_budget(written) for written in ("auto", " AUTO", 0, "4GB")] == [None, None, 0, 4 << 30]
    with pytest.raises(ValueError, match="0 for no budget, or auto"):
        parse_budget("lots")


def test_a_count_may_be_no_limit() -> None:
    assert [parse_count_or_none(written) for written in (0, "0", "7", 7)] == [0, 0, 7, 7]
    with pytest.raises(ValueError, match="0 for no limit"):
        parse_count_or_none(-1)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("written", [-1, -0.5, "-3", "-1m", INF, -INF, NAN, "9" * 400, f"{'9' * 307}d"])
def test_a_time_that_cannot_pass_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a time must be 0 or more, and finite"):
        parse_duration(written)


@pytest.mark.parametrize("written", [0, 0.0, "0", "0ms"])
def test_a_time_that_must_pass_cannot_be_nothing(written: object) -> None:
    with pytest.raises(ValueError, match="this time must be more than 0"):
        parse_positive_duration(written)


def test_a_time_that_must_pass_may_be_short() -> None:
    assert parse_positive_duration("1ms") == 0.001


@pytest.mark.parametrize(("written", "count"), [(1, 1), ("3", 3), (" 12 ", 12)])
def test_a_count_is_a_whole_number(written: object, count: int) -> None:
    assert parse_count(written) == count


@pytest.mark.parametrize("written", [0, "0", -1, 1.5, 2.0, True, "three", "", None, "9" * 400])
def test_what_counts_nothing_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="write a whole number, 1 or more"):
        parse_count(written)


@pytest.mark.parametrize(
    ("written", "size"), [(4, (4, 4)), ("4", (4, 4)), ("2-8", (2, 8)), ("2 - 8", (2, 8)), ([2, 8], (2, 8))]
)
def test_a_size_is_a_number_or_a_range(written: object, size: tuple[int, int]) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["many", "", "-1", [1, 2, 3], 1.5, None])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="write a number or a range such as 2-8"):
        parse_size(written)


@pytest.mark.parametrize(
    ("written", "told"),
    [(0, "1 slot or more"), ("0-4", "1 slot or more"), ("8-2", "smaller end"), ([0, 1], "1 slot or more")],
)
def test_a_size_holds_at_least_one_and_grows_upward(written: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_size(written)


@pytest.mark.parametrize("written", [1001, "2-1001", [1, 99999]])
def test_a_size_has_an_upper_end(written: object) -> None:
    assert parse_size(1000) == (1000, 1000)
    with pytest.raises(ValueError, match="needs 1000 slots or fewer"):
        parse_size(written)


@pytest.mark.parametrize("written", ["a,b", " a , b ,", ["a", "b"], ("a", " b ")])
def test_names_come_as_a_list_or_with_commas(written: object) -> None:
    assert parse_names(written) == ("a", "b")


@pytest.mark.parametrize("written", ["", " , ", 3, None])
def test_no_names_at_all_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match="one name or more"):
        parse_names(written)


@pytest.mark.parametrize(
    "written",
    [
        "amqp://a;redis://b/0",
        "amqp://a, redis://b/0",
        "amqp://a ; redis://b/0;",
        ["amqp://a", "redis://b/0"],
        ("amqp://a;redis://b/0",),
    ],
)
def test_urls_come_as_a_list_or_with_semicolons(written: object) -> None:
    assert parse_urls(written) == ("amqp://a", "redis://b/0")


def test_separators_within_an_url_are_left_alone() -> None:
    assert parse_urls("redis://u:a,b;c@h/0?x=1,2;embedded") == ("redis://u:a,b;c@h/0?x=1,2", "embedded")


@pytest.mark.parametrize("written", ["", " ; ", 3, None, [], [3]])
def test_no_urls_at_all_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match="URL"):
        parse_urls(written)


@pytest.mark.parametrize(
    ("written", "flag"),
    [(True, True), ("yes", True), ("On", True), ("1", True), (False, False), ("no", False), ("0", False)],
)
def test_a_flag_is_a_boolean_or_a_word_for_one(written: object, flag: bool) -> None:
    assert parse_flag(written) is flag


@pytest.mark.parametrize("written", ["", "perhaps", 2, None])
def test_what_is_no_flag_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="write true or false"):
        parse_flag(written)


def test_an_empty_list_means_the_default() -> None:
    assert parse_names([]) == ()


def test_the_default_size_is_the_number_of_cpus_of_this_process() -> None:
    cpus = len(os.sched_getaffinity(0))
    assert default_size() == Config().size == (cpus, cpus)


def test_a_config_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Config().name = "other"  # type: ignore[misc]
