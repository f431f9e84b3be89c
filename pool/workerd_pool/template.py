"""The template: a fresh interpreter that imports the entry once and then only forks.

``python -m workerd_pool.program workerd_pool.template <pid of the supervisor>``, with its control socket as
descriptor 3, every signal blocked, and in a process group of its own.

Exit codes: 0 when the control socket closes, 1 when the entry could not be imported.
"""

from __future__ import annotations

import gc
import os
import socket
import threading
from typing import Any, NoReturn

import msgspec
from setproctitle import setproctitle

from workerd_pool import child, entry, frames, lines, linux, quiet, streams
from workerd_pool.collector import loading
from workerd_pool.contract import Runner
from workerd_pool.frames import Kind
from workerd_pool.linux import CONTROL
from workerd_pool.streams import Streams

CHILDS_OWN = 4  # descriptors of a new child: its two sockets and its two pipes


def run(supervisor: int) -> NoReturn:
    """Boot, report, fork on demand."""
    # The host may have let other descriptors be inherited; none of them is for task code.
    linux.close_from(CONTROL + 1)
    linux.die_with_parent(supervisor)
    quiet.stand()
    streams.set_up()
    code = Template(supervisor, socket.socket(fileno=CONTROL)).main()
    streams.flush()
    # Not sys.exit: it would wait for the app's threads, and run exit hooks that clean up what children use.
    os._exit(code)


class Template:
    """Answers each FORK with FORKED or FAILED."""

    def __init__(self, supervisor: int, control: socket.socket) -> None:
        control.set_inheritable(False)
        self._supervisor, self._control = supervisor, control
        self._name = ""
        self._runner: Runner | None = None

    def main(self) -> int:
        """Serve until the supervisor hangs up; return the exit code."""
        frame = frames.receive(self._control)
        if frame is None:
            return 0
        init = frames.decode(frame[1])
        self._name = init["name"]
        title = f"workerd[{self._name}] template gen {init['generation']}"
        setproctitle(f"{title} importing")
        self._send(Kind.INITIALISED)
        with loading():
            if not self._import(init, frame[2]):
                return 1
        setproctitle(title)
        while (frame := frames.receive(self._control)) is not None:
            kind, header, _, fds = frame
            if kind == Kind.FORK:
                key, slot = frames.decode(header)
                self._fork(key, slot, fds)
            frames.close_all(fds)
        return 0

    def _import(self, init: dict[str, Any], arg: bytes) -> bool:
        try:
            self._runner = entry.load(init, arg)
            told = {"table": self._runner.table(), "threads": _other_threads()}
            streams.flush()
            header = frames.encode({**told, "printed": Streams().end(lines.START)})
        except BaseException as exc:  # noqa: BLE001 - the operator gets it, with its traceback
            self._send(Kind.FAILED, [None, *entry.failure(exc)])
            return False
        quiet.restore()
        # Everything made so far stays shared: a collection in a child must not touch its pages.
        gc.collect()
        gc.freeze()
        frames.send(self._control, Kind.READY, header)
        return True

    def _fork(self, key: int, slot: int, fds: list[int]) -> None:
        if len(fds) != CHILDS_OWN:
            # The kernel drops what this process has no room for.
            self._send(Kind.FAILED, [key, "fork failed: the template has no descriptor left", ""])
            return
        # Else the child would write it a second time.
        streams.flush()
        down, up, out, err = fds
        birth = child.Birth(self._supervisor, slot, self._name, down, up, out, err)
        try:
            pid = self._fork_twice(birth)
        except OSError as exc:
            self._send(Kind.FAILED, [key, f"fork failed: {exc.strerror}", ""])
            return
        self._send(Kind.FORKED, [key, pid])

    def _fork_twice(self, birth: child.Birth) -> int:
        """Return the pid of the grandchild, when it belongs to the supervisor."""
        reader, writer = os.pipe()
        try:
            between = os.fork()
            if between == 0:
                os.close(reader)
                self._between(birth, writer)
            os.close(writer)
            writer = -1
            answer = os.read(reader, 16)
            os.waitpid(between, 0)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        pid = int.from_bytes(answer[:8], "little", signed=True) if answer else -1
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def _between(self, birth: child.Birth, writer: int) -> NoReturn:
        """The process in between: forks the child, tells its pid (or minus errno), and goes."""
        answer = -1
        try:
            birth = msgspec.structs.replace(birth, between=os.getpid())
            answer = os.fork()
            if answer == 0:
                os.close(writer)
                self._control.close()
                child.live(birth, self._loaded)
        except OSError as exc:
            answer = -(exc.errno or 1)
        finally:
            # This process must not return: neither when an at-fork hook of the app raised, nor when nobody
            # reads the answer, because the template has been killed meanwhile.
            try:
                os.write(writer, answer.to_bytes(8, "little", signed=True))
            finally:
                os._exit(0)

    def _loaded(self) -> Runner:
        assert self._runner is not None, "asked to fork before READY"
        return self._runner

    def _send(self, kind: Kind, header: Any = None) -> None:
        frames.send(self._control, kind, b"" if header is None else frames.encode(header))


def _other_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
