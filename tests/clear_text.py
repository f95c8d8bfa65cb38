"""Looks for clear identifiers in all that was written: raw bytes, and what Parquet, gzip and Kafka hold packed."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from kafka.record import MemoryRecords

from spark_jobs.contracts.identifiers import normalise, refusal

_BLOCK = 1 << 22
_OVERLAP = 32


def phones_of(members: Path) -> set[bytes]:
    """The national digits of every member's phone, whatever its spelling."""
    with members.open(encoding="utf-8", newline="") as file:
        values = [row["phone"] for row in csv.DictReader(file)]
    return {normalise("phone", value)[-11:].encode() for value in values if value and not refusal("phone", value)}


def clear_values_in(folder: Path, phones: set[bytes]) -> list[str]:
    """Files in which a phone stands in clear, in any of the forms that a file may hide it in."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(_holds(block, phones) for block in _contents(path))
    )


def _holds(block: bytes, phones: set[bytes]) -> bool:
    # Every run of eleven digits, overlapping ones too: a phone may stand behind other digits.
    return any(
        run[start : start + 11] in phones for run in re.findall(rb"\d{11,}", block) for start in range(len(run) - 10)
    )


def _contents(path: Path) -> Iterator[bytes]:
    yield from _blocks(path)
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
