"""``python -m bench.daemon.install``: each peer in a virtual environment of its own, below ``bench/.peers``.

So none of them decides the versions of another's dependencies.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.daemon.contenders import CONTENDERS, PEERS, ROOT

PLOTS = ("plots", ("matplotlib>=3.8",))
"""The environment that draws."""


def install(name: str, requirements: Sequence[str]) -> Path:
    """Make the environment, unless it has been made for the same requirements; its interpreter."""
    home, wanted = PEERS / name, "\n".join(requirements)
    made_for, python = home / "requirements.txt", home / "bin" / "python"
    if made_for.exists() and made_for.read_text() == wanted:
        return python
    print(f"installing {name} into {home.relative_to(ROOT)}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, *requirements], check=True)
    made_for.write_text(wanted)
    return python


def main() -> None:
    """Install what is missing."""
    for contender in CONTENDERS.values():
        if contender.pip:
            install(contender.name, contender.pip)
    install(*PLOTS)


if __name__ == "__main__":
    main()
