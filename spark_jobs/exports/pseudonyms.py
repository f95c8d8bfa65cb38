"""Ids of persons and identifiers as one receiver knows them: what two receivers hold cannot be put together.

An id is the first 16 bytes, in hex, of HMAC-SHA-256(key of the receiver, id of the platform). The key is derived from
the root key (HKDF) and read on the executor from its file: it enters no plan, setting or closure.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.protection.keys import load_root_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BYTES = 16


def for_receiver(rows: DataFrame, name: str, *, receiver: str, key_file: Path) -> DataFrame:
    """Replace the column `name` (text or bytes, no nulls) by the receiver's ids, as text; it comes last."""
    kept = [field for field in rows.schema.fields if field.name != name]
    ddl = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in kept)

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return replaced(batches, name, receiver=receiver, key_file=key_file)

    return rows.mapInArrow(kernel, ", ".join(part for part in (ddl, f"`{name}` string") if part))


def replaced(
    batches: Iterable[pa.RecordBatch], name: str, *, receiver: str, key_file: Path
) -> Iterator[pa.RecordBatch]:
    """The batches with column `name` replaced and last; each distinct value is hashed once."""
    key = load_root_keys(key_file).derive(f"export/{receiver}")
    for batch in batches:
        encoded = pc.dictionary_encode(batch.column(name))
        values = encoded.dictionary.cast(pa.binary()).to_pylist()
        ids = pa.array([hmac.digest(key, value, "sha256")[:BYTES].hex() for value in values], pa.string())
        kept = [column for column in batch.schema.names if column != name]
        arrays = [*(batch.column(column) for column in kept), ids.take(encoded.indices)]
        yield pa.RecordBatch.from_arrays(arrays, names=[*kept, name])
