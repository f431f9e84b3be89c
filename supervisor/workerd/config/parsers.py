"""How settings are written: a parser for each key whose value is not taken as it is.

Units: seconds for times, which may be written with a unit ("90s", "10m", "2h"); bytes for memory, which must
be ("200MB", "1.5GB"; units of 1024).
Errors: ValueError with what to write; ``config.load`` turns it into ConfigError with the place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, get_args

from workerd.config.model import MAX_SLOTS, LogFormat, LogLevel, MissedPolicy, QueueOrder

_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg])(?:i?b)?", re.IGNORECASE)
_BYTE_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# Where the next URL of a list in one text begins; a password may hold the separators themselves.
_NEXT_URL = re.compile(r"\s*[;,]\s*(?=[A-Za-z][A-Za-z0-9+.-]*://|embedded\b|$)")
_ADDRESS = re.compile(r"(?:(\[[0-9a-fA-F:.%\w]+\]|[\w.-]+):)?(\d{1,5})")
_SIZE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


def parse_duration(value: Any) -> float:
    """Seconds, 0 or more and finite, from a number or a text such as ``10m``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif (match := _DURATION.fullmatch(str(value).strip())) is not None:
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    else:
        raise ValueError("write seconds, or a number with ms, s, m, h or d")
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise ValueError("a time must be 0 or more, and finite")
    return seconds


def parse_positive_duration(value: Any) -> float:
    """As ``parse_duration``, for times without which nothing could ever be in time."""
    seconds = parse_duration(value)
    if seconds == 0:
        raise ValueError("this time must be more than 0")
    return seconds


def parse_limit(value: Any) -> float | None:
    """Seconds as ``parse_duration``; infinity from ``none`` or 0, None from ``app``."""
    word = str(value).strip().lower()
    if word == "app":
        return None
    try:
        seconds = math.inf if word == "none" else parse_duration(value)
    except ValueError:
        raise ValueError("write seconds, or a number with ms, s, m, h or d; none, or app") from None
    return seconds or math.inf


def parse_count(value: Any) -> int:
    """A whole number, 1 or more, from ``3`` or ``"3"``."""
    if re.fullmatch(r"\d{1,9}", str(value).strip()) is None or int(value) < 1:
        raise ValueError("write a whole number, 1 or more")
    return int(value)


def parse_count_or_none(value: Any) -> int:
    """As ``parse_count``, with 0 for no limit."""
    if str(value).strip() == "0":
        return 0
    try:
        return parse_count(value)
    except ValueError:
        raise ValueError("write a whole number, 0 for no limit") from None


def parse_bytes(value: Any) -> int:
    """Bytes from a text such as ``200MB``, in units of 1024; 0 for no limit."""
    text = str(value).strip()
    if text == "0":
        return 0
    # A bare number is refused: Celery counts it in kB, others in bytes.
    if (match := _BYTES.fullmatch(text)) is None:
        raise ValueError("write a number with kB, MB or GB, such as 200MB, or 0 for no limit")
    return int(float(match[1]) * _BYTE_UNITS[match[2].lower()])


def parse_budget(value: Any) -> int | None:
    """As ``parse_bytes``; None from ``auto``."""
    if str(value).strip().lower() == "auto":
        return None
    try:
        return parse_bytes(value)
    except ValueError:
        raise ValueError("write a number with kB, MB or GB, such as 4GB, 0 for no budget, or auto") from None


def parse_size(value: Any) -> tuple[int, int]:
    """(lower, upper), at most ``MAX_SLOTS``, from ``4``, ``"4"``, ``"2-8"`` or ``[2, 8]``."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        lower, upper = int(value[0]), int(value[1])
    elif (match := _SIZE.fullmatch(str(value).strip())) is not None:
        lower, upper = int(match[1]), int(match[2] or match[1])
    else:
        raise ValueError("write a number or a range such as 2-8")
    if lower < 1:
        raise ValueError("a pool has 1 slot or more")
    if lower > upper:
        raise ValueError("a range begins with its smaller end, such as 2-8")
    if upper > MAX_SLOTS:
        raise ValueError(f"needs {MAX_SLOTS} slots or fewer")
    return lower, upper


def parse_names(value: Any) -> tuple[str, ...]:
    """A tuple of words from ``"a,b"`` or ``["a", "b"]``; an empty list is the default's way to say none."""
    if isinstance(value, (list, tuple)):
        return tuple(str(word).strip() for word in value)
    names = tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else ()
    if not names:
        raise ValueError("write one name or more, with commas between them")
    return names


