"""``solar``, which Celery has and this has not."""

from __future__ import annotations

from typing import Any

from workerd.errors import ConfigError
from workerd.schedules.base import BaseSchedule


class solar(BaseSchedule):  # noqa: N801 (the name that authors know)
    """Refused: ConfigError, whatever is asked for."""

    def __init__(self, *args: Any, **words: Any) -> None:
        raise ConfigError(
            "solar schedules are not supported: they need an ephemeris, which workerd does not depend on",
            "use crontab(...), or a BaseSchedule of your own whose after() asks an ephemeris",
        )
