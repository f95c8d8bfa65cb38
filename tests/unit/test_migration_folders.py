"""A source on disk and the same in HDFS say the same; what WebHDFS refuses is said as it is."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, Never
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.chunks import Chunk
from migration.mapping_file import parse_mapping
from migration.sources.files import FORMATS, Files
from migration.sources.folders import DiskFolder, Folder, matches, name_problem, open_folder
from migration.sources.source import Refused, Unnamed
from spark_jobs.errors import RetryableError, TerminalError
from tests.columnar_files import mapping_of, put, table_of

FILES = {"purchases/2017-01.csv": b"a,b\n1,2\n", "purchases/ü #1.csv": b"", "members.csv": b"no\n7\n"}


class FakeWebHdfs(BaseHTTPRequestHandler):
    """LISTSTATUS, GETFILESTATUS and OPEN of the files below `root`, at the path /old."""

    root: Path

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        operation = parse_qs(parts.query)["op"][0]
        path = self.root / unquote(parts.path).removeprefix("/webhdfs/v1/old").lstrip("/")
        if not path.exists():
            said = {"exception": "FileNotFoundException", "message": f"File {path.name} not there"}
            self._answer(404, json.dumps({"RemoteException": said}).encode())
        elif operation == "OPEN":
            asked = {
                name: int(found[0]) for name, found in parse_qs(parts.query).items() if name in ("offset", "length")
            }
            begin = asked.get("offset", 0)
            self._answer(200, path.read_bytes()[begin : begin + asked.get("length", path.stat().st_size)])
        elif operation == "LISTSTATUS":
            listed = [self._status(one, one.name) for one in sorted(path.iterdir())]
            self._answer(200, json.dumps({"FileStatuses": {"FileStatus": listed}}).encode())
        else:
            self._answer(200, json.dumps({"FileStatus": self._status(path, "")}).encode())

    def _status(self, path: Path, name: str) -> dict[str, Any]:
        kind, found = "DIRECTORY" if path.is_dir() else "FILE", path.stat()
        return {
            "pathSuffix": name,
            "type": kind,
            "length": 0 if path.is_dir() else found.st_size,
            "modificationTime": found.st_mtime_ns // 1_000_000,
        }

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def url(exported: Path) -> Iterator[str]:
    handler = type("Handler", (FakeWebHdfs,), {"root": exported})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_disk_and_hdfs_give_the_same_names_sizes_and_bytes(exported: Path, url: str) -> None:
    disk, there = open_folder(str(exported)), open_folder("hdfs://nn:8020/old/", url)
    assert there.names() == disk.names() == sorted(FILES)
    for name, content in FILES.items():
        assert b"".join(there.blocks(name)) == b"".join(disk.blocks(name)) == content
        assert there.version(name).bytes == disk.version(name).bytes == len(content)
        assert there.version(name).mtime_ns // 1_000_000 == disk.version(name).mtime_ns // 1_000_000
    assert there.address == "hdfs://nn:8020/old"
    assert there.uri("purchases/ü #1.csv") == "hdfs://nn:8020/old/purchases/ü%20%231.csv"
    assert disk.uri("members.csv") == f"file:{exported}/members.csv"


def test_a_footer_is_read_alike_on_disk_and_in_hdfs(exported: Path, url: str) -> None:
    put(exported / "a.parquet", table_of(10))
    put(exported / "a.orc", table_of(10).drop(["sold_at"]))
    disk, there = open_folder(str(exported)), open_folder("hdfs://nn:8020/old", url)
    for name, kind in (("a.parquet", "parquet"), ("a.orc", "orc")):
        mapping = parse_mapping(mapping_of(kind), where="m")
        assert FORMATS[kind].look(there, name, mapping) == FORMATS[kind].look(disk, name, mapping)
    with there.open_file("a.orc") as opened:
        content = (exported / "a.orc").read_bytes()
        assert (opened.seek(-7, 2), opened.read(), opened.read()) == (len(content) - 7, content[-7:], b"")
        assert (opened.seek(5), opened.read(3), opened.tell()) == (5, content[5:8], 8)


def test_a_footer_that_hdfs_does_not_give_is_an_oserror(exported: Path, url: str) -> None:
    put(exported / "a.parquet", table_of(10))
    there = open_folder("hdfs://nn:8020/old", url)
    with there.open_file("a.parquet") as opened:
        (exported / "a.parquet").unlink()
        with pytest.raises(OSError, match="not there"):
            opened.read()


def test_a_file_that_vanished_is_an_oserror_with_the_words_of_hdfs(url: str) -> None:
    there = open_folder("hdfs://nn:8020/old", url)
    with pytest.raises(OSError, match="not there"):
        there.version("gone.csv")
    with pytest.raises(OSError, match="not there"):
        list(there.blocks("gone.csv"))


MEMBERS = Chunk("p", "c", "core.members", "members.csv", 5, 0, "", 1, (), "r", "c")


def looked(folder: Folder) -> list[Chunk | Refused | Unnamed]:
    return list(Files(folder).look([parse_mapping(mapping_of("parquet"), where="m")], lambda *_: iter(())))


def test_a_namenode_that_does_not_answer_may_be_asked_again() -> None:
    there = open_folder("hdfs://nn:8020/old", "http://127.0.0.1:9")
    with pytest.raises(
        RetryableError, match=r"source hdfs://nn:8020/old cannot be read: .*hosts that it lies on answer"
    ):
        looked(there)
    with pytest.raises(RetryableError, match=r"hdfs://nn:8020/old/members\.csv cannot be read"):
        Files(there).check_unchanged(MEMBERS)


def test_a_folder_that_is_none_is_a_person_s_to_mend(exported: Path, url: str) -> None:
    for address in ("hdfs://nn:8020/old/gone", "hdfs://nn:8020/old/members.csv"):
        with pytest.raises(TerminalError, match=f"source {address} is no folder that can be read"):
            looked(open_folder(address, url))


def test_a_folder_that_is_gone_or_empty_may_come_back(exported: Path, url: str) -> None:
    for folder in (DiskFolder(exported / "away"), open_folder("hdfs://nn:8020/old/away", url)):
        with pytest.raises(RetryableError, match="away is gone; mount it again"):
            Files(folder).check_unchanged(MEMBERS)
    (exported / "mount").mkdir()
    with pytest.raises(RetryableError, match="mount is gone; mount it again"):
        Files(DiskFolder(exported / "mount")).check_unchanged(MEMBERS)
    with pytest.raises(TerminalError, match=r"gone\.csv cannot be read: .*; put the planned file back"):
        Files(DiskFolder(exported)).check_unchanged(replace(MEMBERS, source_object="gone.csv"))


@pytest.mark.parametrize("step", ["version", "open_file", "blocks"])
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(errno.EACCES, id="a file that may not be read"),
        pytest.param(errno.EIO, id="a disk that fails"),
        pytest.param(errno.ESTALE, id="a share that went away"),
    ],
)
def test_what_the_disk_or_the_network_did_is_not_laid_to_a_file(exported, monkeypatch, step, number) -> None:
    put(exported / "a.parquet", table_of(10))

    def fail(*_args: object) -> Never:
        raise OSError(number, "no", "a.parquet")

    monkeypatch.setattr(DiskFolder, step, fail)
    if number == errno.EACCES:
        assert looked(DiskFolder(exported))[0] == Refused("a.parquet", "cannot be read: no")
    else:
        with pytest.raises(RetryableError, match=f"{exported}/a.parquet cannot be read: no"):
            looked(DiskFolder(exported))


def test_a_folder_in_it_that_cannot_be_listed_is_not_passed_over(exported, monkeypatch) -> None:
    scandir = os.scandir

    def fail(path: str) -> object:
        if str(path).endswith("purchases"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(TerminalError, match=f"source {exported}/purchases cannot be read: Permission denied"):
        looked(DiskFolder(exported))


def test_names_that_spark_does_not_read_are_refused(tmp_path) -> None:
    taken = ["a[1]{b}*?\\c.parquet", "_x=1.parquet", "全角\u3000.parquet"]
    hidden = ["_a.parquet", ".a.parquet", "_metadata.parquet", "12:30.parquet"]
    for name in (*taken, *hidden, "ü-\udcff.parquet"):
        put(tmp_path / "made.parquet", table_of(1)).rename(tmp_path / name)
    (tmp_path / "\udcfe.txt").touch()
    found = looked(DiskFolder(tmp_path))
    assert sorted(one.source_object for one in found if isinstance(one, Chunk)) == sorted(taken)
    refused = {one.source_object: one.reason for one in found if isinstance(one, Refused)}
    assert set(refused) == {*hidden, "ü-\\xff.parquet"}
    assert "Spark passes over" in refused["_a.parquet"]
    assert "its name is no UTF-8" in refused["ü-\\xff.parquet"]
    assert Unnamed("\\xfe.txt") in found
    assert not name_problem("12:30/a.csv")
    assert "stands before `:`" in name_problem("12:30/a[1].csv")


def test_a_link_that_leads_nowhere_is_refused(tmp_path) -> None:
    (tmp_path / "a.parquet").symlink_to(tmp_path / "gone")
    assert looked(DiskFolder(tmp_path)) == [Refused("a.parquet", "cannot be read: No such file or directory")]


@pytest.mark.parametrize(
    ("address", "said"),
    [("s3://bucket/old", "neither a path nor hdfs://"), ("hdfs:///old", "neither"), ("hdfs://nn/old", "webhdfs")],
)
def test_an_address_that_cannot_be_read_is_refused(address: str, said: str) -> None:
    with pytest.raises(TerminalError, match=said):
        open_folder(address)


PART = st.text("ab.", min_size=1, max_size=3).filter(lambda text: set(text) != {"."})


PATTERN = st.sampled_from(["*", "**", "a*", "*.b", "a"])


@given(st.lists(PART, min_size=1, max_size=4), st.lists(PATTERN, min_size=1, max_size=3))
def test_a_star_stays_within_a_part_and_two_are_any_number(parts: list[str], patterns: list[str]) -> None:
    name, pattern = "/".join(parts), "/".join(patterns)
    # pathlib's own `match` is anchored at the end; a root in front anchors both at the beginning as well.
    if "**" not in patterns:
        assert matches(name, pattern) == PurePosixPath(f"/{name}").match(f"/{pattern}")
    if matches(name, pattern):
        assert matches(f"x/{name}", f"**/{pattern}")
