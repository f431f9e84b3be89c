"""The user that the daemon runs as, where root has started it for one.

Errors: ConfigError for names that the system does not know, PermissionDeniedError where only root could.
"""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import msgspec

from workerd.errors import ConfigError, PermissionDeniedError
from workerd_pool.linux import stay_dumpable


class Owner(msgspec.Struct, frozen=True):
    """Numbers, and what a login of that user would set; ``name`` is empty for a number without an account."""

    uid: int
    gid: int
    name: str = ""
    home: str = "/"

    @property
    def current(self) -> bool:
        """This process runs as that user already."""
        return (os.geteuid(), os.getegid()) == (self.uid, self.gid)

    def __str__(self) -> str:
        return self.name or f"uid {self.uid}"

    def become(self) -> None:
        """Run as this user from now on, for good, with its groups and its HOME."""
        if self.current:
            return
        if os.geteuid() != 0:
            raise PermissionDeniedError(
                f"cannot run as {self}: this process is no root's", f"start it as {self}, or as root"
            )
        if self.name:
            os.initgroups(self.name, self.gid)
        else:
            os.setgroups([self.gid])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        # The kernel takes both from a process that changes its user: its own /proc/self, and its core dumps.
        stay_dumpable()
        os.environ["HOME"] = self.home
        if self.name:
            os.environ["USER"] = os.environ["LOGNAME"] = self.name

    def take(self, path: Path) -> None:
        """Give this user ``path`` and all below it, as systemd does with a unit's directories."""
        if path.stat().st_uid == self.uid:
            return
        for directory, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(directory) / name, self.uid, self.gid, follow_symlinks=False)
        os.chown(path, self.uid, self.gid)


def find_owner(user: str, group: str = "") -> Owner | None:
    """The owner that these names or numbers mean; None where neither is given."""
    if not user and not group:
        return None
    account = _account(user)
    gid = _group(group) if group else account.gid
    return Owner(account.uid, gid, account.name, account.home)


def _account(user: str) -> Owner:
    if not user:
        return Owner(os.geteuid(), os.getegid())
    try:
        found = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        if user.isdigit():  # containers give their processes numbers that no account has
            return Owner(int(user), int(user))
        raise ConfigError(f"there is no user {user!r}", "create it, or name another in `user`") from None
    return Owner(found.pw_uid, found.pw_gid, found.pw_name, found.pw_dir)


def _group(group: str) -> int:
    if group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(f"there is no group {group!r}", "create it, or name another in `group`") from None
