"""The proof: what Trino answers over the new tables equals what DuckDB counts in the package's own Parquet files.

Nothing of the platform stands between the package and DuckDB's side: neither the export nor a view.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from spark_jobs.errors import TerminalError
from trino_catalog.connection import Trino

MONEY = "decimal(18,2)"
DORMANT_AFTER = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Check:
    """One figure from both sides; text, so that money is compared to the cent."""

    name: str
    wanted: str
    found: str

    @property
    def holds(self) -> bool:
        """True where both sides say the same."""
        return self.wanted == self.found


@dataclass(frozen=True, slots=True)
class Case:
    """What the proof is about: the package's files, the members of the run, the calendar."""

    package: Path
    members_file: Path
    zone: ZoneInfo
    base: datetime


def prove(case: Case, trino: Trino) -> list[Check]:
    """All figures from both sides; the caller decides what a difference means."""
    wanted = dict(_wanted(case))
    found = dict(_found(trino))
    if set(wanted) != set(found):
        raise TerminalError(f"the proof compares {sorted(wanted)} with {sorted(found)}; both sides must name the same")
    return [Check(name, value, found[name]) for name, value in wanted.items()]


def _wanted(case: Case) -> Iterable[tuple[str, str]]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(
            "CREATE TABLE members AS SELECT member_no FROM read_csv(?, header = true, all_varchar = true)",
            [str(case.members_file)],
        )
        con.execute(
            f"""CREATE TABLE lines AS
            SELECT household_id, basket_id, transaction_timestamp AS bought_at, CAST(sales_value AS {MONEY}) AS sales
            FROM read_parquet(?) WHERE CAST(household_id AS varchar) IN (SELECT member_no FROM members)""",
            [str(case.package / "transactions.parquet")],
        )
        yield from _totals(con.execute(_TOTALS).fetchall()[0])
        yield from _months(con, case.zone)
        (silent,) = con.execute(
            "SELECT count(*) FROM members WHERE member_no NOT IN (SELECT CAST(household_id AS varchar) FROM lines)"
        ).fetchall()[0]
        yield "silent members", str(silent)
        # More than 90 days of the workspace's calendar after the last purchase.
        limit = _utc(case.base.astimezone(case.zone).replace(tzinfo=None) - DORMANT_AFTER, case.zone)
        (dormant,) = con.execute(
            "SELECT count(*) FROM (SELECT max(bought_at) AS last FROM lines GROUP BY household_id) WHERE last < ?",
            [limit],
        ).fetchall()[0]
        yield "dormant members", str(dormant)


_TOTALS = f"""SELECT count(*), count(DISTINCT basket_id), count(DISTINCT household_id), CAST(sum(sales) AS {MONEY})
FROM lines"""


def _totals(row: tuple[object, ...]) -> Iterable[tuple[str, str]]:
    yield from zip(("lines", "baskets", "households", "sales"), map(str, row), strict=True)


def _months(con: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> Iterable[tuple[str, str]]:
    """Sales by month of the workspace's calendar; the borders are computed here, so no zone data is needed there."""
    ((first, last),) = con.execute("SELECT min(bought_at), max(bought_at) FROM lines").fetchall()
    month = first.replace(tzinfo=UTC).astimezone(zone).replace(day=1, hour=0, minute=0, second=0, tzinfo=None)
    while _utc(month, zone) <= last:
        after = (month + timedelta(days=32)).replace(day=1)
        span = [_utc(month, zone), _utc(after, zone)]
        query = f"SELECT CAST(coalesce(sum(sales), 0) AS {MONEY}) FROM lines WHERE bought_at >= ? AND bought_at < ?"
        yield f"sales {month:%Y-%m}", str(con.execute(query, span).fetchall()[0][0])
        month = after


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    """A moment of the workspace's calendar as UTC without zone, as the package writes it."""
    return local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def _found(trino: Trino) -> Iterable[tuple[str, str]]:
    totals = trino.ask(
        f"""SELECT count(*), count(DISTINCT order_id), count(DISTINCT subject_token), CAST(sum(sales_value) AS {MONEY})
        FROM lake.core.order_lines"""
    )
    yield from _totals(totals.one())
    months = trino.ask(
        f"""SELECT date_format(ordered_at AT TIME ZONE 'America/New_York', '%Y-%m'), CAST(sum(sales_value) AS {MONEY})
        FROM lake.core.order_lines GROUP BY 1 ORDER BY 1"""
    )
    yield from ((f"sales {month}", str(sales)) for month, sales in months.rows)
    for tag in ("silent", "dormant"):
        query = f"SELECT count(*) FROM lake.tags.person_tags WHERE tag = '{tag}' AND value = 'true'"
        yield f"{tag} members", str(trino.ask(query).one()[0])
