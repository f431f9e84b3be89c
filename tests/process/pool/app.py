"""What the templates of these tests import: a Runner whose jobs do as their header says."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.process.pool.bad import BadJobs
from tests.process.pool.interrupted import InterruptedJobs
from tests.process.pool.speaking import SpeakingJobs
from workerd_pool import LoadError, MemoryLimitExceeded, RecordHandler, Report

Outcome = tuple[dict[str, Any], bytes]


class Runner(BadJobs, InterruptedJobs, SpeakingJobs):
    """``do`` in the header names the method."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.started = 0
        self.kept: list[bytearray] = []

    def table(self) -> dict[str, Any]:
        version = self.options.get("version", 1)
        if path := self.options.get("version_in"):
            version = int(Path(path).read_text())
        return {"version": version, "padding": "x" * self.options.get("padding", 0)}

    def child_started(self) -> None:
        self.started += 1
        if words := self.options.get("hello"):
            print(words, end="")
        if home := self.options.get("home"):
            os.chdir(home)
        time.sleep(self.options.get("slow_start", 0.0))
        if self.options.get("bad_child"):
            raise RuntimeError("no database")
        if (path := self.options.get("fails_unless")) and not Path(path).exists():
            raise ConnectionError("database\nis not there")
        if path := self.options.get("only_first"):
            Path(path).touch(exist_ok=False)
        if (path := self.options.get("dies_unless")) and not Path(path).exists():
            os._exit(9)

    def child_stopping(self) -> None:
        if self.options.get("bad_stop"):
            raise RuntimeError("cannot stop")

    def run(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        return getattr(self, header["do"])(header, body, report)  # type: ignore[no-any-return]

    def echo(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        return {"state": "SUCCESS", "pid": os.getpid(), "version": self.options.get("version", 1)}, body

    def sleep(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        time.sleep(header["seconds"])
        return {"state": "SUCCESS", "pid": os.getpid()}, body

    def wait_for(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        if begun := header.get("begun"):
            Path(begun).touch()
        while not Path(header["path"]).exists():
            time.sleep(0.01)
        return {"state": "SUCCESS", "pid": os.getpid()}, body

    def grow(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        # For good, as a leak does.
        self.kept.append(bytearray(os.urandom(1024)) * (header["mb"] * 1024))
        return {"state": "SUCCESS", "pid": os.getpid()}, body

    def greedy(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        """Takes more and more until it is told that it has too much, or until ``patient`` exists."""
        taken: list[bytearray] = []
        seen = ""
        while not (seen and not header.get("patient")) and len(taken) < header["mb"]:
            try:
                taken.append(bytearray(os.urandom(1024)) * 1024)
                time.sleep(header.get("pause", 0.002))
            except MemoryLimitExceeded as exc:
                seen += str(exc)
        waiting = bool(header.get("patient"))
        while waiting:
            # The look at the file too: an interruption there would end the job.
            try:
                time.sleep(0.01)
                waiting = not Path(header["patient"]).exists()
            except MemoryLimitExceeded as exc:
                seen += str(exc)
        return {"state": "SUCCESS", "pid": os.getpid(), "seen": seen, "mb": len(taken)}, b""

    def digest(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        return {"digest": hashlib.sha256(body).hexdigest()}, body[::-1]

    def steps(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        for number in range(header["count"]):
            report.progress({"step": number}, body)
        return {"state": "SUCCESS"}, b""

    def raising(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        raise ValueError("not my day")

    def unpackable(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        return {"state": object()}, b""

    def exiting(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        sys.exit(4)

    def dying(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        os._exit(header["code"])

    def segfault(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        ctypes.string_at(0)
        return {}, b""

    def killing_itself(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}, b""

    def facts(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
        fds = {fd: _target(fd) for fd in _open_fds()}
        told = {
            "pid": os.getpid(),
            "ppid": os.getppid(),
            "group": os.getpgid(0),
            "handlers": [callable(handler) for handler in handlers],
            "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
            "fds": {str(fd): name for fd, name in fds.items()},
            "started": self.started,
            "environ": dict(os.environ),
            "directory": os.getcwd(),  # noqa: PTH109
            "umask": os.umask(0o27),
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
            "streams": [getattr(stream, "name", "") for stream in (sys.stdin, sys.stdout, sys.stderr)],
            "all_handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
            "argument": self.options.get("argument"),
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "frozen": gc.get_freeze_count(),
            "collector": [gc.isenabled(), *gc.get_threshold()],
        }
        return {"state": "SUCCESS"}, json.dumps(told).encode()

    def own_handler(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        seen: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        os.kill(os.getpid(), signal.SIGTERM)
        return {"seen": seen, "before": getattr(before, "__name__", repr(before))}, b""

    def terminate_own_process(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        process = subprocess.Popen(["sleep", "60"])
        process.terminate()
        return {"exec": process.wait(20), "fork": _fork_and_terminate()}, b""

    def leave_process(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        process = subprocess.Popen(["sleep", "600"])
        report.progress({"pid": process.pid}, b"")
        time.sleep(60)
        return {}, b""

    def fork_and_fall_through(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            return {"status": status}, b""
        return {"status": "from the wrong process"}, b""

    def close_everything(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        os.closerange(3, 256)
        time.sleep(60)
        return {}, b""

    def garbage(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        for fd in _open_fds():
            if fd > 2 and _target(fd).startswith("socket:"):
                os.write(fd, b"\xff" * 100)
        time.sleep(60)
        return {}, b""


def _target(fd: int) -> str:
    return str(Path(f"/proc/self/fd/{fd}").readlink())


def _open_fds() -> list[int]:
    fds = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            os.fstat(int(name))
        except OSError:
            continue  # the one of listdir itself
        fds.append(int(name))
    return fds


def _fork_and_terminate() -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def start_threads(options: dict[str, Any]) -> None:
    """As imports do; a native one is one that Python knows nothing of, as numpy's libraries have them."""
    if options.get("native_thread"):
        libc = ctypes.CDLL(None)
        if libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.sleep, ctypes.c_void_p(600)):
            raise OSError("no thread")
    if options.get("ended_thread"):
        (brief := threading.Thread(target=int)).start()
        brief.join()
    if options.get("thread"):
        threading.Thread(target=time.sleep, args=(600,), name="metrics-pusher", daemon=True).start()


def load(arg: bytes) -> Runner:
    """The entry."""
    options = json.loads(arg or b"{}")
    if options.get("records"):
        logging.root.addHandler(RecordHandler())
        logging.root.setLevel(logging.INFO)
        logging.getLogger("proj").info("loading")
    if options.get("broken"):
        raise ImportError("no module named nonsense")
    if reason := options.get("refuses"):
        raise LoadError(reason, "app.py, line 3")
    if options.get("exits"):
        sys.exit(3)
    if options.get("dies"):
        os._exit(11)
    time.sleep(options.get("slow_import", 0.0))
    if words := options.get("import_says"):
        print(words, end="")
    if (path := options.get("imports_if")) and not Path(path).exists():
        raise ImportError("not any more")
    start_threads(options)
    runner = Runner(options)
    runner.kept.extend([str(number)] for number in range(options.get("objects", 0)))
    if ballast := options.get("ballast"):
        runner.kept.append(bytearray(os.urandom(1024)) * (ballast * 1024))
    return runner
