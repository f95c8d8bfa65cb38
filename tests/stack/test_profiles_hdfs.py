"""The profile API's loader on HDFS: delta-rs's own client reads what lies there, without Java, as a user of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.profiles.generations import pointers
from services.profiles.lake import opened_lake
from services.profiles.loading import load
from spark_jobs.contracts.derived import TAG_PUBLICATIONS
from spark_jobs.errors import PlatformError, RetryableError
from tests.hdfs import DATANODE, HdfsServer, hdfs_server
from tests.profile_hammer import PERSONS, publish_number
from tests.profile_lake import WORKSPACE, phone
from tests.profile_service import Place, bearer, place


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsServer]:
    with hdfs_server(tmp_path_factory.mktemp("hdfs")) as running:
        yield running


def put(server: HdfsServer, lake: Path, folder: str) -> str:
    """The lake as it is now, put into HDFS; its root there."""
    for path in sorted(lake.rglob("*")):
        if path.is_file():
            server.client.write(f"{folder}/{path.relative_to(lake)}", data=path.read_bytes(), overwrite=True)
    return f"{server.url}{folder}"


def served(here: Place, root: str) -> tuple[int, set[str]]:
    """Load from HDFS; the publication that is served, and a person's values by HTTP."""
    with opened_lake(root, memory_mb=256, scratch=here.folder, threads=1) as lake:
        load(here.database, lake, WORKSPACE)
    with here.client() as client:
        body = client.get(f"/v1/profiles/phone/{phone(PERSONS[0])}", headers=bearer(here.key())).json()
    return body["publication"], {tag["value"] for tag in body["tags"]}


def until_served(here: Place, root: str) -> tuple[int, set[str]]:
    """The same, tried again: a NameNode learns of a DataNode's blocks some time after it began."""
    until = time.monotonic() + 60
    while True:
        try:
            return served(here, root)
        except RetryableError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def test_a_lake_in_hdfs_is_loaded_whole_and_by_changes(
    server: HdfsServer, tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "profiles")
    monkeypatch.setattr("services.profiles.loading.MOST_CHANGED", 100)
    with place(tmp_path, key_file) as here:
        for number in (1, 2):
            publish_number(here.lake)
            assert served(here, put(server, here.lake.root, "/lake")) == (number, {str(number)})


def test_a_lake_that_is_not_there_or_away_is_said_and_changes_nothing(
    server: HdfsServer, tmp_path: Path, key_file: Path
) -> None:
    with place(tmp_path, key_file) as here:
        with (
            pytest.raises(PlatformError, match="tags/publications"),
            opened_lake(f"{server.url}/nothing", memory_mb=256, scratch=tmp_path, threads=1) as lake,
        ):
            lake.table(TAG_PUBLICATIONS)
        publish_number(here.lake)
        root = put(server, here.lake.root, "/away")
        served(here, root)
        publish_number(here.lake)
        put(server, here.lake.root, "/away")
        server.kill(DATANODE)
        try:
            with pytest.raises(PlatformError):
                served(here, root)
            assert [one.publication for one in pointers(here.database)] == [1]
        finally:
            server.start(DATANODE)
        assert until_served(here, root)[0] == 2
