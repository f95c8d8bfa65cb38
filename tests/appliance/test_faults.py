"""What an installation says of a host that is away and of a full disk, and that the next run heals what was begun."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tests.appliance.cluster import HOSTS, Cluster

pytestmark = pytest.mark.lifecycle
SMALL_MB = 260  # Kafka's archive goes in, and its files do not


def test_a_host_that_is_away_is_named_and_no_other_is_changed(virgin: Cluster) -> None:
    virgin.hosts.run("h2", "systemctl stop ssh.socket ssh; systemctl mask --runtime ssh.socket ssh", check=False)
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
    virgin.hosts.run("h3", "mount -o remount,size=16g /opt")
    virgin.run("install")
    assert virgin.hosts.run("h3", "find /opt -name '*.partial' -o -name '*.tar'").stdout == ""
    virgin.run("verify")
    assert virgin.changed(virgin.run("install")) == dict.fromkeys(HOSTS, 0)
