"""Files that are compressed, by their suffix: what is in them, and what of it Spark can read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from migration.sources.folders import READ_BYTES
from migration.sources.formats import UnreadableError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CODECS = {".gz": "gzip", ".zst": "zstd"}
# Hadoop's own codec of zstd needs native Hadoop, which Spark's packages have not; this one of theirs is plain Java.
HADOOP_CODECS = "io.airlift.compress.zstd.ZstdCodec"
# What that codec can look back; `zstd` does more with --ultra and --long alone.
ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_HEADER_BYTES = 18


class _Blocks(io.RawIOBase):
    """An iterator of blocks as a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._rest = self._rest or memoryview(next(self._blocks, b""))
        wanted = memoryview(buffer)
        taken = min(len(wanted), len(self._rest))
        wanted[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken


def plain_blocks(name: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of a file of this name, at most READ_BYTES at a time: its own blocks, or what they hold compressed.

    UnreadableError where they are cut off, damaged, or compressed in a way that Spark cannot read.
    """
    codec = next((codec for suffix, codec in _CODECS.items() if name.endswith(suffix)), None)
    if codec is None:
        yield from blocks
        return
    first = next(blocks, b"")
    if codec == "zstd" and first:
        _check_window(first[:_ZSTD_HEADER_BYTES].ljust(_ZSTD_HEADER_BYTES, b"\0"))
    try:
        with pa.CompressedInputStream(pa.PythonFile(_Blocks(chain([first], blocks))), codec) as stream:
            while block := stream.read(READ_BYTES):
                yield block
    except OSError as error:
        if error.errno is not None:  # the folder's own
            raise
        what = "ends in the middle" if "Truncated" in str(error) else "is damaged or followed by something else"
        raise UnreadableError(f"its {codec} stream {what}: {error}") from error


def _check_window(header: bytes) -> None:
    """UnreadableError where the first frame of zstd is none, or looks back further than Spark's codec can."""
    if not header.startswith(_ZSTD_MAGIC):
        raise UnreadableError("it begins with no frame of zstd")
    descriptor = header[4]
    if descriptor & 0x20:  # one segment: all of the content is the window
        begin = 5 + (0, 1, 2, 4)[descriptor & 3]
        width = (1, 2, 4, 8)[descriptor >> 6]
        window = int.from_bytes(header[begin : begin + width], "little")
    else:
        window = (8 + (header[5] & 7)) << (7 + (header[5] >> 3))
    if window > ZSTD_WINDOW_BYTES:
        raise UnreadableError(
            f"its zstd window is {window} bytes, wanted at most {ZSTD_WINDOW_BYTES}; compress it again without "
            "--ultra and --long"
        )
