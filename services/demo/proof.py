"""The proof: what Trino answers over the new tables equals what DuckDB counts in the package's own Parquet files.

Nothing of the platform stands between the package and DuckDB's side: neither the export nor a view. Only members who
never bought are no part of the package; the old system's members file names them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from services.demo import export_source
from services.demo.options import BASE, ZONE, Options
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
    """What the proof is about: the package's files, the members of the run, the calendar; its share of households."""

    package: Path
    members_file: Path
    zone: ZoneInfo
    base: datetime
    sample: float
    seed: int


def case_of(options: Options) -> Case:
    """The proof of a run of the demo."""
    members = options.files / "export" / "members.csv"
    return Case(export_source.package_folder(), members, ZONE, BASE, options.sample, options.seed)


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
        _take_lines(con, case)
        totals = dict(_totals(con.execute(_TOTALS).fetchall()[0]))
        yield from totals.items()
        yield from ((name, totals[of]) for name, of in _SEEN_AGAIN.items())
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


def _take_lines(con: duckdb.DuckDBPyConnection, case: Case) -> None:
    """The package's lines; of a sample, those of the households that its seed chooses from the package."""
    transactions = case.package / "transactions.parquet"
    con.execute(
        f"""CREATE TABLE lines AS
        SELECT household_id, basket_id, transaction_timestamp AS bought_at, CAST(sales_value AS {MONEY}) AS sales
        FROM read_parquet(?)""",
        [str(transactions)],
    )
    if case.sample < 1:
        chosen = export_source.sampled(con, case.package, seed=case.seed, sample=case.sample)
        con.execute("DELETE FROM lines WHERE household_id NOT IN (SELECT unnest(?))", [chosen])


# What must be the same again: in orders and events of the same purchases, and through the view that was switched.
_SEEN_AGAIN = {
    "orders": "baskets",
    "purchase events": "baskets",
    "lines that readers see": "lines",
    "sales that readers see": "sales",
}
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
    yield "orders", str(trino.ask("SELECT count(*) FROM lake.core.orders").one()[0])
    events = trino.ask("SELECT count(*) FROM lake.core.events WHERE name = 'purchase'")
    yield "purchase events", str(events.one()[0])
    seen = trino.ask(f"SELECT count(*), CAST(sum(sales_value) AS {MONEY}) FROM lake.sales.purchases").one()
    yield from zip(("lines that readers see", "sales that readers see"), map(str, seen), strict=True)
    months = trino.ask(
        f"""SELECT date_format(ordered_at AT TIME ZONE 'America/New_York', '%Y-%m'), CAST(sum(sales_value) AS {MONEY})
        FROM lake.core.order_lines GROUP BY 1 ORDER BY 1"""
    )
    yield from ((f"sales {month}", str(sales)) for month, sales in months.rows)
    for tag in ("silent", "dormant"):
        query = f"SELECT count(*) FROM lake.tags.current_tags WHERE tag = '{tag}' AND value = 'true'"
        yield f"{tag} members", str(trino.ask(query).one()[0])
