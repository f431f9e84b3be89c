"""``workerd systemd``: units for this machine."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click

from workerd.cli.common import Common, common_options, example, verbs_options
from workerd.cli.lazy import VerbGroup
from workerd.errors import ConfigError
from workerd.shipped import shipped

UNIT = "systemd/workerd@.service"
SLOWER_AND_SLOWER = 254
"""The version of systemd from which RestartSteps= is known."""

_EXAMPLE = "workerd systemd unit -A proj --user mail | sudo tee /etc/systemd/system/workerd@.service"


@click.group(cls=VerbGroup, epilog=example(_EXAMPLE), subcommand_metavar="VERB ...")
@verbs_options
def command() -> None:
    """Print what systemd needs to run daemons as services."""


@command.command("unit", epilog=example(_EXAMPLE))
@common_options
@click.option("--user", metavar="USER", help="Who runs the daemons.  [default: who asks]")
@click.option("--chdir", metavar="DIR", help="Where the app is imported from.  [default: here]")
def unit(common: Common, user: str | None, chdir: str | None) -> None:
    """Print workerd@.service for this systemd, virtual environment, user and app.

    An instance's name is the daemon's: workerd@mail reads /etc/workerd/mail.toml.
    """
    text = fitted(shipped(UNIT), common.app, user or getpass.getuser(), chdir, systemd_version())
    click.echo(text, nl=False)


def fitted(text: str, app: str | None, user: str, chdir: str | None, version: int | None) -> str:
    """The unit ``text`` for these facts; ``version`` is systemd's, None where there is none.

    Errors: ConfigError for a user or a directory that is not there.
    """
    program = str(Path(sys.argv[0]).absolute()) if os.access(sys.argv[0], os.X_OK) else "workerd"
    directory = Path(chdir or os.curdir).absolute()
    if not directory.is_dir():
        raise ConfigError(f"{directory} is no directory", "write another one after --chdir")
    start = f"{escaped(program)}{f' -A {escaped(app)}' if app else ''} start"
    values = {
        "ExecStart": f"{start} --name %i",
        "ExecReload": f"{escaped(program)} reload --name %i",
        "User": user,
        "Group": group_of(user),
        "Slice": f"workerd.slice\nWorkingDirectory={str(directory).replace('%', '%%')}",
    }
    lines = [
        f"{key}={values[key]}" if (key := line.partition("=")[0]) in values else line
        for line in text.splitlines()
    ]
    text = "\n".join(lines) + "\n"
    if version is not None and version >= SLOWER_AND_SLOWER:
        text = text.replace("RestartSec=2\n", "RestartSec=2\nRestartSteps=5\nRestartMaxDelaySec=60\n")
    return text


def group_of(user: str) -> str:
    """The user's own group.  Errors: ConfigError."""
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        raise ConfigError(
            f"there is no user {user}", f"make it: useradd --system {user}; or write another one after --user"
        ) from None


def escaped(word: str) -> str:
    """One word of a command line in a unit (systemd.service(5), COMMAND LINES)."""
    word = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return '"' + word.replace('"', '\\"') + '"' if re.search(r"[\s\"';]", word) else word


def systemd_version() -> int | None:
    """Of this machine's systemd; None where there is none that answers."""
    if (program := shutil.which("systemctl")) is None:
        return None
    try:
        got = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"systemd (\d+)", got.stdout)
    return int(found[1]) if found else None
