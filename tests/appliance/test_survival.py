"""What a cluster survives: faults at its installation, all plugs pulled at once, kill -9 of every service, bytes that
flip in Delta's commits, the loss of each host in turn. Looks that change nothing come before and behind its
installation. The tests share one cluster: the first ones install it."""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.cluster import HOSTS, Cluster, answer_of

pytestmark = pytest.mark.lifecycle
PLATFORM_PYTHON = "/opt/databank/platform/current/venv/bin/python"
BACK_S = 300
SMALL_MB = 260  # a folder for programs into which Kafka's archive goes, and its files do not
WHOLE, WITHOUT_ONE = 2000, 1500  # rows of four commits, of three
DELTAS_OWN = "--conf spark.delta.logStore.hdfs.impl=io.delta.storage.HDFSLogStore"


def test_a_check_on_virgin_hosts_ends_without_error_and_leaves_nothing(virgin: Cluster) -> None:
    virgin.run("install", "--check")
    for name in HOSTS:
        assert virgin.hosts.run(name, "ls /opt /etc/databank", check=False).stdout.strip() == "/opt:"


def test_a_host_that_is_away_is_named_and_no_other_is_changed(virgin: Cluster) -> None:
    # The connections of the check before are open still, and would do.
    away = "systemctl stop ssh.socket ssh; systemctl mask --runtime ssh.socket ssh; pkill -KILL sshd"
    virgin.hosts.run("h2", away, check=False)
    try:
        answer = virgin.attempt("install")
    finally:
        virgin.hosts.reboot(["h2"])
    assert answer.returncode != 0
    assert "h2 cannot be reached" in answer.stdout
    assert set(virgin.changed(answer.stdout).values()) == {0}
    assert virgin.hosts.run("h1", "ls /opt").stdout.strip() == ""


def test_a_variable_that_is_missing_is_named_before_a_host_is_touched(virgin: Cluster) -> None:
    lacking = copy.deepcopy(dict(virgin.inventory))
    del lacking["all"]["vars"]["platform_workspaces"][0]["zone"]
    replace(virgin, inventory=lacking).write_inventory()
    answer = virgin.attempt("install")
    virgin.write_inventory()
    assert answer.returncode != 0
    assert "platform_workspaces, 1: zone is None" in answer.stdout
    assert "no host was touched" in answer.stdout


def test_a_disk_that_is_full_at_unpacking_is_named_and_the_next_run_heals_it(virgin: Cluster) -> None:
    virgin.hosts.run("h3", f"mount -t tmpfs -o size={SMALL_MB}m planted /opt")
    answer = virgin.attempt("install")
    assert answer.returncode != 0
    assert "No space left on device" in answer.stdout
    assert "fatal: [h3]" in answer.stdout
    whole = virgin.hosts.run("h3", "find /opt -name .complete").stdout.split()
    begun = virgin.hosts.run("h3", "find /opt -name '*.partial'").stdout.split()
    assert begun, f"the fault hit nothing: {whole}"
    assert not [
        one for one in begun if one.removesuffix(".partial") in {path.removesuffix("/.complete") for path in whole}
    ]
    virgin.hosts.run("h3", "cp -a /opt /root/begun && umount /opt && mv /root/begun/* /opt && rmdir /root/begun")
    virgin.run("install")
    assert virgin.hosts.run("h3", "find /opt -name '*.partial' -o -name '*.tar'").stdout == ""


def test_a_drift_report_of_a_live_cluster_is_empty(installed: Cluster) -> None:
    output = installed.run("install", "--check", "--diff")
    assert installed.changed(output) == dict.fromkeys(HOSTS, 0)
    assert "+++ " not in output


def test_all_hosts_come_back_from_a_power_loss(installed: Cluster) -> None:
    installed.hosts.reboot(HOSTS)
    wait_until_all_run(installed, HOSTS)
    installed.run("verify")


def test_rules_of_the_firewall_come_back_with_the_host_and_with_the_next_run(installed: Cluster) -> None:
    listed = "nft list table inet databank"
    assert all("kafka_clients" in installed.hosts.run(name, listed).stdout for name in HOSTS)
    installed.hosts.run("h2", "nft flush ruleset")
    assert installed.changed(installed.run("install")) == {"h1": 0, "h2": 1, "h3": 0}
    assert "kafka_clients" in installed.hosts.run("h2", listed).stdout


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


def test_without_checksums_a_flipped_byte_takes_rows_in_silence(installed: Cluster) -> None:
    assert ask(installed, "plain", "write", DELTAS_OWN) == WHOLE
    assert [flip(installed, name, "plain-2-planted") for name in HOSTS] == [1, 1, 1]
    assert ask(installed, "plain", "read", DELTAS_OWN) == WITHOUT_ONE  # which is why there is a log store of our own


def test_a_flipped_byte_is_mended_from_a_whole_replica_and_an_error_where_none_is(installed: Cluster) -> None:
    assert ask(installed, "durable", "write") == WHOLE
    assert [flip(installed, name, "durable-2-planted") for name in HOSTS[:2]] == [1, 1]
    assert ask(installed, "durable", "read") == WHOLE
    flip_all(installed, "durable-1-planted")
    said = ask(installed, "durable", "read")
    assert "00000000000000000001.json" in str(said), said


def test_an_empty_newest_commit_is_an_error(installed: Cluster) -> None:
    assert ask(installed, "emptied", "write") == WHOLE
    assert ask(installed, "emptied", "empty") == 0
    assert "00000000000000000003.json is empty" in str(ask(installed, "emptied", "read"))


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
    """Systemd has started everything that is ours; `verify` waits for the services themselves."""
    until = time.monotonic() + BACK_S
    for name in names:
        units = " ".join(cluster.units_of(name))
        while cluster.hosts.run(name, f"systemctl is-active {units}", check=False).returncode:
            assert time.monotonic() < until, cluster.hosts.run(name, f"systemctl status {units}", check=False).stdout
            time.sleep(2)


def ask(cluster: Cluster, table: str, step: str, options: str = "") -> Any:  # noqa: ANN401 - JSON
    """Run `commits` as the platform's user."""
    program = Path(__file__).with_name("programs") / "commits.py"
    shutil.copy(program, cluster.hosts.share)
    arguments = f"--driver-memory 1024m {options} pyspark-shell"
    environment = f"PYTHONPATH=/mnt/share PYSPARK_SUBMIT_ARGS='{arguments}'"
    folder = f"hdfs://{cluster.host_of('namenode')}:8020/databank/damage/{table}"
    return json.loads(cluster.hosts.run("h1", f"{environment} databank commits {folder} {step}").stdout)


def flip(cluster: Cluster, name: str, written: str) -> int:
    """Flip a byte in a host's replica of the commit that says `written`; how many files that were."""
    find = f"grep -rl --include='blk_*' --exclude='*.meta' {written} /var/lib/databank/hdfs/data"
    blocks = cluster.hosts.run(name, find, check=False).stdout.split()
    for block in blocks:
        cluster.hosts.run(name, f'sed -i \'s/"add"/"xdd"/\' {block}')
    return len(blocks)


def flip_all(cluster: Cluster, written: str) -> None:
    assert [flip(cluster, name, written) for name in HOSTS] == [1, 1, 1]
