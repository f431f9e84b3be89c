"""``workerd``: the group of verbs, and the end of every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

import workerd
from workerd.cli import output
from workerd.cli.common import Common, example, group_options
from workerd.cli.report import INTERRUPTED, complain, ended_by, told
from workerd.cli.root import Root
from workerd.cli.title import hide_secrets
from workerd.errors import ExitCode, WorkerdError

VERBS = {
    "start": "Run a daemon in the foreground.",
    "stop": "Drain a daemon and stop it.",
    "reload": "Load the app anew while the old code ends its tasks.",
    "reopen": "Open the log file anew.",
    "restart": "Drain, then start the daemon's new code.",
    "status": "Show how a daemon is.",
    "health": "Say whether a daemon is well, for probes.",
    "scale": "Change the number of slots.",
    "limit": "Change the time limits of a task.",
    "terminate": "End a task by its id.",
    "inspect": "Ask the nodes of a cluster how they are.",
    "control": "Have the nodes of a cluster change something.",
    "call": "Send a task and print its id.",
    "result": "Print the result of a task.",
    "events": "Show what nodes and tasks do, as it happens.",
    "beat": "Send periodic tasks, list them and let them rest.",
    "dead": "Look into what was put aside, and send it anew.",
    "delayed": "Look into what waits in the broker for its time.",
    "purge": "Delete what waits in queues.",
    "config": "Print the settings, and where each comes from.",
    "check": "Check settings, app, steps, broker and paths.",
    "graph": "Draw a daemon's steps, and which start after which.",
    "multi": "Start, stop and look at several daemons.",
    "systemd": "Print a unit for this machine's systemd.",
    "plugins": "List what installed packages add.",
    "demo": "Run a daemon on real files and check what it has done.",
    "version": "Print the version.",
}

_EXAMPLE = """
workerd -A proj start
workerd status
workerd call proj.add --args '[2, 3]' --wait
"""


@click.command(
    "workerd",
    cls=Root,
    verbs=VERBS,
    subcommand_metavar="VERB ...",
    epilog=example(_EXAMPLE),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@group_options
@click.version_option(workerd.__version__, message="workerd %(version)s")
@click.pass_context
def group(context: click.Context, /, **options: Any) -> None:
    """A background-task daemon that speaks the Celery wire protocol."""
    context.obj = Common(**options)


def run(argv: Sequence[str] | None) -> int:
    """Run the command line, or that of the process; the exit code."""
    output.ensure()
    if argv is None:
        hide_secrets()
    try:
        return _run(argv)
    finally:
        output.settle()


def _run(argv: Sequence[str] | None) -> int:
    try:
        code = group.main(
            args=list(argv) if argv is not None else None, prog_name="workerd", standalone_mode=False
        )
        output.finish()
    except click.Abort:
        return INTERRUPTED
    except (click.ClickException, WorkerdError) as exc:
        return _told(exc)
    except OSError as exc:  # of what click itself has printed
        return ended_by(exc)
    return code if isinstance(code, int) else 0


def _told(exc: click.ClickException | WorkerdError) -> int:
    """The exit code of what was wrong before a verb began, told in one line."""
    match exc:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(exc.format_message(), err=True)
            return int(ExitCode.USAGE)
        case click.UsageError():
            path = exc.ctx.command_path if exc.ctx is not None else "workerd"
            complain(f"{_sentence(exc.format_message())} See `{path} --help`.")
            return int(ExitCode.USAGE)
        case WorkerdError():
            return told(exc)
    complain(exc.format_message())
    return int(ExitCode.FAILED)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
