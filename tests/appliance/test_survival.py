"""What a cluster survives: all plugs pulled at once, kill -9 of every service, the loss of each host in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from tests.appliance.cluster import HOSTS, Cluster, answer_of

pytestmark = pytest.mark.lifecycle
PLATFORM_PYTHON = "/opt/databank/platform/current/venv/bin/python"
BACK_S = 300


def test_all_hosts_come_back_from_a_power_loss(installed: Cluster) -> None:
    installed.hosts.reboot(HOSTS)
    wait_until_all_run(installed, HOSTS)
    installed.run("verify")


def test_every_service_comes_back_by_itself_from_kill_9(installed: Cluster) -> None:
    killed = 0
    for name in HOSTS:
        for unit in installed.units_of(name):
            before = main_process(installed, name, unit)
            installed.hosts.run(name, f"kill -9 {before}")
            until = time.monotonic() + BACK_S
            while main_process(installed, name, unit) in {"0", before}:
                assert time.monotonic() < until, f"{unit} of {name} did not come back"
                time.sleep(1)
            killed += 1
    assert killed >= 15
    wait_until_all_run(installed, HOSTS)
    installed.run("verify")


@pytest.mark.parametrize("lost", HOSTS)
def test_what_status_promised_goes_on_without_a_host(installed: Cluster, lost: str) -> None:
    (promise,) = (line for line in installed.run("status").splitlines() if f"  {lost}: " in line)
    assert "kafka and datanode go on" in promise
    workers = installed.inventory["spark_worker"]["hosts"]
    asking = next(name for name in HOSTS if name != lost and name in workers)
    told = installed.smoke_is_told() | {"doors": ["Kafka"] if "HDFS" in promise else ["Kafka", "HDFS"]}
    answer_of(installed.hosts, asking, "two_doors.py", told | {"step": "before"}, python=PLATFORM_PYTHON)
    installed.hosts.stop(lost)
    try:
        said = answer_of(installed.hosts, asking, "two_doors.py", told | {"step": "without"}, python=PLATFORM_PYTHON)
        assert said["Kafka"] == "100 sent and read"
        assert "came back" in said.get("HDFS", "came back"), said
    finally:
        installed.hosts.up([lost])
    answer_of(installed.hosts, asking, "two_doors.py", told | {"step": "after"}, python=PLATFORM_PYTHON)
    wait_until_all_run(installed, HOSTS)
    installed.run("verify")


def main_process(cluster: Cluster, name: str, unit: str) -> str:
    return cluster.hosts.run(name, f"systemctl show --value --property MainPID {unit}").stdout.strip()


def wait_until_all_run(cluster: Cluster, names: Sequence[str]) -> None:
    """Systemd has started everything; `verify` waits for the services themselves."""
    until = time.monotonic() + BACK_S
    for name in names:
        while cluster.hosts.run(name, "systemctl is-system-running", check=False).stdout.strip() != "running":
            assert time.monotonic() < until, cluster.hosts.run(name, "systemctl --failed", check=False).stdout
            time.sleep(2)
