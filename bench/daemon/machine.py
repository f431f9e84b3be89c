"""Where a run took place: what decides how far its figures can be compared with others."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from bench.daemon.contenders import CONTENDERS, ROOT, Contender
from tests.support.brokers import RABBIT_BIN


def machine() -> dict[str, str]:
    """Of the hardware and the system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "CPU": f"{os.cpu_count()} x {_cpu_model()}",
        "memory": f"{memory:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def revision() -> str:
    """That of what is measured; results that are written meanwhile do not make it another."""
    git = ("git", "-C", str(ROOT))
    changed = _said(*git, "status", "--porcelain", "supervisor", "pool", "bench/daemon")
    return _said(*git, "describe", "--always") + ("-dirty" if changed else "")


def versions() -> dict[str, str]:
    """Of the brokers, and what each contender's environment holds of consequence."""
    found = {
        "Redis": re.sub(r".*v=(\S+).*", r"\1", _said("redis-server", "--version")),
        "RabbitMQ": _rabbitmq(),
    }
    return found | {each.name: _packages(each) for each in CONTENDERS.values() if each.installed}


def _packages(contender: Contender) -> str:
    """Its own and those that carry messages."""
    wanted = {contender.name, "redis", "kombu", "amqp", "pika", "aio-pika", "hiredis", "taskiq-redis"}
    lines = _said(str(contender.bin / "python"), "-m", "pip", "list", "--format=freeze").splitlines()
    found = [line.replace("==", " ") for line in lines if line.partition("==")[0] in wanted]
    return ", ".join(sorted(found, key=lambda line: not line.startswith(contender.name)))


def _rabbitmq() -> str:
    """By the folder of its library: asking the server takes a node that runs."""
    found = sorted(RABBIT_BIN.parent.glob("lib/rabbitmq_server-*/plugins/rabbit-*")) or sorted(
        RABBIT_BIN.parent.glob("**/rabbit-[0-9]*")
    )
    return re.sub(r".*rabbit-([\d.]+?)(\.ez)?$", r"\1", str(found[0])) if found else "unknown"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip()
