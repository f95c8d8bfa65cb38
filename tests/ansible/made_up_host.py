"""A host of files in a temporary folder where all is well, and what the probe of preflight is asked about it."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.ansible.loading import load

probe = load("preflight/files/probe.py")

GB = 2**30
SERVICE = "# Written by Databank; changes are overwritten.\n[Service]\n"
ADDRESSES = {"h1": "192.0.2.11", "h2": "192.0.2.12"}
REQUEST: dict[str, Any] = {
    "debian": "13",
    "python": ".".join(map(str, sys.version_info[:2])),
    "machine": platform.machine(),
    "components": [
        {"name": "kafka", "group": "kafka", "memory_mb": 1536, "disk_gb": 5, "cpus": 1},
        {"name": "namenode", "group": "namenode", "memory_mb": 1024, "disk_gb": 2, "cpus": 0.5},
    ],
    "memory_mb_of": {},
    "host_memory_mb": None,
    "programs_gb": 5,
    "ports": [{"name": "kafka_clients", "port": 9092, "group": "kafka", "open_to": "cluster"}],
    "clock": {"offset_s": 0.01, "error_s": 0.02},
    "time_servers": [],
    "clock_is_foreign": False,
    "addresses": ADDRESSES,
}
FILES = {
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n',
    "proc/meminfo": "MemTotal:        8388608 kB\nMemFree:          100000 kB\n",
    "proc/1/comm": "systemd\n",
    "proc/1/limits": "Limit      Soft Limit   Hard Limit   Units\nMax open files   1024    1048576    files\n",
    "proc/77/comm": "chronyd\n",
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
    "proc/sys/vm/swappiness": "60\n",
    "run/systemd/system/.": "",
    "opt/.": "",
    "var/lib/.": "",
    "tmp/.": "",
}


class Usage(NamedTuple):
    """As of `shutil.disk_usage`."""

    total: int
    used: int
    free: int


class Mount(NamedTuple):
    """As of `os.statvfs`."""

    f_flag: int


def write(root: Path, path: str, text: str = "") -> None:
    """A file of the host; a folder where the path ends with a slash and a dot."""
    file = root / path
    (file if path.endswith("/.") else file.parent).mkdir(parents=True, exist_ok=True)
    if not path.endswith("/."):
        file.write_text(text)


def asked(**changed: object) -> list[tuple[str, ...]]:
    """Check, result and what was found, of all checks that did not pass."""
    rows = probe.check({**REQUEST, **changed})
    return [(one["check"], one["result"], one["found"]) for one in rows if one["result"] != "Pass"]
