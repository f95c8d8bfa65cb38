"""A scan of every file below a folder for bytes that must not be there any more: the proof of an erasure.

It believes no log: Parquet files are read whether a table names them or not, all their columns, decompressed; of all
other files (logs, checkpoints, manifests) the bytes themselves are searched. For local folders, such as a test's lake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq


def files_with(folder: Path, needles: Sequence[bytes]) -> dict[bytes, list[str]]:
    """Each needle that was found, and the files (relative to the folder) that hold it; empty where none is."""
    found: dict[bytes, list[str]] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        for needle in sorted(_found_in(path, needles)):
            found.setdefault(needle, []).append(str(path.relative_to(folder)))
    return found


def _found_in(path: Path, needles: Sequence[bytes]) -> set[bytes]:
    left, found = set(needles), set[bytes]()
    for piece in _pieces(path):
        if hits := {needle for needle in left if needle in piece}:
            found |= hits
            left -= hits
        if not left:
            break
    return found


def _pieces(path: Path) -> Iterator[bytes]:
    """The file as it is; of Parquet also the values of each column, as they are in memory: unpacked."""
    yield path.read_bytes()
    # Hadoop's sums stand beside the files, under a name of the same ending.
    if path.suffix != ".parquet" or path.name.startswith("."):
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for column in batch.columns:
                yield from (bytes(buffer) for buffer in column.buffers() if buffer is not None)
