"""Source records become rows of the target's contract, each with a place: good, or refused with a reason.

The way of a row is scan, fields, rules, `protect`: one stage, pipelined, without a shuffle. Everything after `protect`
may be shuffled, cached and written, because nothing clear is left in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.mapping import Mapping, TokenOf, TokensOf
from migration.protect import ClearColumn, protect
from migration.rules import apply_rules
from migration.sources.lines import position_of
from spark_jobs.contracts.core import WORKSPACE
from spark_jobs.contracts.erasing import moment_of
from spark_jobs.contracts.schema import Table
from spark_jobs.protection.tombstones import ERASED, NO_STONES, Stones, mark
from spark_jobs.storage.delta import row_digest

# What a mapped row carries beside the target's columns.
PLACE = ("reason", "left_out", "block_start", "line")
# What is kept of a refused record.
REFUSED = ("origin", "block_start", "line", "reason", "sealed", "kid")


def mapped_rows(
    records: DataFrame,
    header: Sequence[str],
    mapping: Mapping,
    *,
    workspace: str,
    key_file: Path,
    stones: Stones = NO_STONES,
) -> DataFrame:
    """Rows of the target table and their place.

    In:  records (`Source.records`) of this header; the tombstones of persons who are kept out.
    Out: the contract's columns in its order and types, and PLACE; `reason` is null where the row is good.
    """
    typed = apply_rules(records.drop("raw"), header, mapping)
    # Rows without identifiers have nothing to do in Python: it would take longer than all the rest.
    safe = protect(typed, _clear_columns(mapping), key_file=key_file) if mapping.identifiers else typed
    if not mapping.identifiers:
        safe = safe.withColumn("left_out", F.lit(0).cast("bigint"))
    columns = {**_token_values(mapping), WORKSPACE.name: F.lit(workspace)}
    columns["origin_position"] = position_of(F.col("block_start"), F.col("line"))
    contract = [columns.get(name, F.col(name)).cast(kind).alias(name) for name, kind in mapping.table.types.items()]
    return kept_out(safe.select(*contract, *PLACE), mapping.table, stones, key_file=key_file)


def refused_rows(
    records: DataFrame, header: Sequence[str], mapping: Mapping, *, key_file: Path, stones: Stones = NO_STONES
) -> DataFrame:
    """REFUSED of the records that the target does not get, their bytes sealed; the same that `mapped_rows` refuses.

    No bytes are kept of a record that carries an identifier of an erased person.
    """
    typed = apply_rules(records, header, mapping)
    if not mapping.identifiers and not stones:
        typed = typed.where(~is_good())
    safe = protect(typed, _clear_columns(mapping), key_file=key_file)
    if stones and mapping.identifiers:
        safe = safe.withColumns(_token_values(mapping))
    return kept_out(safe, mapping.table, stones, key_file=key_file).where(~is_good()).select(*REFUSED)


def kept_out(rows: DataFrame, table: Table, stones: Stones, *, key_file: Path) -> DataFrame:
    """Refuse the rows of erased persons, and take their identifiers out of those of others (counted in `left_out`).

    In: rows with the tokens and moments of the table, `reason`, `left_out` and maybe `sealed`. Out: the same columns.
    """
    if not stones or "subject_token" not in table.column_names:
        return rows
    marked = mark(rows, stones, key_file=key_file, moment=moment_of(table))
    is_theirs = F.coalesce(F.array_contains("erased", F.col("subject_token")), F.lit(False))
    columns = {
        "reason": F.when(is_theirs, F.lit(ERASED)).otherwise(F.col("reason")),
        "left_out": F.col("left_out") + F.when(is_theirs, F.lit(0)).otherwise(F.size("erased")),
    }
    if "identifiers" in rows.columns:
        columns["identifiers"] = F.filter(
            "identifiers",
            lambda one: ~F.coalesce(F.array_contains(F.col("erased"), one.getField("token")), F.lit(False)),
        )
    if "sealed" in rows.columns:
        columns["sealed"] = F.when(F.size("erased") == 0, F.col("sealed"))
    return marked.withColumns(columns).drop("erased")


def is_good() -> Column:
    """True for the rows that belong into the target."""
    return F.col("reason").isNull()


def place_of(line: str) -> Column:
    """The hash of where a record lies in its chunk; of a refused one it stands for the record itself."""
    return F.xxhash64("block_start", line)


def digest_of(mapping: Mapping) -> Column:
    """The row digest by the target's contract; null where the row is refused."""
    return F.when(is_good(), row_digest(mapping.table.types))


def _clear_columns(mapping: Mapping) -> list[ClearColumn]:
    nullable = {column.name: column.nullable for column in mapping.table.columns}
    required = {r.identifier for r in mapping.rules if isinstance(r, TokenOf) and not nullable[r.target]}
    return [ClearColumn(n, identifier, identifier in required) for n, identifier in enumerate(mapping.identifiers)]


def _token_values(mapping: Mapping) -> dict[str, Column]:
    number = {identifier: n for n, identifier in enumerate(mapping.identifiers)}
    values: dict[str, Column] = {}
    for rule in mapping.rules:
        if isinstance(rule, TokenOf):
            values[rule.target] = F.col(f"token_{number[rule.identifier]}")
        if isinstance(rule, TokensOf):
            found = [
                F.struct(
                    F.lit(identifier.type_name).alias("type"),
                    F.lit(identifier.scope).alias("scope"),
                    F.col(f"token_{number[identifier]}").alias("token"),
                    F.col("kid"),
                )
                for identifier in rule.identifiers
            ]
            values[rule.target] = F.filter(F.array(*found), lambda one: one.getField("token").isNotNull())
    return values
