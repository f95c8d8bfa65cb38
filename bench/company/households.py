"""The real side of the company: its households, with what the generator may know of their purchases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.company.visits import Purchase
from spark_jobs.errors import TerminalError

ATTRIBUTES = ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")
_PURCHASE = pa.struct([("occurred_at", pa.timestamp("us")), ("product_id", pa.string())])
SCHEMA = pa.schema(
    [
        pa.field("household_id", pa.int64(), nullable=False),
        pa.field("first_purchase_at", pa.timestamp("us"), nullable=False),  # UTC
        *(pa.field(name, pa.string()) for name in ATTRIBUTES),
        pa.field("purchases", pa.list_(_PURCHASE), nullable=False),  # live ones, in time order, UTC
    ]
)


@dataclass(frozen=True, slots=True)
class Household:
    """One household: attributes are empty where the data has none; purchases are those of the live months."""

    number: int
    first_purchase_at: datetime
    attributes: Mapping[str, str]
    purchases: tuple[Purchase, ...]


def read_households(path: Path) -> Iterator[Household]:
    """Households in the file's order; TerminalError where the file is missing or has other columns."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TerminalError(f"households {path} cannot be read: {error}; export them again") from error
    with file:
        missing = set(SCHEMA.names) - set(file.schema_arrow.names)
        if missing:
            raise TerminalError(f"households {path}: missing columns {sorted(missing)}; export them again")
        for batch in file.iter_batches(batch_size=512, columns=SCHEMA.names):
            for row in batch.cast(SCHEMA).to_pylist():
                yield _household(row)


def _household(row: Mapping[str, object]) -> Household:
    number, first, purchases = row["household_id"], row["first_purchase_at"], row["purchases"]
    assert isinstance(number, int)
    assert isinstance(first, datetime)
    assert isinstance(purchases, list)
    return Household(
        number=number,
        first_purchase_at=_utc(first),
        attributes={name: str(row[name] or "") for name in ATTRIBUTES},
        purchases=tuple((_utc(item["occurred_at"]), str(item["product_id"])) for item in purchases),
    )


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
