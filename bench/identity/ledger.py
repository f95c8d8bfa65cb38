"""A ledger of links as the identity job keeps it, without the events that it came from."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import functions as F

from bench.identity.links import sizes
from spark_jobs.contracts.identity import IDENTIFIERS, IDENTITY_LINKS
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction

_MOMENT = "TIMESTAMP '2026-01-01 00:00:00'"


def write_ledger(lake: Lake, links: Path, count: int) -> None:
    """Persons are members, seven tenths of the others phones, the rest devices; every link was proved by a login."""
    persons, total = sizes(count)
    other = "CASE WHEN identifier_no % 10 < 7 THEN 'phone' ELSE 'device' END"
    numbered = lake.spark.range(total).withColumnRenamed("id", "identifier_no")
    identifiers = numbered.selectExpr(
        "identifier_no", f"if(identifier_no < {persons}, 'member_no', {other}) AS type", "'' AS scope",
        "unhex(lpad(hex(identifier_no), 32, '0')) AS token", "'k' AS kid", "'bench' AS run_id",
        f"{_MOMENT} + make_interval(0, 0, 0, 0, 0, 0, identifier_no % 1000000) AS first_seen_at",
    )  # fmt: skip
    pairs = lake.spark.read.parquet(str(links)).selectExpr("least(a, b) AS a", "greatest(a, b) AS b").where("a <> b")
    written = pairs.distinct().selectExpr(
        "concat(a, '/', b) AS link_id", "a AS identifier_a", "b AS identifier_b", "'co_occurrence' AS kind",
        "true AS authenticated", "'bench' AS source", "concat('e', a) AS event_id", "1L AS observations",
        f"{_MOMENT} AS first_seen_at", f"{_MOMENT} AS last_seen_at", "CAST(NULL AS string) AS author",
        "CAST(NULL AS string) AS reason", "'bench' AS rule_version", "'bench' AS run_id",
    )  # fmt: skip
    for table, rows in ((IDENTIFIERS, identifiers), (IDENTITY_LINKS, written)):
        delta.ensure(lake, table)
        columns = [F.col(column.name).cast(column.type) for column in table.columns]
        delta.append(rows.select(*columns), lake, table, once=Transaction(f"bench/{table.name}", 1))
