"""What ``workerd beat`` does with one entry, and shows of all, from anywhere: the broker is asked.

Errors:  ConfigError for an entry that is not there; UnavailableError for a broker that is away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from workerd.beat import plan
from workerd.beat.record import State, later
from workerd.beat.seat import Seat, open_seat
from workerd.beat.settings import BeatSettings, settings_of
from workerd.beat.store import Store
from workerd.errors import ConfigError, close_matches

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.config import Config
    from workerd.schedules import Entry


def listed(app: App, config: Config, *, as_json: bool) -> None:
    """Print every entry, with its schedule, when it was sent last and when it is due."""
    settings = _settings(app, config)
    with _seat(app, settings) as seat:
        state = seat.read()
    rows = list(_rows(app, settings, state))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(f"{settings.cluster} has no periodic tasks")
    for row in rows:
        click.echo(_line(row))
    click.echo(f"sent by {state.leader}" if state.leader else "no beat has been active")


def run_now(app: App, config: Config, name: str) -> None:
    """Send the entry's task once, beside its schedule, and print the id."""
    entry = _entry(_settings(app, config), name)
    task = app.tasks.get(entry.task)
    send = task.apply_async if task is not None else None
    options = dict(entry.options)
    if send is not None:
        result = send(entry.args, entry.kwargs, **options)
    else:
        result = app.send_task(entry.task, entry.args, entry.kwargs, **options)
    click.echo(result.id)


def rest(app: App, config: Config, name: str, *, paused: bool) -> None:
    """Let the entry rest, or no more."""
    settings = _settings(app, config)
    _entry(settings, name)
    with _seat(app, settings) as seat:
        seat.pause(name, paused)
    click.echo(f"{name} {'rests' if paused else 'runs as scheduled'}")


def _settings(app: App, config: Config) -> BeatSettings:
    beat = config.beat
    return settings_of(
        app, config.app, config.name, app.hostname, lease=beat.lease, missed=beat.missed, rows=beat.schedule
    )


def _entry(settings: BeatSettings, name: str) -> Entry:
    if name in settings.entries:
        return settings.entries[name]
    near = close_matches(name, settings.entries, n=1)
    known = ", ".join(settings.entries) or "none"
    raise ConfigError(
        f"there is no periodic task {name!r}", f"did you mean {near[0]!r}?" if near else f"there are: {known}"
    )


@contextmanager
def _seat(app: App, settings: BeatSettings) -> Iterator[Seat]:
    seat = open_seat(app, settings.cluster, settings.node, settings.lease)
    try:
        with app.broker.reaching():
            yield seat
    finally:
        seat.close()


def _rows(app: App, settings: BeatSettings, state: State) -> Iterator[dict[str, Any]]:
    store, now, zone = Store(settings.file), time.time(), app.beat_zone()
    records = later(state.entries, store.load() if settings.file.exists() else {})
    store.close()
    for name, entry in settings.entries.items():
        record = plan.begun(entry, records.get(name), now)
        paused = name in state.paused
        yield {
            "name": name,
            "task": entry.task,
            "schedule": repr(entry.schedule),
            "paused": paused,
            "total": record.total,
            "sent": record.sent,
            "next": None if paused else plan.next_tick(entry, record, zone),
        }


def _line(row: dict[str, Any]) -> str:
    due = "paused" if row["paused"] else f"next {_when(row['next'])}"
    times = f"sent {row['total']} time{'s' * (row['total'] != 1)}"
    last = f", last {_when(row['sent'])}" if row["sent"] else ""
    return f"{row['name']}: {row['task']}, {row['schedule']}; {due}; {times}{last}"


def _when(moment: float | None) -> str:
    if moment is None:
        return "never"
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
