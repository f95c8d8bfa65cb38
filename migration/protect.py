"""The one place where clear identifiers and raw records leave the rows: they go in, tokens and sealed bytes come out.

One kernel does both, because only here it is known which records are refused for an identifier. It stands directly
above the parse: before it there is no shuffle, no sort and no cache, so nothing clear reaches a disk (see `rows.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from migration.mapping import Identifier
from spark_jobs.protection.sealing import seal_batches
from spark_jobs.protection.tokens import TokenColumn, tokenise_batches


@dataclass(frozen=True, slots=True)
class ClearColumn:
    """The text column `clear_N` holds one identifier; a required one refuses the row where it is missing."""

    number: int
    identifier: Identifier
    is_required: bool


def protect(rows: DataFrame, columns: Sequence[ClearColumn], *, key_file: Path) -> DataFrame:
    """Tokens in place of clear identifiers, sealed bytes in place of raw records, where the rows have `raw`.

    In:  rows with `clear_0`..., `reason` (null where the row is good so far), and maybe `raw` (the record's bytes).
    Out: the same rows with `token_0`... (16 bytes or null), `kid`, `reason` completed, `left_out`: how many identifiers
         that mean nobody were left out of the row, and `sealed` (null where good or where there is no `raw`).
    """
    leaving = {"raw", "reason", *(f"clear_{column.number}" for column in columns)}
    kept = [field for field in rows.schema.fields if field.name not in leaving]
    names = [field.name for field in kept]
    tokens = [f"token_{column.number}" for column in columns]
    ddl = ", ".join(
        [f"`{field.name}` {field.dataType.simpleString()}" for field in kept]
        + [f"`{name}` binary" for name in tokens]
        + ["reason string", "left_out bigint", "sealed binary", "kid string"]
    )
    wanted, has_raw = tuple(columns), "raw" in rows.columns

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return protect_batches(batches, wanted, names, key_file=key_file, has_raw=has_raw)

    return rows.mapInArrow(kernel, ddl)


def protect_batches(
    batches: Iterable[pa.RecordBatch],
    columns: Sequence[ClearColumn],
    kept: Sequence[str],
    *,
    key_file: Path,
    has_raw: bool = True,
) -> Iterator[pa.RecordBatch]:
    """The kernel of `protect`: whole batches in, whole batches out."""
    wanted = [_token_column(column) for column in columns]
    carried = [*kept, "reason", *(["raw"] if has_raw else [])]
    refused = (
        _refused(batch, columns, kept) for batch in tokenise_batches(batches, wanted, carried, key_file=key_file)
    )
    return seal_batches(refused, "sealed", key_file=key_file)


def _token_column(column: ClearColumn) -> TokenColumn:
    n, identifier = column.number, column.identifier
    return TokenColumn(f"clear_{n}", f"token_{n}", identifier.type_name, identifier.scope, f"refused_{n}")


def _refused(batch: pa.RecordBatch, columns: Sequence[ClearColumn], kept: Sequence[str]) -> pa.RecordBatch:
    """The batch with one reason a row, and the raw bytes only where there is a reason."""
    # A row that the parse refused has no clear identifiers any more: its first reason stands.
    reasons, left_out = [batch.column("reason")], pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
    for column in columns:
        why = batch.column(f"refused_{column.number}")
        if column.is_required:
            is_missing = pc.and_(pc.is_null(batch.column(f"token_{column.number}")), pc.is_null(why))
            why = pc.if_else(is_missing, pa.scalar("missing"), why)
        if column.identifier.may_be_left_out:
            left_out = pc.add(left_out, pc.cast(pc.is_valid(why), pa.int64()))
        else:
            reasons.append(pc.binary_join_element_wise(f"{column.identifier.source}: ", why, ""))
    reason = pc.coalesce(*reasons)
    raw = batch.column("raw") if "raw" in batch.schema.names else pa.nulls(batch.num_rows, pa.binary())
    sealed = pc.if_else(pc.is_null(reason), pa.scalar(None, pa.binary()), raw)
    tokens = [f"token_{column.number}" for column in columns]
    arrays = [batch.column(name) for name in (*kept, *tokens)]
    names = [*kept, *tokens, "reason", "left_out", "sealed"]
    return pa.RecordBatch.from_arrays([*arrays, reason, left_out, sealed], names=names)
