"""A child: one process that runs one job at a time.

It is forked twice by the template, so that it belongs to the supervisor, or started by the
supervisor itself.  It runs nothing before GO; reads one RUN at a time, so that what it has not read
can be taken back; and leaves after DRAIN, or at once when the supervisor is gone.

Exit codes: 0 after DRAIN or without a supervisor, 1 when it could not start, 70 for a fault of its own,
171 when a job has closed its socket to the supervisor.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
from setproctitle import setproctitle

from workerd_pool import frames, lines, linux, quiet, streams, telling
from workerd_pool.baseline import Baseline, Found
from workerd_pool.contract import Runner
from workerd_pool.death import EXIT_CUT_OFF
from workerd_pool.entry import failure
from workerd_pool.frames import Kind
from workerd_pool.interrupt import Interrupt
from workerd_pool.link import JobReport, Link
from workerd_pool.streams import Streams

EXIT_CANNOT_START = 1
EXIT_BUG = 70
TRIES = 3
OUTCOME = 2  # its place in a DONE frame
ADOPTION_LIMIT = 60.0  # seconds; the intermediate process exits within a millisecond


class Birth(msgspec.Struct, frozen=True):
    """What the template tells a child."""

    supervisor: int
    slot: int
    name: str
    down: int
    up: int
    out: int = streams.OUT
    err: int = streams.ERR
    between: int = -1
    """The parent at its fork; whoever else is the parent later has adopted it."""
    imports: bool = False
    """It is not forked: the entry must be imported, and the standard streams are in their places."""


class CutOffError(Exception):
    """A job has closed what leads to the supervisor."""


def live(birth: Birth, load: Callable[[], Runner]) -> NoReturn:
    """The whole life of the process; never returns, in a forked one, into the template's stack.

    ``load`` gives the template's Runner, or imports one.
    """
    code = EXIT_BUG
    try:
        if not birth.imports:
            streams.take(birth.out, birth.err)
        os.setpgid(0, 0)
        _be_adopted(birth)
        code = Child(birth, load).main()
    except CutOffError:
        code = EXIT_CUT_OFF
    except BaseException:  # noqa: BLE001 - nothing may unwind into the template, and stderr tells
        traceback.print_exc()
    finally:
        streams.flush()
        os._exit(code)


def _be_adopted(birth: Birth) -> None:
    """Wait until the supervisor is the parent; PDEATHSIG set earlier would mean the intermediate's death."""
    limit = time.monotonic() + ADOPTION_LIMIT
    while (parent := os.getppid()) != birth.supervisor:
        # Somebody else's child already: the supervisor has died.
        if parent != birth.between or time.monotonic() > limit:
            os._exit(0)
        time.sleep(0.0005)
    linux.die_with_parent(birth.supervisor)


