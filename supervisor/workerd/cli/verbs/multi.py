"""``workerd multi``: the verbs of one daemon, for several that have names.

Each daemon is its own command, ``workerd VERB --name NAME``; all go at the same time, and a line for each
tells how it went.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from workerd.cli.common import Common, common_options, example, verbs_options
from workerd.cli.lazy import VerbGroup
from workerd.config import config_file, config_names, config_root
from workerd.control.client import ControlClient
from workerd.errors import ConfigError, ExitCode, WorkerdError
from workerd.paths import check_name, control_socket

_EXAMPLE = """
workerd multi start
workerd multi status mail video
workerd -A proj multi start --names a,b,c -- --size 2
"""


@click.group(cls=VerbGroup, epilog=example(_EXAMPLE), subcommand_metavar="VERB ...")
@verbs_options
def command() -> None:
    """Start, stop and look at several daemons.

    They are those that have a settings file in the configuration directory; or those that are named, which
    need none where -A says what they run.
    """


def _names_options(function: Callable[..., Any]) -> Callable[..., Any]:
    named = click.option("--names", metavar="A,B", help="These daemons; the same as to name them as words.")
    return named(click.argument("words", metavar="[NAME]...", nargs=-1)(function))


@command.command(epilog=example(_EXAMPLE))
@common_options
@_names_options
def start(common: Common, names: str | None, words: Sequence[str]) -> int:
    """Start them, detached; returns when all serve.

    Options after -- are given to each start.
    """
    wanted, more = _split(words)
    chosen = _chosen(common, names, wanted)
    if not common.app and (lacking := [name for name in chosen if config_file(name) is None]):
        raise ConfigError(
            f"there is no settings file {config_root() / (lacking[0] + '.toml')}",
            "create it, or name the app with -A",
        )
    return _all("start", chosen, ["--detach", *_typed(common), *more])


@command.command(epilog=example("workerd multi stop"))
@common_options
@_names_options
@click.option("--now", is_flag=True, help="Do not drain: kill the children and give their work back.")
def stop(common: Common, names: str | None, words: Sequence[str], now: bool) -> int:
    """Drain and stop those that run; returns when all have ended."""
    return _all("stop", _running(_chosen(common, names, words)), ["--now"] if now else [])


@command.command(epilog=example("workerd multi reload --wait"))
@common_options
@_names_options
@click.option("--wait", is_flag=True, help="Return when the old code has ended its tasks.")
def reload(common: Common, names: str | None, words: Sequence[str], wait: bool) -> int:
    """Have those that run load their app anew."""
    return _all("reload", _running(_chosen(common, names, words)), ["--wait"] if wait else [])


@command.command(epilog=example("workerd multi status"))
@common_options
@_names_options
def status(common: Common, names: str | None, words: Sequence[str]) -> int:
    """A line for each: its state, pid, children and tasks.  Exit code 1 if one is not ready."""
    found = [_status(name) for name in _chosen(common, names, words)]
    width = max(len(name) for name, _, _ in found)
    for name, told, _ in found:
        click.echo(f"{name.ljust(width)}  {told}")
    return int(ExitCode.OK if all(ready for _, _, ready in found) else ExitCode.FAILED)


@command.command("list", epilog=example("workerd multi list"))
@common_options
def list_(common: Common) -> None:
    """The daemons that have a settings file, and these files."""
    names = config_names()
    width = max(map(len, names), default=0)
    for name in names:
        click.echo(f"{name.ljust(width)}  {config_root() / (name + '.toml')}")
    if not names:
        click.echo(f"no settings file in {config_root()}", err=True)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names, and from the first option on what is for the starts: click takes ``--`` itself away."""
    cut = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:cut]), list(words[cut:])


def _chosen(common: Common, names: str | None, words: Iterable[str]) -> list[str]:
    typed = [common.name or "", *(name.strip() for name in (names or "").split(",")), *words]
    if chosen := [check_name(name) for name in dict.fromkeys(typed) if name]:
        return chosen
    if found := config_names():
        return found
    raise ConfigError(
        f"there is no settings file in {config_root()}", "create NAME.toml there, or name the daemons"
    )


def _running(names: Sequence[str]) -> list[str]:
    found = []
    for name in names:
        if _answers(name):
            found.append(name)
        else:
            click.echo(f"{name}: does not run")
    return found


def _answers(name: str) -> bool:
    """Somebody listens on its socket; also who does not get on, which the verb itself will tell."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5.0)
        try:
            sock.connect(str(control_socket(name)))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


def _typed(common: Common) -> list[str]:
    """The common options as they were typed, for the commands of the daemons."""
    words = [word for url in common.broker for word in ("--broker", url)]
    for flag in ("app", "backend", "loglevel"):
        if (value := getattr(common, flag)) is not None:
            words += [f"--{flag}", value]
    return words


def _all(verb: str, names: Sequence[str], words: Sequence[str]) -> int:
    """The worst exit code."""
    if not names:
        return ExitCode.OK
    # Each waits for its daemon; what they cost is not theirs.
    with ThreadPoolExecutor(max_workers=min(len(names), 2 * (os.cpu_count() or 1))) as pool:
        done = pool.map(lambda name: _one(verb, name, words), names)
        codes = [_tell(name, *one) for name, one in zip(names, done, strict=True)]
    return max(codes)


def _one(verb: str, name: str, words: Sequence[str]) -> tuple[int, str]:
    process = subprocess.run(
        [sys.executable, "-m", "workerd", verb, "--name", name, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return process.returncode, process.stdout.strip()


def _tell(name: str, code: int, text: str) -> int:
    """One line where it went well, else all that was said."""
    *others, last = text.splitlines() or [""]
    if code in (ExitCode.OK, ExitCode.GIVEN_BACK):
        click.echo(f"{name}: {last}")
    else:
        click.echo("\n".join(f"{name}: {line}" for line in (*others, last)), err=True)
    return code


def _status(name: str) -> tuple[str, str, bool]:
    try:
        found = ControlClient(control_socket(name)).call("status", patience=5.0)
    except WorkerdError as exc:
        return name, exc.what, False
    pools = found["pools"]
    alive, wanted = sum(pool["alive"] for pool in pools), sum(pool["wanted"] for pool in pools)
    running = found["tasks"].get("running", 0)
    ready = "" if found["ready"] else ", not ready"
    told = (
        f"{found['state']}{ready}, pid {found['pid']}, {alive} of {wanted} children, {running} tasks running"
    )
    return name, told, bool(found["ready"])
