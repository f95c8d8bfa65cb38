"""`python -m services.demo.planting`: takes one migrated row out of core.order_lines, to see the proof turn red."""

from __future__ import annotations

import argparse
import json
import sys

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.errors import ended
from spark_jobs.settings import Settings, load
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.session import session


def main() -> int:
    """Delete the first row of history by its key; prints which."""
    parser = argparse.ArgumentParser(prog="python -m services.demo.planting", description=__doc__)
    parser.add_argument("--settings", metavar="FILE", help="default: what DATABANK_SETTINGS names")
    args = parser.parse_args()
    return ended("planting", lambda: _plant(load(args.settings)))


def _plant(settings: Settings) -> int:
    with session(settings.spark, "databank plants a missing row") as spark:
        lake = Lake(spark, settings.storage_root)
        history = delta.read(lake, ORDER_LINES).where(F.col("origin").startswith("migration/"))
        row = history.orderBy("ordered_at", "order_id", "product_id").limit(1).collect()[0]
        is_row = F.lit(True)
        for name in ("ordered_date", *ORDER_LINES.key):
            is_row = is_row & (F.col(name) == F.lit(row[name]))
        DeltaTable.forPath(spark, lake.path_of(ORDER_LINES)).delete(is_row)
    sys.stdout.write(json.dumps({"order_id": row["order_id"], "product_id": row["product_id"]}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