def parse_urls(value: Any) -> tuple[str, ...]:
    """URLs from a list, or from a text with ``;`` (as in Celery) or ``,`` between them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise ValueError("write a URL, or a list of them")
    urls = tuple(url.strip() for text in texts for url in _NEXT_URL.split(text.strip()) if url.strip())
    if not urls:
        raise ValueError("write one URL or more, with ; between them")
    return urls


def parse_load(value: Any) -> float:
    """A finite number, 0 or more."""
    try:
        load = float(value)
    except (TypeError, ValueError):
        load = math.nan
    if not (load >= 0 and math.isfinite(load)):
        raise ValueError("write a number, 0 or more; 0 for no limit")
    return load


def parse_flag(value: Any) -> bool:
    """True or False, from a boolean or the words that people use for one."""
    word = str(value).strip().lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError("write true or false")


def parse_level(value: Any) -> str:
    """A log level, in lower case."""
    return _one_of(LogLevel, value)


def parse_format(value: Any) -> str:
    """How the log looks, in lower case."""
    return _one_of(LogFormat, value)


def parse_path(value: Any) -> str:
    """The path of a file; empty for none."""
    if not isinstance(value, str) or "\0" in value or (value and not value.strip()):
        raise ValueError("write the path of a file")
    return value


def parse_address(value: Any) -> str:
    """``host:port`` or ``unix:/path``; a bare port is one of this machine's own (127.0.0.1)."""
    text = str(value).strip()
    if not text:
        return ""
    if text.startswith("unix:"):
        if not text.startswith("unix:/") or len(text.encode()) > 5 + 107:
            raise ValueError("write unix: and an absolute path of 107 bytes or fewer")
        return text
    if (match := _ADDRESS.fullmatch(text)) is None or int(match[2]) > 65535:
        raise ValueError("write host:port, such as 127.0.0.1:9808, or unix:/path")
    return f"{match[1] or '127.0.0.1'}:{int(match[2])}"


def parse_order(value: Any) -> str:
    """The order in which queues are served, in lower case."""
    return _one_of(QueueOrder, value)


def parse_missed(value: Any) -> str:
    """What becomes of missed ticks, in lower case."""
    return _one_of(MissedPolicy, value)


def parse_lease(value: Any) -> float:
    """As ``parse_duration``; in less than a second no renewal is sure to arrive."""
    seconds = parse_duration(value)
    if seconds < 1:
        raise ValueError("a lease must be 1 second or more")
    return seconds


def parse_horizon(value: Any) -> float:
    """As ``parse_duration``; what is due within a second is here sooner than it could be sent away."""
    seconds = parse_duration(value)
    if seconds < 1:
        raise ValueError("this must be 1 second or more")
    return seconds


def _one_of(kind: Any, value: Any) -> str:
    word = str(value).strip().lower()
    if word not in get_args(kind):
        raise ValueError(f"write one of {', '.join(get_args(kind))}")
    return word


def parse_text(value: Any) -> str:
    """A text, which may be the number of a user."""
    if not isinstance(value, (str, int)):
        raise ValueError("write a text")
    return str(value).strip()


PARSERS: dict[str, Callable[[Any], Any]] = {
    "size": parse_size,
    "queues": parse_names,
    "exclude_queues": parse_names,
    "queue_order": parse_order,
    "broker": parse_urls,
    "max_crashes": parse_count,
    "time_limit": parse_limit,
    "soft_time_limit": parse_limit,
    "max_tasks_per_child": parse_count_or_none,
    "max_memory_per_child": parse_bytes,
    "soft_memory_limit": parse_bytes,
    "memory_limit": parse_bytes,
    "memory_budget": parse_budget,
    "boot_timeout": parse_positive_duration,
    "autoscale.max_wait": parse_positive_duration,
    "autoscale.window": parse_duration,
    "autoscale.max_load": parse_load,
    "user": parse_text,
    "group": parse_text,
    "watch": parse_flag,
    "lease": parse_lease,
    "eta_horizon": parse_horizon,
    "http": parse_address,
    "log.format": parse_format,
    "log.path": parse_path,
    "log.args": parse_flag,
    "log.storm": parse_count_or_none,
    "amqp.consumer_timeout": parse_duration,
    "control.allow": parse_names,
    "cluster.events": parse_flag,
    "cluster.heartbeat": parse_duration,
    "cluster.gossip": parse_flag,
    "cluster.mingle": parse_flag,
    "beat.enabled": parse_flag,
    "beat.lease": parse_lease,
    "beat.missed": parse_missed,
    "drain.timeout": parse_duration,
    "drain.grace": parse_duration,
    "steps.worker": parse_names,
    "steps.consumer": parse_names,
    "steps.plugins": parse_flag,
    "loglevel": parse_level,
}
