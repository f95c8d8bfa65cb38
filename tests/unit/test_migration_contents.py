"""The content of files: lines counted through compression, hashes of what lies there, nothing cut off unseen."""

from __future__ import annotations

import errno
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from migration.sources.compression import plain_blocks
from migration.sources.contents import LONGEST_LINE_BYTES, LineCount, count_lines
from migration.sources.folders import READ_BYTES, DiskFolder
from migration.sources.formats import UnreadableError

TEXT = b"".join(b"line %d of the file\n" % number for number in range(50_000))
HALF = len(TEXT) // 2


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


def zstd_stream(content: bytes) -> bytes:
    """A frame whose header does not know the size, as programs write it that compress while they make the content."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def frame(window: int) -> bytes:
    """The begin of a zstd frame of this window descriptor."""
    return b"\x28\xb5\x2f\xfd" + bytes([0x00, window]) + b"\0" * 20


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def overwritten(content: bytes, place: int) -> bytes:
    """Damage that a frame without a checksum shows as well."""
    return content[:place] + b"\xff" * 99 + content[place + 99 :]


def found(folder: Path, name: str, content: bytes) -> tuple[int, bytes]:
    (folder / name).write_bytes(content)
    lines, sha256 = count_lines(DiskFolder(folder), name)
    assert sha256 == hashlib.sha256(content).hexdigest()
    return lines.count, lines.first


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.csv", TEXT, id="as it is"),
        pytest.param("a.csv.gz", gzip.compress(TEXT), id="gzip"),
        pytest.param("a.csv.gz", gzip.compress(TEXT[:HALF]) + gzip.compress(TEXT[HALF:]), id="two members"),
        pytest.param("a.csv.zst", zstd(TEXT), id="zstd"),
        pytest.param("a.csv.zst", zstd_stream(TEXT), id="zstd of unknown size"),
        pytest.param("a.csv.zst", zstd(TEXT[:HALF]) + zstd_stream(TEXT[HALF:]), id="two frames"),
    ],
)
def test_lines_are_counted_and_the_hash_is_of_the_bytes_that_lie_there(tmp_path, name, content) -> None:
    assert found(tmp_path, name, content) == (50_000, b"line 0 of the file")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_an_empty_file_has_no_lines(tmp_path, name) -> None:
    assert found(tmp_path, name, b"") == (0, b"")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("a.gz", gzip.compress(TEXT)[:-1], "its gzip stream ends in the middle", id="a byte is missing"),
        pytest.param("a.gz", gzip.compress(TEXT)[:5000], "ends in the middle", id="half is missing"),
        pytest.param("a.gz", gzip.compress(TEXT) + gzip.compress(TEXT)[:99], "ends in the middle", id="second member"),
        pytest.param("a.gz", flipped(gzip.compress(TEXT), 5000), "is damaged", id="a bit is flipped"),
        pytest.param("a.gz", gzip.compress(TEXT) + b"more", "followed by something else", id="more behind"),
        pytest.param("a.gz", TEXT, "is damaged", id="no gzip at all"),
        pytest.param("a.zst", zstd(TEXT)[:-1], "its zstd stream ends in the middle", id="zstd: a byte is missing"),
        pytest.param("a.zst", zstd_stream(TEXT)[:5000], "ends in the middle", id="zstd: half is missing"),
        pytest.param("a.zst", zstd(TEXT) + zstd(TEXT)[:99], "ends in the middle", id="zstd: second frame"),
        pytest.param("a.zst", overwritten(zstd(TEXT), 10), "is damaged", id="zstd: bytes are others"),
        pytest.param("a.zst", TEXT, "begins with no frame of zstd", id="no zstd at all"),
        pytest.param("a.zst", frame(0x68 + 8), "its zstd window is 16777216 bytes, wanted", id="a window of 16 MB"),
    ],
)
def test_a_file_that_cannot_be_decompressed_is_refused(tmp_path, name, content, says) -> None:
    with pytest.raises(UnreadableError, match=says):
        found(tmp_path, name, content)


def test_the_content_comes_in_blocks_of_bounded_size() -> None:
    packed = gzip.compress(b"\0" * (5 * READ_BYTES))  # 20 MB in 20 kB
    sizes = [len(block) for block in plain_blocks("a.gz", iter([packed]))]
    assert sum(sizes) == 5 * READ_BYTES
    assert max(sizes) <= READ_BYTES


def test_a_folder_that_fails_is_not_a_file_that_is_damaged() -> None:
    def blocks() -> Iterator[bytes]:
        yield gzip.compress(TEXT)[:1000]
        raise OSError(errno.EIO, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(plain_blocks("a.gz", blocks()))


@pytest.mark.parametrize(
    ("blocks", "longest"),
    [
        pytest.param([b"ab\ncd"], 2, id="in one block"),
        pytest.param([b"a\nbcd", b"efg", b"h\ni"], 7, id="over three blocks"),
        pytest.param([b"abc", b"def"], 6, id="without an end"),
        pytest.param([b"abc\n", b"d\n"], 3, id="ends where blocks end"),
    ],
)
def test_the_longest_line_that_no_block_holds_is_known(blocks, longest) -> None:
    lines = LineCount()
    for block in blocks:
        lines.take(block)
    assert lines.longest[0] == longest


def test_a_line_that_no_executor_could_hold_is_named(tmp_path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"header\nfirst\n")
        for _ in range(100):
            file.write(b"x" * 1024 * 1024)
        file.write(b"\nlast\n")
    with pytest.raises(UnreadableError, match=f"line 3 has 104857600 bytes, wanted at most {LONGEST_LINE_BYTES}"):
        count_lines(DiskFolder(tmp_path), "a.csv")
