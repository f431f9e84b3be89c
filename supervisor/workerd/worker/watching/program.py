"""Watch source files: ``program.py``, run as a script beside the daemon that asks for it.

Each line of stdin is a JSON list of paths to watch from now on, directories with all below and files;
each line of stdout is a JSON object: ``{"changed": [paths]}`` for one batch of changes, ``{"error": text}``
before the program gives up.  It ends when stdin does.

A file is watched through its directory: an editor replaces it by another one.
Exit codes: 0 at the end of stdin, 1 for an error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

SUFFIXES = (".py", ".so")
QUIET = 100  # ms without a change that end a batch
LONGEST = 1600  # ms of one batch
AGAIN = 1.0  # s until a directory that is not there is looked for again


def is_code(path: str, below: str) -> bool:
    """A change of ``path`` is a change of the code in the directory ``below``.

    Compiled modules, the droppings of editors (``.tasks.py.swp``, ``.#tasks.py``, ``#tasks.py#``,
    ``tasks.py~``, ``4913``) and whatever is below a hidden directory are none.
    """
    name = os.path.basename(path)  # noqa: PTH119 (called for every file that changes)
    if not name.endswith(SUFFIXES) or name.startswith("#"):
        return False
    return not any(part.startswith(".") for part in Path(path).relative_to(below).parts)


def main() -> int:
    """Watch until stdin ends."""
    watched: set[str] = set()
    for line in sys.stdin:
        for path in json.loads(line):
            if path not in watched:
                watched.add(path)
                threading.Thread(target=watch, args=(path,), daemon=True).start()
    return 0


def watch(path: str) -> None:
    """Say what changes at ``path``, for ever."""
    try:
        while True:
            try:
                _watch(path)
            except FileNotFoundError:
                # Its directory is gone; another version of it may come.
                time.sleep(AGAIN)
    except Exception as exc:  # noqa: BLE001 (told, and then nothing is watched any more)
        say({"error": f"{path}: {exc}"})
        os._exit(1)


def _watch(path: str) -> None:
    # Not at the top: what is missing must be told on stdout.
    from watchfiles import watch as batches  # noqa: PLC0415

    directory = Path(path).suffix not in SUFFIXES
    below = path if directory else str(Path(path).parent)
    for batch in batches(
        below, watch_filter=None, debounce=LONGEST, step=QUIET, rust_timeout=0, recursive=directory
    ):
        found = {name for _, name in batch if (directory or name == path) and is_code(name, below)}
        if found:
            say({"changed": sorted(found)})


def say(fact: dict[str, object]) -> None:
    """Write one line, whole also beside another thread's."""
    os.write(1, (json.dumps(fact) + "\n").encode())


if __name__ == "__main__":
    # The daemon's way to end it, with nothing to say.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Not sys.exit: the watching threads would be waited for.
    os._exit(main())
