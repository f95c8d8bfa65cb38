"""The main job for real, then the same totals after a wipe and a restore, with a host more, and with a host less."""

from __future__ import annotations

import pytest

from tests.appliance.cluster import HOSTS, Cluster
from tests.appliance.main_job import assert_totals_hold, do_main_job

pytestmark = pytest.mark.lifecycle
FIGURES = 22


def test_history_and_live_events_become_people_tags_and_answers(installed: Cluster) -> None:
    tasks = do_main_job(installed)
    assert {state for run in tasks.values() for state, _, _ in run.values()} == {"success"}
    moved = installed.measured('databank_migration_chunks{state="verified"} > 0')
    assert moved
    assert installed.measured('databank_migration_chunks{state!="verified"} > 0') == []
    assert assert_totals_hold(installed) >= FIGURES


def test_a_host_joins_and_takes_its_share(installed: Cluster) -> None:
    joined = installed.with_host("h4", ["kafka", "datanode", "spark_worker", "trino_worker"])
    joined.hosts.up(["h4"])
    joined.write_inventory()
    joined.run("scale_out")
    joined.run("verify")
    assert joined.brokers_with_replicas() == {1, 2, 3, 4}
    assert assert_totals_hold(joined) >= FIGURES


def test_a_host_leaves_and_nothing_is_missing(installed: Cluster) -> None:
    joined = installed.with_host("h4", ["kafka", "datanode", "spark_worker", "trino_worker"])
    refused = joined.attempt("decommission", "--host", "h1")
    assert refused.returncode != 0
    assert "h1 is the host of namenode, and there is no other" in refused.stdout
    joined.run("decommission", "--host", "h4")
    left = joined.hosts.run("h4", "ls -d /etc/databank /opt/databank /var/lib/databank", check=False)
    assert left.stdout == ""
    assert not list((joined.state / "initialised").glob("*-h4"))
    joined.hosts.stop("h4")
    installed.write_inventory()
    installed.run("install")
    installed.run("verify")
    assert installed.brokers_with_replicas() == {1, 2, 3}
    assert assert_totals_hold(installed) >= FIGURES


def test_a_backup_brings_all_of_it_back_onto_empty_hosts(installed: Cluster) -> None:
    installed.hosts.run("h1", "mkdir -p /mnt/share/backup")
    installed.run("backup", "--to", "backup", "--data-to", "/mnt/share/backup")
    installed.hosts.wipe(HOSTS)
    installed.hosts.run("control", "mv /root/state /root/state-lost")
    installed.run("restore", "--from", "backup", "--data-from", "/mnt/share/backup")
    installed.run("verify")
    assert assert_totals_hold(installed) >= FIGURES
