"""Write docs/reference/celery-compatibility.md from Celery's own tables and ours, so that it cannot drift.

    make compatibility

What Celery has is asked of the installed Celery; what we have, of the registries of the code.  Only the words
that no code can tell (how something is better, what a command is called here) stand here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import celery.signals as their_signals
from celery.app.backends import BACKEND_ALIASES
from celery.app.defaults import NAMESPACES, flatten
from celery.bin.celery import celery as their_cli
from celery.worker.control import Panel

import workerd
from tools.compatibility_words import (
    CANVAS,
    COMMANDS,
    EVENTS,
    INTRODUCTION,
    OTHER_DEFAULTS,
    REMOTE,
    SIGNALS,
    WORKER_OPTIONS,
)
from workerd import App, Task, signals
from workerd.app.settings.elsewhere import ELSEWHERE
from workerd.app.settings.explain import of_celery
from workerd.app.settings.names import SETTINGS
from workerd.cli.group import VERBS
from workerd.cli.verbs.start import command as start
from workerd.errors import ConfigError
from workerd.events.tasks import TaskEvent
from workerd.worker.control import all_commands

ROOT = Path(__file__).parents[1]
SETTINGS_TOO = "`workerd config --celery` tells the same; see [settings](settings.md#of-celery)."

OTHER_BACKEND = (
    "not served: keep results in Redis, or add [a backend of your own](../guide/result-backends.md)"
)

PAGE = ROOT / "docs/reference/celery-compatibility.md"


class Row(NamedTuple):
    """One thing of Celery's: ``same``, ``better`` or ``refused``, and how or why."""

    name: str
    verdict: str
    words: str = ""


def page() -> str:
    """The whole document."""
    tables = (
        ("Commands", "command", commands(), "`celery NAME` on the left, what does it here on the right."),
        ("Options of `celery worker`", "option", worker_options(), ""),
        ("Remote control", "command", remote_control(), "See [remote control](remote-control.md)."),
        ("Settings", "setting", settings(), SETTINGS_TOO),
        ("Signals", "signal", of_signals(), "See [signals](signals.md) for when and where each is sent."),
        ("Events", "event", events(), "See [events](events.md)."),
        ("Result backends", "backend", backends(), ""),
        ("Canvas", "feature", canvas(), ""),
    )
    return "\n".join([INTRODUCTION, *(_table(*table) for table in tables)])


def commands() -> Iterator[Row]:
    """The sub-commands of Celery's command line."""
    for name in sorted(their_cli.commands):
        verdict, words = COMMANDS[name]
        for verb in (word for word in words.split("`") if word.startswith("workerd ")):
            assert verb.split()[1] in VERBS, verb
        if verdict == "refused" and name in VERBS:
            verdict, words = "same", f"`workerd {name}`"
        yield Row(name, verdict, words)


def worker_options() -> Iterator[Row]:
    """The options of its worker."""
    ours = {option for parameter in start.params for option in parameter.opts}
    for parameter in their_cli.commands["worker"].params:
        names = [name for name in parameter.opts if name in WORKER_OPTIONS]
        if not names:
            assert parameter.name in ("help", "args"), parameter.opts
            continue
        verdict, words = WORKER_OPTIONS[names[0]]
        if verdict == "refused" and names[0] in ours - {"--pool"}:  # which is another thing here
            verdict, words = "same", ""
        yield Row(names[0], verdict, words)


def remote_control() -> Iterator[Row]:
    """What its workers can be asked."""
    ours = {one.name for one in all_commands()}
    for name in sorted(Panel.meta):
        yield Row(name, *(REMOTE.get(name, ("same", "")) if name in ours else ("refused", "")))


def settings() -> Iterator[Row]:
    """Every setting that is not of a backend which only Celery has."""
    theirs = {name: option.default for name, option in flatten(NAMESPACES)}
    for name, told in of_celery():
        if name not in theirs and name not in ELSEWHERE and not name.startswith("redis_"):
            continue  # ours alone
        verdict, _, words = told.partition(": ")
        if name in ELSEWHERE and verdict == "no effect":
            words = f"no effect of its own: {words}"
        shown = {"honoured": "same", "no effect": "same"}.get(verdict, verdict)
        parts = [f"{one[:1].upper()}{one[1:]}" for one in (words, _default(name, theirs)) if one]
        yield Row(name, shown, ". ".join(parts))


def _default(name: str, theirs: dict[str, Any]) -> str:
    """What is to be told of the default of a setting that is honoured; nothing where it is Celery's."""
    if name in OTHER_DEFAULTS:
        return OTHER_DEFAULTS[name]
    if name not in SETTINGS or name not in theirs or _alike(SETTINGS[name].default, theirs[name]):
        return ""
    return f"Default `{SETTINGS[name].default!r}`, not `{theirs[name]!r}`"


def of_signals() -> Iterator[Row]:
    """Celery's signals."""
    for name in sorted({*their_signals.__all__, "task_sent", "import_modules", "user_preload_options"}):
        if name in signals.__all__:
            yield Row(name, *SIGNALS.get(name, ("same", "")))
        else:
            yield Row(name, "refused", SIGNALS[name][1])


def events() -> Iterator[Row]:
    """Events of tasks and of nodes."""
    ours = {str(kind.__struct_config__.tag) for kind in TaskEvent.__subclasses__()}
    for name, (verdict, words) in EVENTS.items():
        assert not name.startswith("task-") or name in ours or name == "task-sent" or verdict == "refused", (
            name
        )
        yield Row(name, verdict, words)
    assert ours <= EVENTS.keys(), ours - EVENTS.keys()


def backends() -> Iterator[Row]:
    """Kinds of result backends, by the scheme of their URL."""
    for name in sorted(BACKEND_ALIASES):
        url = {"file": "file:///tmp", "disabled": "disabled"}.get(name, f"{name}://host/")
        try:
            found = App(broker="redis://host", backend=url).backend
        except ConfigError:
            yield Row(name, "refused", OTHER_BACKEND)
        else:
            assert found is not None
            yield Row(name, "same")
    yield Row("embedded", "better", "beside Celery's: the Valkey server that the daemon runs itself")


def canvas() -> Iterator[Row]:
    """Workflows."""
    for name, (home, words) in CANVAS.items():
        there = home in workerd.__all__ if "." not in home else hasattr(Task, home.partition(".")[2])
        yield Row(name, "same", words) if there else Row(name, "refused", "not yet")


def _alike(ours: Any, theirs: Any) -> bool:
    if hasattr(theirs, "total_seconds"):
        theirs = theirs.total_seconds()
    if isinstance(ours, (tuple, list)) and isinstance(theirs, (tuple, list)):
        return list(ours) == list(theirs)
    return bool(ours == theirs)


def _table(title: str, what: str, rows: Iterable[Row], before: str = "") -> str:
    lines = [f"## {title}", ""]
    if before:
        lines += [before, ""]
    lines += [f"| {what} | | how, or why |", "|---|---|---|"]
    for row in rows:
        lines.append(f"| `{row.name}` | {row.verdict} | {_escaped(row.words)} |")
    return "\n".join([*lines, ""])


def _escaped(words: str) -> str:
    return words.replace("|", "\\|").replace("*.", "\\*.")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
