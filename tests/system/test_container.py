"""As the first process of a container: any uid, a root that is read-only, and strangers to reap.

No container engine is needed for it: namespaces of its own, in which Python and workerd lie where that user
can reach them, and only the state directory can be written.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually
from workerd import App
from workerd.control.client import ControlClient
from workerd.errors import WorkerdError

REPOSITORY = Path(__file__).resolve().parents[2]
UID = 54321
APP = """
import os
from workerd import App
app = App("proj")
@app.task
def who():
    return [os.getuid(), os.getppid()]
@app.task
def leave_orphan():
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            os.execv("/bin/sleep", ["sleep", "0.3"])
        os._exit(0)
    os.wait()
@app.task
def write():
    open("/tmp/x", "w")
"""
SCRIPT = """
set -eu
cd "$1"
mkdir py site repo
mount --bind "$PREFIX" py; mount --bind "$SITE" site; mount --bind "$REPOSITORY" repo
mount --bind state state
mount -o remount,bind,ro /
export PYTHONHOME="$1/py" LD_LIBRARY_PATH="$1/py/lib" PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$1/site:$1/repo/supervisor:$1/repo/pool"
export WORKERD_STATE_DIR="$1/state" WORKERD_RUNTIME_DIR="$1/state/run"
exec setpriv --reuid $USER_ID --regid $USER_ID --clear-groups \
    py/bin/python$VERSION -m workerd -A proj start --size 1
"""


class Container:
    """Its first process, seen from outside."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        self.home, self.process = home, process

    @property
    def first(self) -> psutil.Process:
        (found,) = psutil.Process(self.process.pid).children()
        return found

    def ready(self) -> bool:
        if self.process.poll() is not None:  # no assertion: that would mean "not yet"
            raise RuntimeError(f"it has ended:\n{(self.home / 'log').read_text()}")
        try:
            status = ControlClient(self.home / "state/run/main/control.sock").call("status", patience=5.0)
        except WorkerdError:
            return False
        return bool(status["ready"]) and status["pid"] == 1

    def client(self) -> App:
        url = f"redis+socket://{self.home}/state/_broker/valkey.sock"
        return App("client", broker=url, backend=url)


@pytest.fixture
def container(short_dir: Path) -> Iterator[Container]:
    short_dir.chmod(0o755)
    (short_dir / "proj.py").write_text(APP)
    (short_dir / "state").mkdir()
    os.chown(short_dir / "state", UID, UID)
    env = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PREFIX": sys.base_prefix,
        "SITE": sysconfig.get_path("purelib"),
        "REPOSITORY": str(REPOSITORY),
        "VERSION": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "USER_ID": str(UID),
    }
    words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    with (short_dir / "log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "sh", "-c", SCRIPT, "sh", short_dir], env=env, stdout=log, stderr=log
        )
    found = Container(short_dir, process)
    yield found
    print((short_dir / "log").read_text())
    process.kill()  # which takes the namespace with it
    process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make namespaces")
def test_the_first_process_of_a_container(container: Container) -> None:
    eventually(container.ready, within=60)
    first = container.first
    with container.client() as app:
        assert app.send_task("proj.who").get(timeout=30) == [UID, 1]
        app.send_task("proj.leave_orphan").get(timeout=30)
        with pytest.raises(OSError, match="Read-only file system"):
            app.send_task("proj.write").get(timeout=30)
    # Whoever loses its parent there is the first process's to wait for.
    eventually(lambda: [child.name() for child in first.children()].count("sleep") == 0)
    assert not [child for child in first.children(recursive=True) if child.status() == psutil.STATUS_ZOMBIE]
    first.terminate()
    assert container.process.wait(60) == 0
