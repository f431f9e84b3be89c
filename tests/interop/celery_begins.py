"""A stock Celery client that begins every workflow and compares their ends; run by ``test_canvas``.

What is named after broker and backend is left out.
"""

from __future__ import annotations

import itertools
import os
import sys
from typing import Any

from celery import Celery

from tests.interop.canvases import ENDS, FORMS, Spread, celery_kit, nothing


def main(broker: str, backend: str, *left_out: str) -> int:
    app: Any = Celery("client", broker=broker, backend=backend)
    queues = itertools.cycle(("theirs", "ours"))
    app.conf.task_default_queue = "theirs"
    kit = celery_kit(*(Spread(app.task(name=f"proj.{n}")(nothing), queues) for n in ("add", "total")))
    begun = {form: FORMS[form](kit).apply_async() for form in ENDS if form not in left_out}
    failures = 0
    for form, result in begun.items():
        try:
            value = result.get(timeout=60)
        except Exception as exc:  # noqa: BLE001 (all are told)
            value = exc
        if value != ENDS[form]:
            sys.stdout.write(f"{form}: {value!r}, not {ENDS[form]!r}\n")
            failures += 1
    return failures


if __name__ == "__main__":
    failed = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(min(failed, 100))  # its results want the server to their own ends