class Child:
    """The loop over frames."""

    _runner: Runner

    def __init__(self, birth: Birth, load: Callable[[], Runner]) -> None:
        self._load, self._imports = load, birth.imports
        self._prefix = f"workerd[{birth.name}] child {birth.slot}"
        self._pid = os.getpid()
        self._worn = ""
        self._shown = ""  # what the process calls itself
        self._since, self._stale = "", 0.0  # the time of day in words, and when they are old
        # The DONE of the last job waits for what begins next, which it tells as well: its header and body.
        self._ended: list[Any] | None = None
        self._ended_body = b""
        self._streams = Streams()
        self._interrupt = Interrupt()
        self._interrupt.not_in(Child._outcome)
        self._baseline = Baseline(self._interrupt.on_signal, birth.down, birth.up)
        self._link = Link(birth.down, birth.up, self._interrupt)

    def main(self) -> int:
        """Boot, work, leave; return the exit code."""
        self._title("waiting")
        frame = self._link.receive()
        if frame is None or frame[0] != Kind.GO:
            return 0
        quiet.stand(self._interrupt.on_signal)
        quiet.reset_in_forks(self._link.abandon)
        self._link.send(Kind.INITIALISED)
        if not self._start():
            return EXIT_CANNOT_START
        streams.flush()
        self._link.send(Kind.READY, [self._streams.end(lines.START)])
        self._work()
        self._stop()
        return 0

    def _start(self) -> bool:
        self._title("importing" if self._imports else "starting")
        try:
            self._runner = self._load()
            if self._imports:
                # A limit of its own for what comes now.
                self._link.send(Kind.INITIALISED)
                self._title("starting")
            self._runner.child_started()
        except BaseException as exc:  # noqa: BLE001 - the supervisor gets it, with its traceback
            self._link.send(Kind.FAILED, failure(exc))
            return False
        self._baseline.take()
        return True

    def _stop(self) -> None:
        self._title("stopping")
        try:
            self._runner.child_stopping()
        except BaseException as exc:  # noqa: BLE001 - told to the supervisor; this child leaves anyway
            words, shown = telling.words_of(exc), telling.traceback_of(exc)
            self._link.log(logging.ERROR, f"child_stopping raised {words}\n{shown}")

    def _work(self) -> None:
        """Run jobs until DRAIN, the end of the socket, or a job after which there must be no other."""
        while not self._worn:
            frame = self._link.receive(wait=False) if self._ended is not None else None
            if frame is None and (frame := self._idle()) is None:
                break
            kind, header, body = frame
            if kind == frames.RUN:
                self._run(header, body)
            elif kind == Kind.PING:
                self._tell_end()
                self._link.send(Kind.PONG)
            elif kind == Kind.DRAIN:
                break
        self._tell_end()

    def _idle(self) -> frames.Frame | None:
        """Wait for a frame; None at the end of the socket."""
        self._tell_end()
        self._title("idle")
        return self._link.receive()

    def _tell_end(self, begins: int | None = None) -> None:
        """Send the DONE of the last job, if it is not told yet; it names the one that ``begins`` now."""
        told, self._ended = self._ended, None
        if told is None:
            return
        told.append(begins)
        try:
            header = frames.encode(told)
        except (TypeError, ValueError, RecursionError, OverflowError) as exc:
            told[OUTCOME] = telling.internal(exc)
            header = frames.encode(told)
        self._link.send_between(frames.DONE, header, self._ended_body)

    def _run(self, header: bytes, body: bytes) -> None:
        """Run one job; its DONE waits for what comes next."""
        job_id, title, job_header = frames.decode(header)
        self._tell_end(job_id)
        report = JobReport(self._link, self._interrupt, job_id)
        begun = time.monotonic()
        if title != self._shown or begun >= self._stale:
            self._title(title)
        outcome, self._ended_body = self._outcome(job_id, job_header, body, report)
        if os.getpid() != self._pid:
            # A task forked and the new process came back here as if it were the child.
            os._exit(EXIT_BUG)
        report.open = False
        printed = self._tidy(job_id, title)
        self._ended = [job_id, time.monotonic() - begun, outcome, printed, self._worn]

    def _outcome(
        self, job_id: int, header: dict[str, Any], body: bytes, report: JobReport
    ) -> tuple[dict[str, Any], bytes]:
        # The interrupt stays away from this frame: here the job has not begun or is over.
        interrupt = self._interrupt
        try:
            interrupt.arm(job_id)
            outcome: Any = self._runner.run(header, body, report)
            interrupt.disarm()
        except BaseException as exc:  # noqa: BLE001 - the child outlives SystemExit too; the host gets it
            interrupt.disarm()
            return telling.internal(exc), b""
        if not (isinstance(outcome, tuple) and len(outcome) == 2 and isinstance(outcome[1], bytes)):
            words = telling.words_of(outcome)[:200]
            return telling.internal(TypeError(f"the runner returned {words}, not (header, body)")), b""
        return outcome[0], outcome[1]

    def _tidy(self, job_id: int, title: str) -> int:
        """Leave nothing of the job to the next one, and end its output: what ``Streams.end`` returns."""
        try:
            untouched = self._baseline.untouched()
        except BaseException:  # noqa: BLE001 - a handler of the job's came in between
            untouched = False
        if untouched:
            return self._streams.end(job_id)
        found = self._put_back()
        if found.cut_off:
            raise CutOffError()
        self._worn = found.worn
        if found.changed:
            text = f"{title or job_id} changed {', '.join(found.changed)} of its process; put back"
            self._link.log(logging.INFO, text)
        streams.flush()
        return self._streams.end(job_id, found.sound)

    def _put_back(self) -> Found:
        for _ in range(TRIES):
            try:
                return self._baseline.put_back()
            except BaseException:  # noqa: BLE001, S112 - a handler of the job's came in between; it is gone now
                continue
        return Found(worn="what its jobs change cannot be put back")

    def _title(self, text: str) -> None:
        clock = time.monotonic()
        if clock >= self._stale:
            now = time.time()
            self._since, self._stale = time.strftime("%H:%M:%S", time.localtime(now)), clock + 1.0 - now % 1.0
        elif text == self._shown:
            return  # the same words: short jobs of one kind
        self._shown = text
        setproctitle(f"{self._prefix} {text} since {self._since}")
