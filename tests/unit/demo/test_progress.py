from __future__ import annotations

import io

from workerd.demo.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(out: io.StringIO, total: int) -> str:
    progress = Progress(total, out)
    for _ in range(total):
        progress.step()
    progress.end()
    return out.getvalue()


def test_elsewhere_than_on_a_terminal_each_tenth_is_a_line() -> None:
    text = run(io.StringIO(), 200)

    assert text.splitlines()[0] == "20 of 200 files"
    assert text.splitlines()[-1] == "200 of 200 files"
    assert text.count("\n") == 10


def test_on_a_terminal_one_line_is_drawn_again() -> None:
    text = run(Terminal(), 3)

    assert text.count("\n") == 1
    assert text.endswith(f"\r[{'#' * 40}] 3/3\n")
