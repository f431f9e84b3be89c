"""The backend of an app without one: keeps nothing, and says so to who asks for a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from workerd.backends.base import BackendOptions, Meta
from workerd.errors import ConfigError


class DisabledBackend:
    """No results."""

    enabled = shared = False

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

    def wait_for_many(
        self, task_ids: Iterable[str], timeout: float | None = None
    ) -> Iterator[tuple[str, Meta]]:
        self._refuse(next(iter(task_ids), "without an id"))

    def forget(self, task_id: str) -> None:
        """Nothing."""

    chords = None

    def decode(self, data: bytes) -> dict[str, Any]:
        """What ``encode`` has written."""
        return self.options.coding.decode(data)

    def save_group(self, group_id: str, data: bytes) -> None:
        self._refuse(group_id)

    def load_group(self, group_id: str) -> bytes | None:
        return self._refuse(group_id)

    def forget_group(self, group_id: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def _refuse(self, task_id: str) -> NoReturn:
        raise ConfigError(
            f"the app has no result backend, so nothing is known of task {task_id}",
            "set result_backend or --backend, for example to redis://localhost/1",
        )
