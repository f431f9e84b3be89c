"""The app of the tests of output: tasks that print, log, and leave their process in every state."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from workerd import App

app = App("noisy")
logger = logging.getLogger("noisy.tasks")
print("noisy is imported")


@app.task(name="noisy.prints")
def prints(text: str, stream: str = "stdout") -> None:
    print(text, file=getattr(sys, stream))


@app.task(name="noisy.runs")
def runs(command: str) -> int:
    return subprocess.run(command, shell=True, check=False).returncode


@app.task(name="noisy.logs")
def logs(level: str, text: str) -> None:
    try:
        raise ValueError("deep")
    except ValueError as exc:
        logger.log(logging.getLevelName(level), text, exc_info=exc if level == "ERROR" else None)


@app.task(name="noisy.floods")
def floods(lines: int) -> int:
    block = b"".join(b"%099d\n" % number for number in range(1000))
    for _ in range(lines // 1000):
        os.write(1, block)
    return lines
