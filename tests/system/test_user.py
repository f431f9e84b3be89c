"""Root starts a daemon for a plain user: it and its tasks are that user's, and operators find it as ever.

All in a mount namespace of its own, where Python and workerd lie at places that this user can reach, and
``/run``, ``/var`` and ``/etc`` are our own.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
APP = """
import os
from workerd import App
app = App("proj")
@app.task
def who():
    return [os.getresuid(), os.getgroups(), os.environ["HOME"], os.environ["USER"], os.getcwd()]
"""
SETTINGS = """
app = "proj"
user = "nobody"
size = 1
chdir = "{home}"
pidfile = "/run/mail.pid"
"""
SCRIPT = """
set -eu
cd "$1"
mkdir py site repo
cp -a /etc etc; mount --bind etc /etc; mkdir /etc/workerd
mount --bind "$PREFIX" py; mount --bind "$SITE" site; mount --bind "$REPOSITORY" repo
for place in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 none $place; done
cp settings /etc/workerd/mail.toml
export PYTHONHOME="$1/py" LD_LIBRARY_PATH="$1/py/lib" PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$1/site:$1/repo/supervisor:$1/repo/pool"
w() { py/bin/python$VERSION -m workerd "$@"; }
w start --name mail --detach
pid=$(cat /run/mail.pid)
stat -c '%n %U %a' /run/workerd /run/workerd/mail /var/lib/workerd/mail /var/log/workerd/mail.log
stat -c '%n %U %a' /run/mail.pid
w call --name mail proj.who --wait
w restart --name mail
[ "$(cat /run/mail.pid)" = "$pid" ]
ps -o user= -p $pid
w call --name mail proj.who --wait
w stop --name mail
cat /run/mail.pid
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a daemon for somebody else")
def test_a_daemon_that_root_starts_for_a_plain_user(short_dir: Path) -> None:
    short_dir.chmod(0o755)
    (short_dir / "proj.py").write_text(APP)
    (short_dir / "settings").write_text(SETTINGS.format(home=short_dir))
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh", short_dir],
        env={
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PREFIX": sys.base_prefix,
            "SITE": sysconfig.get_path("purelib"),
            "REPOSITORY": str(REPOSITORY),
            "VERSION": f"{sys.version_info[0]}.{sys.version_info[1]}",
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    account = pwd.getpwnam("nobody")
    lines = done.stdout.splitlines()
    assert " runs, pid " in lines[0]
    assert lines[1:6] == [
        "/run/workerd root 755",
        "/run/workerd/mail nobody 750",
        "/var/lib/workerd/mail nobody 750",
        "/var/log/workerd/mail.log nobody 640",
        "/run/mail.pid nobody 644",
    ]
    who = [[account.pw_uid] * 3, [account.pw_gid], account.pw_dir, "nobody", str(short_dir)]
    assert [eval(line) for line in lines if line.startswith("[[")] == [who, who]
    assert lines[-1] == "stopped"  # and the pid file is empty, as its directory is root's
