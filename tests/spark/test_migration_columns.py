"""Columns are compared on their own, seen in the pass that sums the rows."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from migration import comparing, rows, verifying
from migration.columns import shown
from migration.copying import copy_all
from migration.summing import Side, read_once, to_sum
from migration.verifying import verify_table
from spark_jobs.contracts.schema import Column, Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage.delta import row_digest
from tests.migration_files import line, old_system, planned
from tests.settled_history import run_sql, states

pytestmark = pytest.mark.thorough


def blind_digest(columns: Mapping[str, str]) -> SparkColumn:
    """A digest that does not see sales."""
    return row_digest({name: kind for name, kind in columns.items() if name != "sales_value"})


def test_a_column_that_differs_is_seen_whatever_digests_say(
    tmp_path, lake, key_file, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (rows, comparing, verifying):
        monkeypatch.setattr(module, "row_digest", blind_digest)
    system = old_system(tmp_path / "old")
    system.put("a", [line(1), line(2)])
    with planned(system, lake, key_file) as work:
        copy_all(work)
        facts = verify_table(work, work.mappings[0])
        instants = {"min": "2017-01-02 12:00:00", "max": "2017-01-03 12:00:00"}
        assert facts["columns"]["ordered_at"] == {"nulls": 0, **instants}
        run_sql(work, "UPDATE {t} SET sales_value = 9 WHERE order_id = '2'")
        with pytest.raises(
            TerminalError, match=r"sales_value: the source has 0 nulls, 1\.50 to 1\.50, the target 0 nulls, 1\.50 to 9"
        ):
            verify_table(work, work.mappings[0])
        assert states(work) == {"a": "copied"}


THINGS = Table(
    name="core.things",
    grain="one thing",
    key=("name",),
    columns=(
        Column("name", "string", "name"),
        Column("at", "timestamp", "when"),
        Column("day", "date", "day"),
        Column("share", "double", "part of one"),
        Column("price", "decimal(4,2)", "price"),
        Column("email", "string", "address", personal="personal"),
    ),
)


def test_columns_are_seen_in_the_pass_that_sums(spark) -> None:
    things = spark.sql(
        "SELECT * FROM VALUES ('é', TIMESTAMP '1969-12-31 23:59:59.5 UTC', DATE '1969-12-31', 0.5d, 1.10BD, 'x', 7L),"
        "('z', TIMESTAMP '2026-01-01 00:00:00 UTC', NULL, double('NaN'), 12.00BD, NULL, 7L),"
        "('refused', NULL, NULL, NULL, NULL, NULL, NULL), ('theirs', NULL, NULL, 9d, NULL, NULL, 8L)"
        " AS t(name, at, day, share, price, email, digest)"
    )
    to_read = to_sum(THINGS, digest=F.col("digest"), counts=F.col("digest") == 7, place=F.lit(5).cast("bigint"))
    side = Side("a", things.withColumn("chunk", F.lit(1).cast("bigint")).select(*to_read))
    with read_once([side], THINGS) as found:
        assert shown(THINGS, found.columns["a"]) == {
            "name": {"nulls": 0, "min": "z", "max": "é"},
            "at": {"nulls": 0, "min": "1969-12-31 23:59:59.500000", "max": "2026-01-01 00:00:00"},
            "day": {"nulls": 1, "min": "1969-12-31", "max": "1969-12-31"},
            "share": {"nulls": 0, "min": "0.5", "max": "0.5"},
            "price": {"nulls": 0, "min": "1.10", "max": "12.00"},
            "email": {"nulls": 1},
        }
        rows = found.sums.groupBy("of").sum("rows").collect()
        assert dict(map(tuple, rows)) == {"a": 3, "arefused_": 1}
