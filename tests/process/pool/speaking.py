"""Jobs that print, log, or leave somebody behind who does."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from typing import Any

from workerd_pool import Report

Outcome = tuple[dict[str, Any], bytes]


class SpeakingJobs:
    """Part of the Runner of these tests."""

    def prints(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        # Bytes straight into the descriptor, as C code and other programs write.
        fd = header.get("fd", 1)
        for _ in range(header.get("times", 1)):
            os.write(fd, body)
            time.sleep(header.get("pause", 0.0))
        return {"state": "SUCCESS"}, b""

    def says(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        print(body.decode(), end=header.get("end", "\n"), file=getattr(sys, header.get("stream", "stdout")))
        return {"state": "SUCCESS"}, b""

    def logs(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        logger = logging.getLogger("proj.tasks")
        logger.log(header["level"], header["text"])
        if header.get("fork"):
            pid = os.fork()
            if pid == 0:
                logger.log(header["level"], "from a fork")
                os._exit(0)
            os.waitpid(pid, 0)
        return {"state": "SUCCESS"}, b""

    def leaves_speaker(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        """Leave a process behind that prints when ``header["gate"]`` appears."""
        command = f"while ! [ -e {header['gate']} ]; do sleep 0.02; done; echo from behind"
        process = subprocess.Popen(["sh", "-c", command], start_new_session=True)
        return {"pid": process.pid}, b""
