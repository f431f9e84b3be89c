"""What a step raises while it is made or started, as an error that names the step."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import workerd
from workerd.errors import StepError, WorkerdError

_OURS = str(Path(workerd.__file__).parent)


@contextmanager
def blaming_steps() -> Iterator[None]:
    """Turn it into a StepError with the step's part of the traceback; known errors pass."""
    try:
        yield
    except WorkerdError:
        raise
    except Exception as exc:
        text = "".join(traceback.format_exception(type(exc), exc, _steps_part(exc.__traceback__)))
        raise StepError(f"{exc!r} {blamed(exc)}", "mend the step", text) from exc


def blamed(exc: BaseException) -> str:
    """Which step raised it, and where, as its blueprint has noted."""
    return "; ".join(getattr(exc, "__notes__", ())) or "raised by a step"


def _steps_part(trace: TracebackType | None) -> TracebackType | None:
    """From the first line on that is not the daemon's; all of it when every line is."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename.startswith(_OURS):
        found = found.tb_next
    return found or trace
