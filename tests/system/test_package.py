"""The wheel holds what an installation needs, and works where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = {
    "share/workerd/systemd/workerd@.service",
    "share/workerd/systemd/workerd.slice",
    "share/workerd/workerd.toml",
    "share/workerd/workerd.schema.json",
    "share/man/man1/workerd.1",
    "share/man/man5/workerd.toml.5",
    "share/bash-completion/completions/workerd",
    "share/zsh/site-functions/_workerd",
    "share/fish/vendor_completions.d/workerd.fish",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", directory],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    assert len(list(directory.glob("workerd-*.tar.gz"))) == 1
    (found,) = directory.glob("workerd-*.whl")
    return found


def test_the_wheel_has_the_program_and_what_goes_beside_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "workerd = workerd.cli:main" in archive.read(entry_points).decode()
    shared = {name.partition(".data/data/")[2] for name in names}
    assert shared >= SHARED
    assert {"workerd/py.typed", "workerd_pool/py.typed", "workerd/cli/group.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_installed_in_an_empty_environment_the_demo_runs(wheel: Path, short_dir: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", short_dir / "v"], check=True)
    bin_ = short_dir / "v" / "bin"
    subprocess.run(
        [bin_ / "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[embedded]"], check=True
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(short_dir), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [bin_ / "workerd", "demo"], env=env, cwd=short_dir, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    unit = subprocess.run(
        [bin_ / "workerd", "-A", "proj", "systemd", "unit"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"ExecStart={bin_}/workerd -A proj start --name %i" in unit.stdout
