"""What the README, the tutorial and the how-tos tell a reader to do works, word for word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.snippets import Reader, snippets

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/reload.md",
    "docs/how-to/pools.md",
    "docs/how-to/limits.md",
    "docs/how-to/memory.md",
    "docs/how-to/autoscale.md",
    "docs/how-to/dead-letters.md",
    "docs/how-to/output.md",
    "docs/how-to/delayed.md",
    "docs/how-to/stop.md",
]


@pytest.fixture
def reader(tmp_path: Path, short_dir: Path) -> Reader:
    """A reader with an empty directory, a home of their own, and the environment activated."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WORKERD_")}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    env["HOME"] = str(tmp_path)
    env["WORKERD_STATE_DIR"] = str(short_dir / "state")
    env["WORKERD_RUNTIME_DIR"] = str(short_dir / "run")

    def ready() -> bool:
        status = subprocess.run(["workerd", "status"], env=env, capture_output=True, check=False, timeout=30)
        return status.returncode == 0

    return Reader(tmp_path, env, ready)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_snippet_does_what_the_text_says(reader: Reader, name: str) -> None:
    document = ROOT / name
    assert any(snippet.role == "run" for snippet in snippets(document)), "nothing would be run"
    reader.follow(document)
