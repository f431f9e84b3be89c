"""What the resolver is told, and who else hears of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workerd.worker.life.resolver import SHORT

PROGRAM = """
import ctypes, os, subprocess, sys
from workerd.worker.life.resolver import be_quick
be_quick()
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
print(libc.getenv(b"RES_OPTIONS").decode(), os.environ.get("RES_OPTIONS"), sep="|")
"""


@pytest.mark.parametrize(
    ("given", "seen"), [({}, f"{SHORT}|None"), ({"RES_OPTIONS": "timeout:9"}, "timeout:9|timeout:9")]
)
def test_the_resolver_is_quick_unless_somebody_has_said_otherwise(given: dict[str, str], seen: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=given, capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout.strip() == seen
