"""``workerd``: the group of verbs, and the end of every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

import workerd
from workerd.cli import output
from workerd.cli.common import Common, example, group_options
from workerd.cli.lazy import LazyGroup
from workerd.cli.report import INTERRUPTED, complain, ended_by
from workerd.errors import ExitCode

VERBS = {
    "start": "Run a daemon in the foreground.",
    "stop": "Drain a daemon and stop it.",
    "reload": "Load the app anew while the old code ends its tasks.",
    "restart": "Drain, then start the daemon's new code.",
    "status": "Show how a daemon is.",
    "scale": "Change the number of slots.",
    "limit": "Change the time limits of a task.",
    "terminate": "End a task by its id.",
    "call": "Send a task and print its id.",
    "result": "Print the result of a task.",
    "dead": "Look into what was put aside, and send it anew.",
    "delayed": "Look into what waits in the broker for its time.",
    "check": "Check settings, app, steps, broker and paths.",
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
    cls=LazyGroup,
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    output.ensure()
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
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message(), err=True)
        return int(ExitCode.USAGE)
    except click.UsageError as exc:
        path = exc.ctx.command_path if exc.ctx is not None else "workerd"
        complain(f"{_sentence(exc.format_message())} See `{path} --help`.")
        return int(ExitCode.USAGE)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as exc:
        complain(exc.format_message())
        return int(ExitCode.FAILED)
    except OSError as exc:  # of what click itself has printed
        return ended_by(exc)
    return code if isinstance(code, int) else 0


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
