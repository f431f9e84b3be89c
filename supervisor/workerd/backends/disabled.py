"""The backend of an app without one: keeps nothing, and says so to who asks for a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from workerd.backends.base import BackendOptions, Meta
from workerd.errors import ConfigError


class DisabledBackend:
    """No results."""

    enabled = False

    def __init__(self, options: BackendOptions) -> None:
        self.options = options

    def encode(self, meta: Mapping[str, Any]) -> bytes:
        """The bytes another backend would keep, so that a result that cannot be written still fails."""
        return self.options.coding.encode(meta)

    def store(self, task_id: str, state: str, data: bytes) -> None:
        """Nothing."""

    def get_meta(self, task_id: str) -> Meta:
        return self._refuse(task_id)

    def wait_for(self, task_id: str, timeout: float | None = None) -> Meta:
        return self._refuse(task_id)

    def forget(self, task_id: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def _refuse(self, task_id: str) -> NoReturn:
        raise ConfigError(
            f"the app has no result backend, so nothing is known of task {task_id}",
            "set result_backend or --backend, for example to redis://localhost/1",
        )
