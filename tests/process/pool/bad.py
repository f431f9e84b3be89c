"""Jobs that leave their process in a state that would hurt the next one, or try to."""

from __future__ import annotations

import atexit
import fcntl
import io
import locale
import os
import shutil
import signal
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

from workerd_pool import Report
from workerd_pool.linux import DUMP, WAKE

Outcome = tuple[dict[str, Any], bytes]
OK: Outcome = ({"state": "SUCCESS"}, b"")


class HostileError(Exception):
    """Every way to look at it raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise RuntimeError("no pickle")


class BadJobs:
    """Part of the Runner of these tests."""

    def sets_handlers(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGALRM,
            signal.SIGUSR1,
            WAKE,
            DUMP,
        ):
            signal.signal(number, lambda number, frame: os._exit(99))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        return OK

    def sets_an_alarm(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
        return OK

    def blocks_signals(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        return OK

    def goes_elsewhere(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        os.chdir("/")
        os.umask(0)
        return OK

    def removes_its_directory(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        here = Path.cwd()
        os.chdir("/")
        shutil.rmtree(here)
        return OK

    def replaces_streams(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        sys.stdout, sys.stderr, sys.stdin = io.StringIO(), None, None  # type: ignore[assignment]
        return OK

    def closes_a_stream(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        print("before it is closed")
        sys.stdout.close()
        return OK

    def closes(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        print("before it is closed", flush=True)
        for fd in header["fds"]:
            os.close(fd)
        return OK

    def redirects(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        fd = os.open(header["path"], os.O_CREAT | os.O_WRONLY)
        os.dup2(fd, 1)
        os.close(fd)
        print("into the file")
        return OK

    def redirects_for_a_while(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        kept, fd = os.dup(1), os.open(header["path"], os.O_CREAT | os.O_WRONLY)
        os.dup2(fd, 1)
        print("into the file")
        os.dup2(kept, 1)
        os.close(kept)
        os.close(fd)
        print("into the log")
        return OK

    def does_not_wait(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        # As asyncio's connect_write_pipe does.
        os.set_blocking(1, False)
        print("no waiting")
        if header.get("then_wait"):
            # Until the supervisor has read it: an empty pipe must be made to wait again as well.
            while fcntl.ioctl(1, termios.FIONREAD, bytes(4)) != bytes(4):
                time.sleep(0.001)
        return OK

    def closes_all(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        os.closerange(0, 1000)
        return OK

    def changes_environment(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        os.environ["SEEN_BY_THE_NEXT"] = "yes"
        locale.setlocale(locale.LC_ALL, "C")
        return OK

    def starts_a_thread(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        threading.Thread(target=time.sleep, args=(600,), daemon=False).start()
        return OK

    def asks_for_exit_hooks(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        atexit.register(print, "an exit hook")
        return OK

    def raises_in_del(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        class Dying:
            def __del__(self) -> None:
                raise ValueError("raised by __del__")

        Dying()
        return OK

    def raises_hostile(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        raise HostileError("no half: \ud800")

    def raises_base(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        raise {"interrupt": KeyboardInterrupt, "base": BaseException, "exit": SystemExit}[header["kind"]]("x")

    def recurses(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        return self.recurses(header, body, report)

    def returns_hostile(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        return HostileError()  # type: ignore[return-value]

    def returns_halves(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        return {"state": "\ud800"}, b""

    def daemonises(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        """The classic way, which keeps stdout; returns when the daemon runs."""
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.write(writer, b"%d" % os.getpid())
            time.sleep(header["seconds"])
            os._exit(0)
        os.waitpid(pid, 0)
        daemon = int(os.read(reader, 16))
        os.close(reader)
        os.close(writer)
        return {"daemon": daemon}, b""
