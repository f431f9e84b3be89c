"""The life of a child and of a template: total tables, state times event.

Events are facts, commands are what the handle then does.  A pair that means nothing changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, auto
from itertools import product


class Command(Enum):
    """What a handle does to its process."""

    GO = auto()
    DRAIN = auto()
    HANG_UP = auto()
    KILL = auto()


# IntEnum: the default hash of Enum members is Python code, and ASSIGNED and FREED come with every job.
class ChildState(IntEnum):
    """FORKING: asked of the template.  BOOTING: told GO, not READY yet.  DRAINING: leaves after its job."""

    FORKING = 0
    BOOTING = 1
    IDLE = 2
    BUSY = 3
    DRAINING = 4
    TERMINATING = 5
    EXITED = 6


READY = (ChildState.IDLE, ChildState.BUSY)
"""In which a child takes jobs."""


class ChildEvent(IntEnum):
    """FREED: its last job ended.  RETIRE and KILL: decided by the parent."""

    FORKED = 0
    READY = 1
    ASSIGNED = 2
    FREED = 3
    RETIRE = 4
    KILL = 5
    EXITED = 6


ChildRow = tuple[ChildState, tuple[Command, ...]]


def _child_table() -> Mapping[tuple[ChildState, ChildEvent], ChildRow]:
    s, e = ChildState, ChildEvent
    table: dict[tuple[ChildState, ChildEvent], ChildRow] = {
        (state, event): (state, ()) for state, event in product(s, e)
    }
    table.update({(state, e.EXITED): (s.EXITED, ()) for state in s})
    table.update({(state, e.KILL): (s.TERMINATING, (Command.KILL,)) for state in s if state < s.TERMINATING})
    table.update(
        {
            (s.FORKING, e.FORKED): (s.BOOTING, (Command.GO,)),
            # Without GO a child runs nothing; it leaves when its socket closes.
            (s.FORKING, e.RETIRE): (s.TERMINATING, (Command.HANG_UP,)),
            (s.FORKING, e.KILL): (s.TERMINATING, (Command.HANG_UP,)),
            (s.BOOTING, e.READY): (s.IDLE, ()),
            (s.BOOTING, e.RETIRE): (s.DRAINING, (Command.DRAIN,)),
            (s.IDLE, e.ASSIGNED): (s.BUSY, ()),
            (s.IDLE, e.RETIRE): (s.DRAINING, (Command.DRAIN,)),
            (s.BUSY, e.FREED): (s.IDLE, ()),
            (s.BUSY, e.RETIRE): (s.DRAINING, (Command.DRAIN,)),
            (s.TERMINATING, e.FORKED): (s.TERMINATING, (Command.KILL,)),
        }
    )
    return table


CHILD_TABLE = _child_table()


class TemplateState(IntEnum):
    """STARTING: exec'd.  IMPORTING: its handlers stand, it imports the entry.  LEAVING: told to go."""

    STARTING = 0
    IMPORTING = 1
    READY = 2
    LEAVING = 3
    EXITED = 4


class TemplateEvent(IntEnum):
    """FAILED: the entry could not be imported; the template says so and goes."""

    INITIALISED = 0
    READY = 1
    FAILED = 2
    RETIRE = 3
    KILL = 4
    EXITED = 5


TemplateRow = tuple[TemplateState, tuple[Command, ...]]


def _template_table() -> Mapping[tuple[TemplateState, TemplateEvent], TemplateRow]:
    s, e = TemplateState, TemplateEvent
    table: dict[tuple[TemplateState, TemplateEvent], TemplateRow] = {
        (state, event): (state, ()) for state, event in product(s, e)
    }
    table.update({(state, e.EXITED): (s.EXITED, ()) for state in s})
    table.update({(state, e.KILL): (s.LEAVING, (Command.KILL,)) for state in s if state < s.EXITED})
    table.update({(state, e.FAILED): (s.LEAVING, (Command.HANG_UP,)) for state in s if state < s.LEAVING})
    table.update(
        {
            (s.STARTING, e.INITIALISED): (s.IMPORTING, ()),
            (s.IMPORTING, e.READY): (s.READY, ()),
            # An import can take long and nobody waits for its end any more.
            (s.STARTING, e.RETIRE): (s.LEAVING, (Command.KILL,)),
            (s.IMPORTING, e.RETIRE): (s.LEAVING, (Command.KILL,)),
            (s.READY, e.RETIRE): (s.LEAVING, (Command.HANG_UP,)),
        }
    )
    return table


TEMPLATE_TABLE = _template_table()
