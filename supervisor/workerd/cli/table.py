"""A daemon's status in words, from the plain values that it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

SHOWN = 3
"""Deaths that the table shows of each pool; ``--json`` has more."""

LEAVING = ("draining", "stopping", "killing", "stopped")
"""States in which the link goes because it should."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The table, line by line; what the daemon does not tell is left out."""
    up = f", up {span(found['uptime'])}" if "uptime" in found else ""
    who = found.get("node") or found.get("name", "workerd")
    left = found.get("seconds_left")
    state = f"{found.get('state', '?')}{'' if left is None else f' ({left:.0f} s left)'}"
    yield f"{who}: {state}{up}, pid {found.get('pid')}"
    yield from _row("app", found.get("app"))
    yield from _row("broker", _broker(found))
    yield from _row("backend", found.get("backend"))
    yield from _row("queues", ", ".join(found.get("queues") or ()))
    yield from _row("ended", _cancelled(found.get("cancelled") or {}))
    yield from _row("tasks", _counters(found.get("tasks") or {}))
    yield from _row("memory", _memory(found.get("memory") or {}))
    yield from _row("reload", found.get("reload"))
    yield from _row("watch", ", ".join(found.get("watch") or ()))
    yield from _row("beat", _beat(found.get("beat") or {}))
    yield from _row("limits", _limits(found.get("limits") or {}))
    yield from _row("rates", _rates(found.get("rates") or {}))
    if found.get("state") not in LEAVING:
        yield from _link(found.get("link") or {})
    yield from _results(found.get("results") or {})
    for queue, reason in (found.get("refused") or {}).items():
        yield f"  DEGRADED: queue {queue} is not consumed, trying again: {reason}"
    if found.get("statedb"):
        yield f"  DEGRADED: the state database cannot be written: {found['statedb']}"
    yield from _http(found.get("http") or {})
    pools = found.get("pools") or ()
    for pool in pools:
        yield from _pool(pool, alone=len(pools) == 1)


def counted(number: int, what: str) -> str:
    """``1 slot``, ``2 slots``."""
    return f"{number} {what}{'s' * (number != 1)}"


def span(seconds: float) -> str:
    """``93784`` as ``1d 2h``: the two largest units that are not zero."""
    left, parts = int(seconds), []
    for size, unit in _UNITS:
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"


def _row(name: str, text: Any) -> Iterator[str]:
    if text:
        yield f"  {name:<8} {text}"


def _broker(found: Mapping[str, Any]) -> str:
    """``redis://a, redis://b (up at redis://b for 3s)``; the place only where there are several."""
    link = found.get("link") or {}
    brokers, serves = str(found.get("broker", "")), link.get("broker")
    text = f"{brokers} ({str(link.get('state', '?')).lower()}"
    if serves and serves != brokers and str(link.get("state")).lower() == "up":
        text += f" at {serves}"
    if link.get("seconds") is not None:
        text += f" for {span(link['seconds'])}"
    return text + ")"


def _link(link: Mapping[str, Any]) -> Iterator[str]:
    # A daemon that has just begun has no seconds: it has not been without a link yet.
    if link.get("seconds") is not None and link.get("reason") and link.get("state", "").lower() != "up":
        yield f"  DEGRADED: no link to the broker, trying again: {link['reason']}"


def _results(results: Mapping[str, Any]) -> Iterator[str]:
    if results.get("problem"):
        pending = results.get("pending", 0)
        what = f"{counted(pending, 'result')} not taken by" if pending else "no link to"
        yield f"  DEGRADED: {what} the result backend, trying again: {results['problem']}"


def _http(http: Mapping[str, Any]) -> Iterator[str]:
    yield from _row("http", http.get("url"))
    if http.get("problem"):
        yield f"  DEGRADED: health and metrics are not served, trying again: the program {http['problem']}"


def _counters(tasks: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in tasks.items() if count)


def _cancelled(cancelled: Mapping[str, int]) -> str:
    """``by the broker, and begun again: the consuming of video (2 times)``."""
    queues = (f"{queue} ({counted(count, 'time')})" for queue, count in cancelled.items())
    return f"by the broker, and begun again: the consuming of {', '.join(queues)}" if cancelled else ""


def _memory(memory: Mapping[str, Any]) -> str:
    stopped = f"; {memory['stopped']}" if memory.get("stopped") else ""
    return f"{memory.get('text', '')}{stopped}"


def _beat(beat: Mapping[str, Any]) -> str:
    """``sends 3 periodic tasks, next cleanup at 2025-05-24 09:12:44``."""
    if not beat:
        return ""
    if beat.get("problem"):
        return f"waits for the broker: {beat['problem']}"
    if "leads" not in beat:
        return "starting"
    if not beat["leads"]:
        return "ready, another node sends"
    text = f"sends {counted(beat['entries'], 'periodic task')}"
    if beat.get("next") is None:
        return text
    when = datetime.fromtimestamp(beat["next"], UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}, next {beat['name']} at {when}"


def _limits(limits: Mapping[str, Mapping[str, Any]]) -> str:
    """What an operator has set: ``proj.add soft 5s, hard none``."""
    return "; ".join(
        f"{task} {', '.join(f'{name} {seconds_text(value)}' for name, value in said.items())}"
        for task, said in limits.items()
    )


def _rates(rates: Mapping[str, Mapping[str, Any]]) -> str:
    """``proj.add 10/m (3 waiting), proj.mul 5/s``."""
    return ", ".join(
        f"{task} {found['rate']}" + (f" ({found['waiting']} waiting)" if found["waiting"] else "")
        for task, found in rates.items()
    )


def seconds_text(value: float | None) -> str:
    """``5s``; None is no limit."""
    return "none" if value is None else f"{value:g}s"


def _deaths(deaths: Mapping[str, Any]) -> Iterator[str]:
    """How many children have died of what, and the last of them."""
    if not deaths.get("counts"):
        return
    yield f"    died: {', '.join(f'{count} {cause}' for cause, count in deaths['counts'].items())}"
    for death in deaths["last"][:SHOWN]:
        when = datetime.fromtimestamp(death["at"], UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        task = f" {death['task']}" if death["task"] else ""
        yield f"      {when}  pid {death['pid']}  {death['words']}{task}"


def _pool(pool: Mapping[str, Any], *, alone: bool) -> Iterator[str]:
    lower, upper = pool.get("lower"), pool.get("upper")
    bounds = f"{lower}" if lower == upper else f"{lower}-{upper}"
    slots = f"{pool.get('alive', 0)} alive of {pool.get('wanted', 0)} wanted (size {bounds})"
    yield (
        f"  pool {pool.get('name', 'default')}: {slots}, {pool.get('busy', 0)} busy,"
        f" generation {pool.get('generation', 0)}"
    )
    if pool.get("queues") and not alone:
        yield f"    queues {', '.join(pool['queues'])}"
    if pool.get("autoscale"):
        yield f"    autoscale: {pool['autoscale']['reason']}"
    yield from _deaths(pool.get("deaths") or {})
    if pool.get("degraded"):
        yield f"    DEGRADED: {pool['degraded']}"
    for child in pool.get("children") or ():
        job = f" {child['title']}" if child.get("title") else ""
        age = f" {span(child['age'])}" if child.get("age") is not None else ""
        state = str(child.get("state", "?")).lower()
        yield f"    child {child.get('slot', '?')}  pid {child.get('pid')}  {state}{job}{age}"
