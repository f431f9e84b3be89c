"""The self-check of new code: what would fail with every task is found before any child serves with it.

Options and settings are checked where they are set; here are the checks that need all of them.

Errors:  ConfigError.
"""

from __future__ import annotations

from collections.abc import Iterable

from kombu import compression, serialization
from kombu.exceptions import SerializerNotInstalled

from workerd.app.base import App
from workerd.errors import ConfigError


def check_app(app: App) -> None:
    """Every serializer and compression that the app or a task of it names exists."""
    conf = app.conf
    _check_serializers("app setting 'task_serializer'", [conf.task_serializer])
    _check_serializers("app setting 'accept_content'", conf.accept_content)
    _check_serializers("app setting 'result_accept_content'", conf.result_accept_content or ())
    _check_compression("app setting 'task_compression'", conf.task_compression)
    _check_compression("app setting 'result_compression'", conf.result_compression)
    for task in app.tasks.values():
        _check_serializers(f"task option 'serializer' of {task.name}", [task.serializer])
        _check_compression(f"task option 'compression' of {task.name}", task.compression)


def _check_serializers(where: str, names: Iterable[str]) -> None:
    for name in names:
        try:
            serialization.prepare_accept_content([name])  # type: ignore[no-untyped-call]
        except SerializerNotInstalled as exc:
            known = ", ".join(sorted(serialization.registry.name_to_type))
            raise ConfigError(f"{where} names the serializer {name!r}, which is not known", known) from exc


def _check_compression(where: str, name: str | None) -> None:
    if not name:
        return
    try:
        compression.get_encoder(name)  # type: ignore[no-untyped-call]
    except KeyError as exc:
        known = ", ".join(sorted(compression.encoders()))  # type: ignore[no-untyped-call]
        raise ConfigError(f"{where} names the compression {name!r}, which is not known", known) from exc
