"""Lines and marks, however the bytes were cut on their way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workerd_pool import Job
from workerd_pool.lines import CONTINUED, LONGEST, START, Lines, mark

A, B, C = (Job(number, {}, b"") for number in (1, 2, 3))
ONE, ALL = {1: A}, {1: A, 2: B, 3: C}


def take(lines: Lines, limit: int = 10_000) -> list[tuple[Job | None, str]]:
    return [(owner, text.text) for owner, text in lines.take(limit)]


def texts(lines: Lines, limit: int = 10_000) -> list[str]:
    return [text for _, text in take(lines, limit)]


def test_whole_lines_are_taken_and_the_rest_waits_for_its_end() -> None:
    lines = Lines()
    lines.feed(b"one\ntwo\r\nthr", ONE)
    assert take(lines) == [(A, "one"), (A, "two")]
    assert not lines.waiting and lines.unfinished
    lines.feed(b"ee\n", ONE)
    assert lines.waiting
    assert texts(lines) == ["three"]
    assert not lines.unfinished and lines.size == 0


def test_the_last_line_ends_without_a_newline() -> None:
    lines = Lines()
    lines.feed(b"no newline", ONE)
    lines.finish()
    assert texts(lines) == ["no newline"]
    lines.finish()
    assert texts(lines) == []


def test_never_more_lines_than_asked_for() -> None:
    lines = Lines()
    lines.feed(b"x\n" * 10 + b"end", ONE)
    lines.finish()
    assert texts(lines, 4) == ["x"] * 4
    assert lines.waiting
    assert texts(lines, 100) == ["x"] * 6 + ["end"]


def test_what_stands_before_a_mark_is_its_jobs_and_what_follows_the_next_ones() -> None:
    lines = Lines()
    lines.feed(b"of a" + mark(1) + b"of b", ALL)
    assert lines.marked == {1}
    lines.feed(b", still" + mark(2) + mark(3) + b"of nobody\n", ALL)
    assert take(lines) == [(A, "of a"), (B, "of b, still"), (None, "of nobody")]


def test_the_mark_of_the_start_counts_also_before_there_is_a_job() -> None:
    lines = Lines()
    lines.feed(b"starting" + mark(START) + b"of a\n", ONE)
    assert lines.marked == {START}
    assert take(lines) == [(None, "starting"), (A, "of a")]


def test_a_mark_of_no_job_is_text() -> None:
    lines = Lines()
    lines.feed(mark(7) + b"\n", ONE)
    assert take(lines) == [(A, "\\x00end 7\\x00")]


def test_a_partial_line_does_not_pass_from_one_owner_to_the_next() -> None:
    lines = Lines()
    lines.feed(b"a's", ONE)
    lines.feed(b"b's\n", {2: B})
    assert take(lines) == [(A, "a's"), (B, "b's")]


def test_a_long_line_is_cut_in_parts_that_say_so() -> None:
    lines = Lines()
    lines.feed(b"y" * (2 * LONGEST + 5) + b"\nshort\n" + b"z" * LONGEST + b"\n", ONE)
    first, second, third, short, exact = texts(lines)
    assert first == second == "y" * LONGEST + CONTINUED
    assert (third, short, exact) == ("yyyyy", "short", "z" * LONGEST)


def test_a_long_line_is_not_cut_inside_a_letter() -> None:
    lines = Lines()
    lines.feed(("x" + "€" * LONGEST).encode(), ONE)
    lines.finish()
    parts = texts(lines)
    assert "".join(part.removesuffix(CONTINUED) for part in parts) == "x" + "€" * LONGEST
    assert all(len(part.removesuffix(CONTINUED).encode()) <= LONGEST for part in parts)


def test_bytes_that_are_no_text_are_escaped() -> None:
    lines = Lines()
    lines.feed(b"\xff\xfe ok \xc3\xa9 \0end x\0\n", ONE)
    assert texts(lines) == ["\\xff\\xfe ok é \\x00end x\\x00"]


def test_a_zero_byte_at_the_end_is_not_lost() -> None:
    lines = Lines()
    lines.feed(b"tail\0en", ONE)
    lines.finish()
    assert texts(lines) == ["tail\\x00en"]


PIECES = st.lists(st.sampled_from([b"word", b"\n", b"\0", b"\0end", b" 7", "é".encode()]))


@given(PIECES, PIECES, st.lists(st.integers(1, 9)))
def test_however_the_bytes_are_cut_the_lines_are_the_same(
    before: list[bytes], behind: list[bytes], sizes: list[int]
) -> None:
    data = b"".join([*before, mark(1), *behind])
    at_once = Lines()
    at_once.feed(data, ONE)
    at_once.finish()
    cut = Lines()
    position = 0
    taken: list[str] = []
    for size in sizes:
        cut.feed(data[position : position + size], ONE)
        taken += texts(cut)
        position += size
    cut.feed(data[position:], ONE)
    cut.finish()
    assert taken + texts(cut) == texts(at_once)
    assert cut.marked == at_once.marked
