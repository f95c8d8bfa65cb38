"""Looks for clear phones in all that was written: raw bytes, and what Parquet, gzip, Kafka and Spark hold packed."""

from __future__ import annotations

import contextlib
import csv
import gzip
import mmap
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from kafka.record import MemoryRecords

from spark_jobs.contracts.identifiers import normalise, refusal

_BLOCK = 1 << 22
_OVERLAP = 128  # a phone whose digits take six bytes each, and blanks

# What people write between digits; a digit itself may be a full-width one, as UTF-8 or as an escape of JSON.
_BETWEEN = rb"[ -]?"
_FULL_WIDTH = ((b"\xef\xbc", re.compile(rb"\xef\xbc([\x90-\x99])")), (b"\\u", re.compile(rb"\\u[fF]{2}1([0-9])")))

# A block of Spark's LZ4 streams: magic, method and level, packed and unpacked length, checksum, data.
_LZ4_MAGIC = b"LZ4Block"
_LZ4_HEADER = struct.Struct("<8sBiiI")
_LZ4_PACKED = 0x20
_LZ4_MOST = 1 << 25  # bytes of one block, unpacked


def phones_of(members: Path) -> set[bytes]:
    """The national digits of every member's phone, whatever its spelling."""
    with members.open(encoding="utf-8", newline="") as file:
        values = [row["phone"] for row in csv.DictReader(file)]
    return {normalise("phone", value)[-11:].encode() for value in values if value and not refusal("phone", value)}


def clear_values_in(folder: Path, phones: set[bytes]) -> list[str]:
    """Files in which a phone stands in clear, in any spelling and any of the forms that a file may hide it in."""
    holds = _search_for(phones)
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(holds(block) for block in _contents(path))
    )


def _search_for(phones: set[bytes]) -> Callable[[bytes], bool]:
    """Whether a block holds one of the phones; its first digits are looked for first, which is quick."""
    begins = sorted({_BETWEEN.join(phone[n : n + 1] for n in range(3)) for phone in phones})
    candidate = re.compile(b"(?:" + b"|".join(begins) + b")(?:" + _BETWEEN + rb"\d){8}")

    def holds(block: bytes) -> bool:
        text, position = _with_plain_digits(block), 0
        while match := candidate.search(text, position):
            if re.sub(rb"\D", b"", match[0]) in phones:
                return True
            position = match.start() + 1  # a phone may stand behind other digits
        return False

    return holds


def _with_plain_digits(block: bytes) -> bytes:
    for mark, digit in _FULL_WIDTH:
        if mark in block:
            block = digit.sub(lambda match: b"%d" % (match[1][0] & 0x0F), block)
    return block


def _contents(path: Path) -> Iterator[bytes]:
    yield from _blocks(path)
    yield from _lz4_blocks(path)
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix == ".gz":
        yield gzip.decompress(path.read_bytes())
    elif path.suffix == ".log" and path.stem.isdigit():
        yield from _segment(path)


def _blocks(path: Path) -> Iterator[bytes]:
    before = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield before + block
            before = block[-_OVERLAP:]


def _lz4_blocks(path: Path) -> Iterator[bytes]:
    """What Spark packs: shuffle files, spilled rows and broadcasts."""
    if not path.stat().st_size:
        return
    codec, before = pa.Codec("lz4_raw"), b""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = data.find(_LZ4_MAGIC)
        while 0 <= position <= len(data) - _LZ4_HEADER.size:
            _, token, packed, unpacked, _ = _LZ4_HEADER.unpack_from(data, position)
            position += _LZ4_HEADER.size
            if 0 < packed <= _LZ4_MOST and 0 < unpacked <= _LZ4_MOST:
                block = data[position : position + packed]
                if token & 0xF0 == _LZ4_PACKED:
                    with contextlib.suppress(OSError, ValueError):  # it may not be written to its end yet
                        block = codec.decompress(block, unpacked, asbytes=True)
                yield before + block
                before = block[-_OVERLAP:]
            position = data.find(_LZ4_MAGIC, position)


def _segment(path: Path) -> Iterator[bytes]:
    """Keys and values of a segment of Kafka's log: producers pack their batches."""
    records = MemoryRecords(path.read_bytes())
    while (batch := records.next_batch()) is not None:
        for record in batch:
            yield (record.key or b"") + b"\n" + (record.value or b"")


def _parquet(path: Path) -> Iterator[bytes]:
    """Text and binary columns decoded: a compressed page would hide its words."""
    for batch in pq.ParquetFile(path).iter_batches():
        for column in batch.columns:
            for leaf in _leaves(column):
                yield b"\n".join(value for value in leaf.cast(pa.binary()).to_pylist() if value)


def _leaves(column: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_list(column.type):
        yield from _leaves(column.flatten())
    elif pa.types.is_struct(column.type):
        for field in column.flatten():
            yield from _leaves(field)
    elif pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        yield column
