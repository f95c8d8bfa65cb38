"""A tiny package of purchases with the columns of the real one, for tests of the export."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.demo import export_source

HOUSEHOLDS = 12
NOISE = 1.776357e-15  # as in the package


def transactions() -> list[dict[str, Any]]:
    """Two baskets a week and household for a year, two lines each; the last days of October have more."""
    rows = []
    for basket in range(HOUSEHOLDS * 104):
        moment = datetime(2017, 1, 1, 12) + timedelta(hours=basket * 8760 // (HOUSEHOLDS * 104), seconds=basket % 60)  # noqa: DTZ001 - as in the package
        rows += [
            {
                "household_id": 1 + basket % HOUSEHOLDS,
                "store_id": 300 + basket % 5,
                "basket_id": 31_000_000_000 + basket,
                "product_id": 1_000_000 + (basket * 7 + line) % 900,
                "quantity": basket % 3,
                "sales_value": 0.1 * (basket % 70) + NOISE,
                "retail_disc": 0.3,
                "coupon_disc": 0.0,
                "coupon_match_disc": NOISE,
                "week": 1,
                "transaction_timestamp": moment,
            }
            for line in range(2)
        ]
    return rows


def write_package(folder: Path) -> None:
    """The package's Parquet files under `folder`."""
    day = datetime(2017, 3, 3)  # noqa: DTZ001 - as in the package
    products = [(n, 69, "GROCERY", "National", "BREAD, FRESH", None, None) for n in range(1_000_000, 1_000_900)]
    tables: dict[str, list[dict[str, Any]]] = {
        "transactions": transactions(),
        "products": [dict(zip(export_source._COLUMNS["products"], row, strict=True)) for row in products],
        "campaign_descriptions": [{"campaign_id": 1, "campaign_type": "Type B", "start_date": day, "end_date": day}],
        "campaigns": [{"campaign_id": 1, "household_id": n} for n in (2, 3)],
        "coupon_redemptions": [{"household_id": 2, "coupon_upc": 9, "campaign_id": 1, "redemption_date": day}],
        "demographics": [
            {
                "household_id": 3,
                **dict.fromkeys(export_source._COLUMNS["demographics"][1:], "x"),
                "home_ownership": None,
            }
        ],
    }
    schema = pa.schema([pa.field("product_type", pa.string()), pa.field("package_size", pa.string())])
    for name, rows in tables.items():
        table = pa.Table.from_pylist(rows)
        for field in schema if name == "products" else ():
            table = table.set_column(table.schema.get_field_index(field.name), field, [pa.nulls(len(rows), field.type)])
        pq.write_table(table, folder / f"{name}.parquet", coerce_timestamps="us")
