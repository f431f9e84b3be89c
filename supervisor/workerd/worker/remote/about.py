"""Settings and versions for other people's eyes: without secrets, as plain values."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import workerd
from workerd.masking import masked_setting

if TYPE_CHECKING:
    from workerd.app.settings.conf import Conf
    from workerd.worker.controller import WorkController

LIBRARIES = ("kombu", "billiard", "amqp", "redis", "hiredis", "msgspec")


def settings(conf: Conf, with_defaults: bool) -> dict[str, Any]:
    """What the app has set, or everything."""
    values = dict(conf) if with_defaults else conf.given()
    return {name: masked_setting(name, _written(value)) for name, value in sorted(values.items())}


def _written(value: Any) -> Any:
    """As its author wrote it: one broker is kept as a list of one."""
    match value:
        case [str(url)] if "://" in url:
            return url
        case _:
            return value


def report(worker: WorkController) -> str:
    """Versions, then settings, a line each."""
    lines = [
        f"software -> workerd:{workerd.__version__} py:{platform.python_version()}",
        *(f"            {name}:{_version(name)}" for name in LIBRARIES),
        f"platform -> system:{platform.system()} {platform.release()} arch:{platform.machine()}",
        f"broker   -> {worker.masked_broker}",
        f"results  -> {worker.masked_backend}",
        "",
        *(f"{name}: {value!r}" for name, value in settings(worker.app.conf, with_defaults=False).items()),
    ]
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
