"""What each column holds on a side: nulls, lowest and highest value, looked at in the pass that sums the rows.

A row's digest covers all of its columns; this is a second proof that does not rest on digests, and one that an auditor
can read. Workspace and origin are left out: they are ours, not the source's. Of personal and nested columns only nulls
are counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Keys
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from spark_jobs.contracts.core import ORIGIN, WORKSPACE
from spark_jobs.contracts.schema import Column, Table

_SENT = "column "  # no column of a contract begins so
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - shown as Spark shows time stamps: in UTC, without saying so
_NESTED = ("array", "binary", "map", "struct")


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """Nulls and extremes of one column; instants are microseconds since 1970, days are days."""

    nulls: int = 0
    lowest: Any = None
    highest: Any = None

    def __add__(self, other: ColumnFacts) -> ColumnFacts:
        """Those of both sets of rows together."""
        lowest = [value for value in (self.lowest, other.lowest) if value is not None]
        highest = [value for value in (self.highest, other.highest) if value is not None]
        return ColumnFacts(
            self.nulls + other.nulls,
            min(lowest, default=None),
            max(highest, default=None),
        )


Facts = Keys[str, ColumnFacts]


def to_look_at(table: Table) -> list[SparkColumn]:
    """What `seen` wants of a row: of each column a value that can be compared, or whether there is one."""
    return [_sent(column).alias(f"{_SENT}{column.name}") for column in _columns(table)]


def _sent(column: Column) -> SparkColumn:
    value = F.col(column.name)
    if not _has_extremes(column):
        return F.when(value.isNotNull(), F.lit(True))
    # The same in Python whatever its time zone.
    return {"timestamp": F.unix_micros, "date": F.unix_date}.get(column.type, lambda same: same)(value)


def seen(table: Table, batch: pa.RecordBatch) -> Facts:
    """Facts of the columns of a batch of rows that has `to_look_at`."""
    return {column.name: _seen(column, batch.column(f"{_SENT}{column.name}")) for column in _columns(table)}


def _seen(column: Column, values: pa.Array) -> ColumnFacts:
    if not _has_extremes(column):
        return ColumnFacts(values.null_count)
    found = pc.min_max(values).as_py()
    return ColumnFacts(values.null_count, _plain(found["min"]), _plain(found["max"]))


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    """One zero, and nothing where there was nothing that is a number: of others Arrow passes over what is none."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else value + 0.0


def together(several: Iterable[Facts], table: Table) -> Facts:
    """Facts of all these sets of rows together."""
    found: Facts = {column.name: ColumnFacts() for column in _columns(table)}
    for one in several:
        found = {name: facts + one[name] for name, facts in found.items()}
    return found


def packed(facts: Facts) -> bytes:
    """Facts as a task gives them back."""
    return json.dumps({name: astuple(one) for name, one in facts.items()}, default=str).encode()


def unpacked(table: Table, content: bytes) -> Facts:
    """The facts that were packed."""
    found = json.loads(content)
    return {c.name: ColumnFacts(found[c.name][0], *(_typed(c, v) for v in found[c.name][1:])) for c in _columns(table)}


def _typed(column: Column, value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    return Decimal(value) if column.type.startswith("decimal") and value is not None else value


def differences(table: Table, source: Facts, target: Facts) -> Iterator[str]:
    """Each column in which the sides differ, in words."""
    wanted, found = shown(table, source), shown(table, target)
    for name in wanted:
        if source[name] != target[name]:
            yield f"column {name}: the source has {_words(wanted[name])}, the target {_words(found[name])}"


def shown(table: Table, facts: Facts) -> dict[str, dict[str, Any]]:
    """What an auditor reads of each column: nulls, and the extremes as text where they may be told."""
    found: dict[str, dict[str, Any]] = {}
    for column in _columns(table):
        one = facts[column.name]
        extremes = {"min": _text(one.lowest, column), "max": _text(one.highest, column)}
        found[column.name] = {"nulls": one.nulls, **(extremes if _has_extremes(column) else {})}
    return found


def _columns(table: Table) -> list[Column]:
    own = {column.name for column in (WORKSPACE, *ORIGIN)}
    return [column for column in table.columns if column.name not in own]


def _has_extremes(column: Column) -> bool:
    return column.personal == "none" and not column.type.startswith(_NESTED)


def _text(value: Any, column: Column) -> str | None:  # noqa: ANN401 - whatever a column holds
    if value is None or isinstance(value, str):
        return value
    if column.type in ("timestamp", "date"):
        is_day = column.type == "date"
        try:
            moment = _EPOCH + (timedelta(days=value) if is_day else timedelta(microseconds=value))
        except OverflowError:
            return f"{value:,} {'days' if is_day else 'microseconds'} since 1970"
        return str(moment.date() if is_day else moment)
    return str(value).lower()


def _words(facts: Keys[str, Any]) -> str:
    extremes = f", {facts['min']} to {facts['max']}" if facts.get("min") is not None else ""
    return f"{facts['nulls']:,} nulls{extremes}"
