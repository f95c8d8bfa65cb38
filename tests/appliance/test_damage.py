"""Bytes of a Delta commit that flip in HDFS: mended from another replica or an error, never fewer rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.cluster import HOSTS, Cluster

pytestmark = pytest.mark.lifecycle
WHOLE, WITHOUT_ONE = 2000, 1500
DELTAS_OWN = "--conf spark.delta.logStore.hdfs.impl=io.delta.storage.HDFSLogStore"


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
