"""TemplateHandle: what the parent knows of one template, and how it is exec'd.

posix_spawn and not fork: every signal is blocked in the new process from its first instruction,
it leads its own group, reads /dev/null, writes into two pipes of the supervisor's, and gets its
control socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping

from workerd_pool import frames
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Job, Spec
from workerd_pool.deadlines import Deadlines
from workerd_pool.death import Cause, Death, Reason
from workerd_pool.frames import Kind
from workerd_pool.linux import CONTROL, DUMP
from workerd_pool.outlet import Outlet
from workerd_pool.reaper import Reaper
from workerd_pool.states import TEMPLATE_TABLE, Command, TemplateEvent, TemplateState

# Addressed by systemd to the supervisor alone.
_NOT_FOR_TASKS = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


class TemplateHandle:
    """One template from exec to its death."""

    def __init__(self, generation: int, spec: Spec, reaper: Reaper, outlet: Outlet) -> None:
        self.generation, self.spec = generation, spec
        self.state = TemplateState.STARTING
        self.due = Deadlines()
        self.wanted_dead = False  # its end is somebody's decision
        self.was_ready = False
        self.listening = True  # the loop reads its control socket
        self.told = False  # what failed is its own word, and needs no explanation of ours
        self.failure = ""
        self.traceback = ""
        self._reaper, self.outlet = reaper, outlet
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        try:
            self.pid = _spawn(spec, theirs.fileno(), *outlet.writers())
            outlet.given_away()
            self._introduce()
        except OSError:
            self.control.close()
            raise
        finally:
            theirs.close()

    @property
    def ready(self) -> bool:
        """It can fork."""
        return self.state is TemplateState.READY

    @property
    def leaving(self) -> bool:
        """It was told to go, or is gone."""
        return self.state >= TemplateState.LEAVING

    def apply(self, event: TemplateEvent) -> None:
        """Go to the next state and do what it commands."""
        self.state, commands = TEMPLATE_TABLE[self.state, event]
        for command in commands:
            if command is Command.HANG_UP:
                self.control.shutdown(socket.SHUT_WR)
            elif command is Command.KILL:
                self._reaper.signal(self.pid, signal.SIGKILL)

    def fork(self, child: ChildHandle) -> bool:
        """Ask for a child; False when the socket is full."""
        try:
            header = frames.encode([child.key, child.slot])
            frames.send(self.control, Kind.FORK, header, fds=child.childs_ends())
        except BlockingIOError:
            return False
        child.given_away()
        return True

    def read(self) -> frames.Frame | None:
        """The next frame; None at the end of the file.  Raises BlockingIOError when nothing waits."""
        try:
            got = frames.receive(self.control)
        except ConnectionResetError:
            return None
        if got is None:
            return None
        frames.close_all(got[3])
        return got[:3]

    def dump(self) -> None:
        """Let it write its stacks to its stderr."""
        self._reaper.signal(self.pid, DUMP)

    def death(self, status: int | None) -> Death:
        """How it ended."""
        reason = Reason(Cause.START, self.failure) if self.failure else None
        return Death.of(self.pid, status, reason)

    def name(self) -> str:
        """For log lines."""
        return f"template of generation {self.generation} (pid {self.pid})"

    @property
    def jobs(self) -> Mapping[int, Job]:
        """None: only children have jobs."""
        return {}

    def close(self) -> None:
        """It is dead: read what it printed last, give the descriptors back."""
        self.outlet.bury(None, self.name())
        self.control.close()

    def _introduce(self) -> None:
        spec = self.spec
        init = {
            "entry": spec.entry,
            "name": spec.name,
            "path": list(spec.path),
            "generation": self.generation,
        }
        frames.send(self.control, Kind.INIT, frames.encode(init), spec.arg)


def _spawn(spec: Spec, control: int, out: int, err: int) -> int:
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_TASKS}
    environment.update(spec.env)
    # -P: the current directory is not searched unless spec.path says so.
    argv = [sys.executable, "-P", "-m", "workerd_pool.template", str(os.getpid())]
    return os.posix_spawn(
        sys.executable,
        argv,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
            # Last: any of the others may be CONTROL's number.
            (os.POSIX_SPAWN_DUP2, control, CONTROL),
        ],
        setpgroup=0,
        setsigmask=signal.valid_signals(),
        setsigdef=[
            number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)
        ],
    )
