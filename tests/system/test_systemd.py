"""The unit under a real systemd: what its operator types, and what happens to a machine at night."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemon import REPOSITORY
from tests.support.eventually import eventually
from tests.support.oom import memory_limit
from tests.support.systemd import SystemdBox
from tests.support.unit import PLACE, PROGRAM, UNIT, Service

OTHER = """
[Service]
Type=exec
User=daemon
Group=daemon
WorkingDirectory=/
StateDirectory=
StateDirectory=workerd/%i
WatchdogSec=0
ExecStart=
ExecStart=/bin/sleep infinity
"""
DIRECTORIES = [
    f"{root}{own}" for root in ("run/workerd", "var/lib/workerd", "var/log/workerd") for own in ("", "/mail")
] + ["var/lib/workerd/_broker", "run/workerd/mail/control.sock"]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdBox]:
    assert os.geteuid() == 0, "to boot a systemd needs root"
    found = SystemdBox(tmp_path_factory.mktemp("box"), REPOSITORY)
    try:
        yield found.start()
    finally:
        found.stop()


@pytest.fixture
def service(box: SystemdBox, redis_url: str) -> Iterator[Service]:
    found = Service(box, redis_url)
    found.install()
    with closing(found.client):
        yield found
    box.systemctl("kill", "-s", "KILL", UNIT)
    box.systemctl("stop", UNIT)
    (box.root / f"{PLACE[1:]}/ledger").unlink(missing_ok=True)


def test_it_is_up_when_it_serves_and_a_reload_or_restart_takes_new_code_or_fails(service: Service) -> None:
    service.start()
    box, pid = service.box, service.pid
    assert service.status.startswith("running: ")
    assert service.ask("version") == "1"
    # Nobody but the supervisor may speak for the daemon.
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(service.ask("environment"))

    service.write_app("2")
    assert box.systemctl("reload", UNIT).returncode == 0
    assert service.ask("version") == "2"
    service.write_app("3", "this is no Python")
    assert box.systemctl("reload", UNIT).returncode != 0
    assert service.ask("version") == "2"
    assert "SyntaxError" in box.systemctl("status", "-n", "50", UNIT).stdout

    # In place: for systemd it is one service all the time.
    assert service.workerd("restart").returncode != 0
    assert service.ask("version") == "2"
    service.write_app("4")
    assert service.workerd("restart").returncode == 0
    eventually(lambda: service.state == "active" and service.status.startswith("running: "))
    assert service.ask("version") == "4"
    assert (service.pid, service.state, box.show(UNIT, "NRestarts")) == (pid, "active", "0")


def test_it_is_scaled_beside_systemd_while_tasks_run_and_none_notices(service: Service) -> None:
    service.start()
    pid, held, tasks = service.pid, {0, 1, 2, 3}, list(range(30))
    for number in tasks:
        if number in held:
            service.client.send_task("proj.hold", (number,))
        else:
            service.send(number, 0.1)
    eventually(lambda: service.status == "running: 2 children, 2 busy")
    assert service.workerd("scale", "5").returncode == 0
    # All that can run, runs: beside the four that are held it is the fifth child's alone.
    eventually(lambda: len(service.noted("end")) == len(tasks) - len(held))
    eventually(lambda: service.status == "running: 5 children, 4 busy")
    assert len(service.children()) == 5

    assert service.workerd("scale", "1").returncode == 0
    eventually(lambda: len(service.children()) == 4)  # who is busy finishes what he has
    assert not held & set(service.noted("end"))
    service.box.write(f"{PLACE}/go", "")
    eventually(lambda: service.status == "running: 1 child, 0 busy" and service.held() == 0)
    assert len(service.children()) == 1
    assert sorted(service.noted("start")) == sorted(service.noted("end")) == tasks
    assert (service.pid, service.state, service.box.show(UNIT, "NRestarts")) == (pid, "active", "0")


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_a_supervisor_that_is_killed_or_hangs_comes_back_with_its_work(
    service: Service, signum: signal.Signals
) -> None:
    service.start()
    pid = service.pid
    service.send(1, 1.0)
    eventually(lambda: service.noted("start"))
    service.box.systemctl("kill", "--kill-whom=main", "-s", signum.name, UNIT)
    eventually(lambda: service.pid not in (0, pid) and service.state == "active", within=60)
    # Its owner's lease has not ended: the successor knows the state directory for its own.
    eventually(lambda: service.noted("start") == [1, 1], within=20)
    eventually(lambda: service.held() == 0)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_stop_under_load_finishes_what_runs_and_loses_nothing(service: Service, how: str) -> None:
    service.start()
    for number in range(200):
        service.send(number, 3.0 if number in (0, 1) else 0.0)
    eventually(lambda: set(service.noted("start")) >= {0, 1})
    if how == "stop":
        assert service.box.systemctl("stop", UNIT).returncode == 0
    else:
        service.box.systemctl("kill", "--kill-whom=all", "-s", "TERM", UNIT)
        eventually(lambda: service.state == "inactive", within=60)
    assert set(service.noted("end")) >= {0, 1}
    assert service.box.show(UNIT, "Result") == "success"
    service.start()
    eventually(lambda: set(service.noted("end")) == set(range(200)), within=60)
    assert len(service.noted("start")) == 200


def test_no_task_brings_the_unit_down(service: Service) -> None:
    service.configure("max_crashes = 1")
    service.start()
    pid = service.pid
    for _ in range(5):
        service.client.send_task("proj.die")
    eventually(lambda: service.dead() == 5, within=60)
    # Every child is there: one that is being started now would not be under the limit.
    eventually(lambda: "2 children, 0 busy" in service.status, within=60)
    with memory_limit("workerd-test-systemd", service.processes(), 200 << 20):
        service.client.send_task("proj.gorge", (1000,))
        eventually(lambda: service.dead() == 6, within=60)
    assert "out of memory" in service.workerd("dead", "list", "--broker", service.broker).stdout
    assert service.ask("version") == "1"
    assert (service.pid, service.state, service.box.show(UNIT, "NRestarts")) == (pid, "active", "0")


def test_an_instance_of_another_user_takes_nothing_of_ours(service: Service) -> None:
    service.start()
    box, other = service.box, "workerd@other.service"
    box.write(f"/etc/systemd/system/{other}.d/user.conf", OTHER)
    box.systemctl("daemon-reload")
    assert box.systemctl("start", other).returncode == 0
    owners = {place: (box.root / place).stat().st_uid for place in DIRECTORIES}
    box.systemctl("stop", other)
    assert owners == dict.fromkeys(DIRECTORIES, 0)
    assert service.ask("version") == "1"


def test_what_a_restart_cannot_mend_is_told_and_not_tried_again(service: Service) -> None:
    service.configure("siez = 3")
    assert service.box.systemctl("start", UNIT).returncode != 0
    eventually(lambda: service.state == "failed")
    status = service.box.systemctl("status", UNIT).stdout
    assert "siez" in status and "did you mean" in status
    assert service.box.show(UNIT, "ExecMainStatus") == "78"
    assert service.box.show(UNIT, "NRestarts") == "0"


def test_the_units_are_what_systemd_calls_clean_and_safe(tmp_path: Path) -> None:
    unit = tmp_path / "workerd@.service"
    unit.write_text(
        subprocess.run(
            [PROGRAM, "systemd", "unit", "--user", "root"], capture_output=True, text=True, check=True
        ).stdout
    )
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit, REPOSITORY / "systemd" / "workerd.slice"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    shipped = REPOSITORY / "systemd" / "workerd@.service"
    safe = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", shipped],
        capture_output=True,
        text=True,
        check=False,
    )
    assert safe.returncode == 0, safe.stdout
