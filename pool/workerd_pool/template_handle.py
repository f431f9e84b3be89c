"""TemplateHandle: what the parent knows of one template."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping

from workerd_pool import frames
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Job, Spec
from workerd_pool.deadlines import Deadlines
from workerd_pool.death import Cause, Death, Reason
from workerd_pool.frames import Kind
from workerd_pool.linux import DUMP
from workerd_pool.outlet import Outlet
from workerd_pool.reaper import Reaper
from workerd_pool.spawning import exec_module, recipe
from workerd_pool.states import TEMPLATE_TABLE, Command, TemplateEvent, TemplateState


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
            self.pid = exec_module("workerd_pool.template", spec.env, [theirs.fileno()], outlet.writers())
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
        """Ask for a child; False when the socket is full, or its end is about to be told."""
        try:
            header = frames.encode([child.key, child.slot])
            frames.send(self.control, Kind.FORK, header, fds=child.childs_ends())
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
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
        return f"template of {self.spec.name} (pid {self.pid}, generation {self.generation})"

    @property
    def jobs(self) -> Mapping[int, Job]:
        """None: only children have jobs."""
        return {}

    def close(self) -> None:
        """It is dead: read what it printed last, give the descriptors back."""
        self.outlet.bury(None, self.name())
        self.control.close()

    def _introduce(self) -> None:
        init = recipe(self.spec, generation=self.generation)
        frames.send(self.control, Kind.INIT, frames.encode(init), self.spec.arg)
