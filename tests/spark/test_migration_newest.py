"""Several versions of one record: the newest stays by the declared column, wherever and whenever it came."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from pyspark.sql import functions as F

from migration.copying import copy_all
from migration.deriving import Changed, derive
from migration.healing import heal
from migration.settling import LIVE, Settled, key_hashes, losers_of, settle
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import EVENTS, MEMBERS, ORDER_LINES, ORDERS
from spark_jobs.ingest.purchases import orders_from_lines, purchase_events
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from tests.migration_files import TOUCHPOINT, line, old_system, planned
from tests.settled_history import sales

pytestmark = pytest.mark.thorough

NEWEST = "ordered_at"


def at(day: int, basket: int, sales_value: str) -> str:
    return line(basket, sales_value=sales_value, transaction_timestamp=f"2017-01-{day:02d} 12:00:00")


@pytest.fixture
def work(tmp_path, lake, key_file) -> Iterator[Work]:
    """Basket 1 has a newer version in the second file, basket 2 one that is as new."""
    old = old_system(tmp_path / "old", derive=TOUCHPOINT)
    mapping = old.folder / "order_lines.yaml"
    mapping.write_text(yaml.safe_dump(yaml.safe_load(mapping.read_text()) | {"newest_by": NEWEST}))
    old.put("a", [at(10, 1, "1.00"), at(10, 2, "1.00"), at(10, 3, "1.00"), at(10, 4, "1.00"), at(10, 5, "1.00")])
    old.put("b", [at(11, 1, "2.00"), at(10, 2, "2.00")])
    with planned(old, lake, key_file) as ready:
        copy_all(ready)
        yield ready


def send(work: Work, hours: Mapping[str, int], *, number: int) -> None:
    """The live stream brings these baskets with order and event, so many hours newer than history has them."""
    newer = [f"WHEN order_id = '{basket}' THEN {n}" for basket, n in hours.items()]
    step = F.make_interval(hours=F.expr(f"CASE {' '.join(newer)} END"))
    held = delta.read(work.lake, ORDER_LINES).where(F.col("order_id").isin(list(hours)))
    moved = held.withColumns({NEWEST: F.col(NEWEST) + step, "ordered_date": F.to_date(F.col(NEWEST) + step)})
    lines = moved.withColumns({"origin": F.lit(f"{LIVE}databank.events/0"), "sales_value": F.lit("9.00")})
    orders = orders_from_lines(lines)
    for rows, table in ((lines, ORDER_LINES), (orders, ORDERS), (purchase_events(orders, **TOUCHPOINT), EVENTS)):
        delta.append(rows, work.lake, table, once=Transaction("stream", number))


def settled(work: Work) -> Settled:
    found = settle(work.lake, ORDER_LINES, run_id=work.run_id, newest_by=work.job.newest_by(ORDER_LINES))
    heal(work, ORDER_LINES)
    return found


def orders(work: Work) -> dict[str, str]:
    rows = delta.read(work.lake, ORDERS).collect()
    assert sorted(row.event_id for row in rows) == sorted(r.event_id for r in delta.read(work.lake, EVENTS).collect())
    return {row.order_id: str(row.sales_value) for row in rows}


def test_the_newest_version_stays_on_either_side_of_the_seam(work) -> None:
    send(work, {"3": 24, "4": -24}, number=1)
    assert derive(work).rows == Changed(inserted=8)  # before settling, as nobody should: no order may get lost by it
    assert orders(work)["3"] == "9.00"
    send(work, {"5": 1}, number=2)  # its order was derived already, and stands in the same files
    assert settled(work) == Settled(history=4, live=1)
    wanted = {"1": "2.00", "2": "1.00", "3": "9.00", "4": "1.00", "5": "9.00"}
    assert sales(work) == wanted
    assert derive(work).rows == Changed(updated=4, deleted=2)
    assert orders(work) == wanted
    # It finds nothing that stands twice, nor anything to derive: both verbs again would change nothing.
    assert verify_table(work, work.mappings[0])["gave_way"] == {"rows": 2, "to": {f"{LIVE}databank.events/0": 2}}


def test_losers_are_those_of_a_slow_obvious_oracle_whatever_came_first(spark) -> None:
    chosen = random.Random(5)
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    names = (*MEMBERS.key, "valid_to", "origin", "origin_position")
    rows = {_row(chosen, begin) for _ in range(400)}
    by_key = defaultdict[Any, list[Any]](list)
    for row in rows:
        by_key[row[:3]].append(row)
    wanted = {
        (*row, min(group, key=_rank)[4]) for group in by_key.values() for row in group if row != min(group, key=_rank)
    }
    arrived = chosen.sample(sorted(rows, key=repr), len(rows))
    kinds = ", ".join(f"{name} {MEMBERS.types[name]}" for name in names)
    frame = spark.createDataFrame(arrived, kinds).repartition(3)
    among = frame.select(key_hashes(MEMBERS)[0]).distinct()
    found = losers_of(frame, MEMBERS, among=among, newest_by="valid_to").select(*names, "winner").collect()
    assert {tuple(_plain(value) for value in row) for row in found} == wanted
    assert len(found) == len(wanted) > 100


def _row(chosen: random.Random, begin: datetime) -> tuple[Any, ...]:
    """Few keys, few times, times that are missing, history and stream."""
    valid_to = chosen.choice([None, *(begin + timedelta(days=n) for n in range(3))])
    origin = chosen.choice(["migration/core.members/a", "migration/core.members/b", "stream/t/0"])
    return "grocery", bytes([chosen.randrange(20)]), begin, valid_to, origin, chosen.randrange(5)


def _rank(row: tuple[Any, ...]) -> tuple[Any, ...]:
    valid_to, origin, position = row[3:]
    return (valid_to is None, -(valid_to.timestamp() if valid_to else 0), origin.startswith(LIVE), origin, position)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return bytes(value) if isinstance(value, bytearray) else value
