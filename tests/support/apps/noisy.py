"""The app of the tests of output: tasks that print, log, and leave their process in every state."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
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


# -- tasks that leave their process in every state


class HostileError(Exception):
    """Every way to look at it raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise RuntimeError("no pickle")


class Sly(str):
    """Takes its readers with it."""

    def __repr__(self) -> str:
        raise SystemExit(3)

    __str__ = __repr__


@app.task(name="noisy.size")
def size(text: str) -> str:
    return text


@app.task(name="noisy.exits")
def exits(kind: str) -> None:
    match kind:
        case "os._exit":
            os._exit(5)
        case "sys.exit":
            sys.exit("enough")
        case "segfault":
            ctypes.string_at(0)
        case "base":
            raise BaseException("bare")
        case "interrupt":
            raise KeyboardInterrupt
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="noisy.hostile")
def hostile(kind: str) -> object:
    match kind:
        case "raises":
            raise HostileError("\ud800")
        case "raises sly":
            raise ValueError(Sly("x"))
        case "returns set":
            return {1, 2}
        case "returns hostile":
            return HostileError()
        case "recursion":
            return hostile.run(kind)
        case "deep":
            deep: list[object] = []
            for _ in range(100_000):
                deep = [deep]
            return deep
    return None


@app.task(name="noisy.forks")
def forks(kind: str) -> tuple[str, int]:
    pid = os.fork()
    if pid == 0:
        match kind:
            case "exits":
                sys.exit(7)
            case "raises":
                raise ValueError("in the fork")
            case "returns":
                return kind, 0
    return kind, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@app.task(name="noisy.spoils")
def spoils(kind: str) -> str:
    print(f"spoils {kind}", flush=True)
    match kind:
        case "handlers":
            for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGRTMIN + 1):
                signal.signal(number, lambda number, frame: os._exit(9))
        case "mask":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        case "alarm":
            signal.alarm(1)
        case "place":
            os.chdir("/")
            os.umask(0o777)
        case "stdout":
            sys.stdout.close()
        case "descriptors":
            os.closerange(0, 3)
        case "everything":
            os.closerange(0, 1000)
    return kind
