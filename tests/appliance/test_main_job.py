"""The main job for real, then the same totals after a wipe and a restore, with a host more, and with a host less."""

from __future__ import annotations

import json

import pytest

from tests.appliance.cluster import HOSTS, Cluster
from tests.appliance.main_job import assert_totals_hold, do_main_job, profile_of_a_member

pytestmark = pytest.mark.lifecycle
FIGURES = 22


def test_history_and_live_events_become_people_tags_and_answers(installed: Cluster) -> None:
    tasks = do_main_job(installed)
    assert {state for run in tasks.values() for state, _, _ in run.values()} == {"success"}
    moved = installed.measured('databank_migration_chunks{state="verified"} > 0')
    assert moved
    assert installed.measured('databank_migration_chunks{state!="verified"} > 0') == []
    assert assert_totals_hold(installed) >= FIGURES


def test_what_was_published_is_told_by_http(installed: Cluster) -> None:
    key_id, key = installed.profile_key("shop")
    told = profile_of_a_member(installed, key)
    assert told["tags"]
    assert told["profiling"] == "allowed"
    assert told["publication"] >= 1
    installed.without_profile_key(key_id)


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
    _, key = installed.profile_key("shop-of-before")
    told = profile_of_a_member(installed, key)
    refuse = "databank services profiles refuse phone"
    installed.hosts.run("h1", f"echo 13912345678 | {refuse}")
    installed.hosts.run("h1", "mkdir -p /mnt/share/backup")
    installed.run("backup", "--to", "backup", "--data-to", "/mnt/share/backup")
    installed.hosts.wipe(HOSTS)
    installed.hosts.run("control", "mv /root/state /root/state-lost")
    installed.run("restore", "--from", "backup", "--data-from", "/mnt/share/backup")
    installed.run("verify")
    assert assert_totals_hold(installed) >= FIGURES
    # Keys and refusals were kept; the rest of the store is loaded from the lake that came back.
    again = profile_of_a_member(installed, key)
    assert [again[name] for name in ("person_id", "tags")] == [told[name] for name in ("person_id", "tags")]
    status = json.loads(installed.hosts.run("h1", "databank services profiles status --json").stdout)
    assert status["refusals"] == 1
