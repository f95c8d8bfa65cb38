"""CSV files as an old system would give them, and the households that the generator starts from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from services.demo.export_source import HISTORY_MONTHS, LIVE_SINCE, YEAR, local_midnight, sql_moment, sql_text

_TRANSACTIONS = (
    "household_id, store_id, basket_id, product_id, quantity, sales_value, retail_disc, coupon_disc, "
    "coupon_match_disc, week, strftime(transaction_timestamp, '%Y-%m-%d %H:%M:%S') AS transaction_timestamp"
)
# File name, query. Dates are days of the workspace's calendar.
_DIMENSIONS = {
    "products.csv": "SELECT * FROM products ORDER BY product_id",
    "campaigns.csv": "SELECT campaign_id, campaign_type, CAST(start_date AS DATE) AS start_date, "
    "CAST(end_date AS DATE) AS end_date FROM campaign_descriptions ORDER BY campaign_id",
    "campaign_targets.csv": "SELECT campaign_id, household_id FROM campaigns ORDER BY campaign_id, household_id",
    "coupon_redemptions.csv": "SELECT household_id, coupon_upc, campaign_id, "
    "CAST(redemption_date AS DATE) AS redemption_date FROM coupon_redemptions "
    "ORDER BY redemption_date, household_id, coupon_upc, campaign_id",
}
_ATTRIBUTES = "d.age, d.income, d.home_ownership, d.marital_status, d.household_size, d.household_comp, d.kids_count"


def month_file(month: int) -> str:
    """Name of the transactions file of one month of the workspace's calendar."""
    return f"transactions-{YEAR}-{month:02d}.csv"


def write_transactions(con: duckdb.DuckDBPyConnection, folder: Path) -> list[Path]:
    """One file per month of history, oldest sale first; months are those of the workspace's calendar."""
    folder.mkdir(parents=True)
    files = []
    for month in HISTORY_MONTHS:
        within = _between(local_midnight(YEAR, month), local_midnight(YEAR, month + 1))
        query = (
            f"SELECT {_TRANSACTIONS} FROM transactions WHERE {within} "
            "ORDER BY transactions.transaction_timestamp, basket_id, product_id"
        )
        files.append(folder / month_file(month))
        _copy_csv(con, query, files[-1])
    return files


def write_dimensions(con: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, int]:
    """Products, campaigns, their targets and redemptions; rows by file name."""
    return {name: _copy_csv(con, query, folder / name) for name, query in _DIMENSIONS.items()}


def write_households(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """One row per household for the generator: first purchase, attributes, live baskets with one product each."""
    con.execute(f"""
        COPY (
            WITH baskets AS (
                SELECT household_id, basket_id, min(transaction_timestamp) AS occurred_at,
                       CAST(first(product_id ORDER BY sales_value DESC, product_id) AS VARCHAR) AS product_id
                FROM transactions WHERE transaction_timestamp >= {sql_moment(LIVE_SINCE)} GROUP BY ALL
            ), live AS (
                SELECT household_id, list(struct_pack(occurred_at, product_id) ORDER BY occurred_at, basket_id)
                    AS purchases
                FROM baskets GROUP BY household_id
            ), first AS (
                SELECT household_id, min(transaction_timestamp) AS first_purchase_at
                FROM transactions GROUP BY household_id
            )
            SELECT first.household_id, first_purchase_at, {_ATTRIBUTES}, coalesce(purchases, []) AS purchases
            FROM first LEFT JOIN live USING (household_id) LEFT JOIN demographics d USING (household_id)
            ORDER BY first.household_id
        ) TO {sql_text(path)} (FORMAT parquet)
    """)


def source_totals(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int | str]]:
    """Lines, baskets, households and sales of all, of history and of the live months; sales as decimal text."""
    live = f"transaction_timestamp >= {sql_moment(LIVE_SINCE)}"
    return {name: _totals(con, where) for name, where in (("all", "true"), ("history", f"NOT {live}"), ("live", live))}


def _totals(con: duckdb.DuckDBPyConnection, where: str) -> dict[str, int | str]:
    row = con.execute(
        "SELECT count(*), count(DISTINCT basket_id), count(DISTINCT household_id), "
        f"CAST(coalesce(sum(sales_value), 0) AS DECIMAL(18,2)) FROM transactions WHERE {where}"
    ).fetchall()[0]
    return {"lines": row[0], "baskets": row[1], "households": row[2], "sales_value": str(row[3])}


def _between(since: datetime, until: datetime) -> str:
    name = "transactions.transaction_timestamp"
    return f"{name} >= {sql_moment(since)} AND {name} < {sql_moment(until)}"


def _copy_csv(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    rows: int = con.execute(f"COPY ({query}) TO {sql_text(path)} (FORMAT csv, HEADER, NULLSTR '')").fetchall()[0][0]
    return rows
