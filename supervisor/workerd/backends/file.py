"""Results as files of one directory, named and filled as Celery's filesystem backend does it.

A file is written whole under another name, brought to the disk, and renamed: a reader never sees a part of
it, and what was confirmed outlives a power cut.  Files that Celery writes come in parts; who reads one in
that moment reads it again.

Units:   seconds.
Errors:  ConfigError for a URL without a directory; OSError as the disk says; UnstorableError for an id that
         is no file name, or a result that is larger than a file may be.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from pathlib import Path
from urllib.parse import unquote

from workerd.backends.base import BackendOptions, Meta, UnstorableError
from workerd.backends.keyvalue import KeyValueBackend
from workerd.errors import ConfigError
from workerd.protocol.result import TASK_KEY
from workerd.protocol.serial import DecodeError

# What Celery's backend calls its files, of tasks, groups and chords.
KINDS = (TASK_KEY, "celery-taskset-meta-", "chord-unlock-")
UNFINISHED = ".workerd-"
UNFINISHED_LIVES = 3600.0
"""After this an unfinished file has been left by a process that died."""

NEVER = frozenset({errno.EFBIG, errno.ENAMETOOLONG, errno.EINVAL})
"""What no free space mends."""

HALF_WRITTEN = 10
"""Looks at a file that cannot be read, 20 ms apart: its writer may be at it."""


class FileBackend(KeyValueBackend):
    """Results in one directory, which must be there."""

    def __init__(self, url: str, options: BackendOptions) -> None:
        super().__init__(url, options)
        self.directory = directory_of(url)
        if "/" in options.prefix():
            raise ConfigError("global_keyprefix has a slash, but results are files of one directory", "use _")

    def get(self, key: str) -> bytes | None:
        try:
            return self._file(key).read_bytes()
        except FileNotFoundError:
            return None

    def set(self, key: str, data: bytes, lifetime: int | None) -> None:
        file, unfinished = self._file(key), self.directory / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                with open(fd, "wb") as out:  # noqa: PTH123 (a descriptor)
                    out.write(data)
                    out.flush()
                    os.fsync(fd)
                unfinished.replace(file)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
        except OSError as exc:
            if exc.errno in NEVER:
                raise UnstorableError(exc.strerror) from exc
            raise

    def delete(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)

    def get_meta(self, task_id: str) -> Meta:
        for _ in range(HALF_WRITTEN):
            try:
                return super().get_meta(task_id)
            except DecodeError:
                time.sleep(0.02)
        return super().get_meta(task_id)

    def clean_up(self) -> None:
        """Remove the files that are older than results are kept, and unfinished ones."""
        longest = max(self.options.lifetime("FAILURE") or 0, self.options.lifetime("SUCCESS") or 0)
        kinds = tuple(self.options.prefix() + kind for kind in KINDS)
        now = time.time()
        with os.scandir(self.directory) as entries:
            for entry in entries:
                ours = entry.name.startswith(UNFINISHED)
                if not ours and not (longest and entry.name.startswith(kinds)):
                    continue
                try:
                    age = now - entry.stat(follow_symlinks=False).st_mtime
                    if age > (UNFINISHED_LIVES if ours else longest):
                        os.unlink(entry.path)  # noqa: PTH108 (a path of its own for each costs more)
                except FileNotFoundError:  # another daemon is cleaning, too
                    continue

    def _file(self, key: str) -> Path:
        if "/" in key or "\0" in key:
            raise UnstorableError(f"the id of a task must be a file name, not {key[:100]!r}")
        return self.directory / key


def directory_of(url: str) -> Path:
    """The directory that ``file:///path`` or ``file://localhost/path`` names.  Raises ConfigError."""
    path = url.removeprefix("file://").removeprefix("localhost")
    if not path.startswith("/"):
        raise ConfigError(f"result backend {url} names no directory", "write file:///var/lib/results")
    # Celery takes the path as it stands.
    for directory in (Path(path), Path(unquote(path))):
        if directory.is_dir():
            return directory
    raise ConfigError(f"result backend {url}: there is no directory {path}", f"make it: mkdir -p {path}")
