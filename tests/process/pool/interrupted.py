"""Jobs that are there to be interrupted: what they catch of it, and those that nothing reaches."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded

from workerd_pool import Report

Outcome = tuple[dict[str, Any], bytes]


class InterruptedJobs:
    """Part of the Runner of these tests."""

    def soft(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        try:
            time.sleep(header["seconds"])
        except SoftTimeLimitExceeded:
            return {"state": "SOFT"}, b""
        return {"state": "SUCCESS"}, b""

    def guarded(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        """As tasks often are: it outlives every Exception."""
        try:
            report.progress({"begun": True}, b"")
            time.sleep(header["seconds"])
        except Exception as exc:  # noqa: BLE001
            return {"state": "CAUGHT", "type": type(exc).__name__, "args": list(exc.args)}, b""
        finally:
            report.progress({"cleaned": True}, b"")
        return {"state": "SUCCESS"}, b""

    def deaf(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        """Outlives everything that can be caught."""
        ends = time.monotonic() + header["seconds"]
        while time.monotonic() < ends:
            try:
                report.progress({"begun": True}, b"")
                time.sleep(0.05)
            except BaseException as exc:  # noqa: BLE001
                report.progress({"caught": type(exc).__name__}, b"")
        return {"state": "SUCCESS"}, b""

    def soft_progress(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        count = 0
        try:
            while True:
                report.progress({"count": count}, b"x" * 10_000)
                count += 1
        except SoftTimeLimitExceeded:
            return {"state": "SOFT", "count": count}, b""

    def shielded(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        report.shield()
        time.sleep(header["seconds"])
        return {"state": "SUCCESS"}, b""

    def stubborn(self, header: dict[str, Any], body: bytes, report: Report) -> Outcome:
        # C code that does not return: no Python handler runs meanwhile.
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        return {}, b""
