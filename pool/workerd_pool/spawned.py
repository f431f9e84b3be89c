"""A child that imports the entry itself, because its template has threads that a fork would not copy.

``python -m workerd_pool.program workerd_pool.spawned <pid of the supervisor>``, with its two pipes as
descriptors 1 and 2, its two sockets and its recipe as 3, 4 and 5, every signal blocked, and in a process
group of its own.  The supervisor is its parent from the start; everything after GO is as in a forked child,
save that it says INITIALISED twice: when its handlers stand, and when the entry is imported.

Exit codes: those of ``child``.
"""

from __future__ import annotations

import os
from typing import NoReturn

from workerd_pool import child, entry, frames, linux, streams
from workerd_pool.collector import loading
from workerd_pool.contract import Runner
from workerd_pool.linux import CONTROL

DOWN, UP, RECIPE = CONTROL, CONTROL + 1, CONTROL + 2


def run(supervisor: int) -> NoReturn:
    """Live as the child that the recipe describes."""
    # The host may have let other descriptors be inherited; none of them is for task code.
    linux.close_from(RECIPE + 1)
    linux.die_with_parent(supervisor)
    recipe, arg = frames.decode(_read_all(RECIPE))
    for fd in (DOWN, UP):
        os.set_inheritable(fd, False)

    def load() -> Runner:
        with loading():
            return entry.load(recipe, arg)

    streams.set_up()
    birth = child.Birth(supervisor, recipe["slot"], recipe["name"], DOWN, UP, imports=True)
    child.live(birth, load)


def _read_all(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()
