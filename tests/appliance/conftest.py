"""The hosts, the bundle and the cluster that the tests of one file share; made for it and gone with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.setup import paths
from tests.appliance.cluster import HOSTS, INVENTORY, Cluster, build_bundle
from tests.appliance.hosts import Hosts


@pytest.fixture(scope="session")
def bundle() -> Path:
    """This commit's bundle, built from a clean checkout."""
    if os.geteuid() != 0 or not shutil.which("systemd-nspawn"):
        pytest.skip("hosts are made by root with systemd-nspawn (package systemd-container)")
    return build_bundle(paths.state_dir() / "appliance")


@pytest.fixture(scope="module")
def virgin(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three hosts on which nothing was installed, and their control node; in DATABANK_KEEP_HOSTS they stay."""
    kept = os.environ.get("DATABANK_KEEP_HOSTS")  # pytest removes its own folders at a later run
    hosts = Hosts((Path(kept) if kept else tmp_path_factory.mktemp("hosts")) / f"i{os.getpid()}")
    try:
        hosts.up(["control", *HOSTS])
        cluster = Cluster(hosts, INVENTORY)
        cluster.prepare(bundle)
        yield cluster
    finally:
        if not kept:
            hosts.down()


@pytest.fixture(scope="module")
def installed(virgin: Cluster) -> Cluster:
    """The same with all components installed."""
    virgin.run("install")
    return virgin
