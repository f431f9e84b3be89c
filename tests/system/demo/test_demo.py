"""The demo as it is typed: it works, it can be interrupted, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.leaks import gone


@pytest.fixture
def files(short_dir: Path) -> Path:
    folder = short_dir / "files"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"{number}\n" * number)
    return folder


def demo(short_dir: Path, *words: str) -> subprocess.Popen[str]:
    tmp = short_dir / "t"
    tmp.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "workerd", "demo", "--size", "2", *words],
        env=os.environ | {"TMPDIR": str(tmp), "WORKERD_LOGLEVEL": "nonsense of another daemon"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell lets what it runs in the background ignore this, and so all that is started there.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
    )


def test_it_checks_every_file_and_leaves_nothing(short_dir: Path, files: Path) -> None:
    process = demo(short_dir, str(files))
    out, _ = process.communicate(timeout=100)

    assert process.returncode == 0, out
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line}
    assert rows["files"] == "40"
    assert rows["lines"] == str(sum(range(40)))
    assert rows["lost"] == rows["wrong"] == rows["retries"] == "0"
    assert rows["left"] == "nothing"
    assert list((short_dir / "t").iterdir()) == []


def test_an_interrupt_stops_its_daemon_and_leaves_nothing(short_dir: Path, files: Path) -> None:
    # Holes, which take some seconds to be read: it must not be ready before it is interrupted.
    with (files / "large").open("wb") as large:
        large.truncate(6 << 30)
    process = demo(short_dir, str(files))
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert next(line for line in lines if line.startswith("daemon: pid"))
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3

        process.send_signal(signal.SIGINT)

        process.communicate(timeout=100)
        # 130 to a shell both times: Python ends by the signal itself where that came within an exec of text,
        # as modules have that are imported then (namedtuples), whoever has caught the KeyboardInterrupt.
        assert process.returncode in (130, -signal.SIGINT)
        assert [one for one in family if not gone(one)] == []
        assert list((short_dir / "t").iterdir()) == []
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_directory_that_is_none_is_one_line(short_dir: Path) -> None:
    process = demo(short_dir, str(short_dir / "nowhere"))
    out, _ = process.communicate(timeout=100)

    assert process.returncode == 78
    assert out == f"workerd: {short_dir}/nowhere is not a directory; name one that holds files\n"
