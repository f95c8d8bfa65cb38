"""Made-up members, orders and events, as the peers read them and as Spark hands them to the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_jobs.tagging.calendar import DAY_US, micros
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.moment import Moment, moment_at
from spark_jobs.tagging.plan import Plan, SourcePlan
from spark_jobs.tagging.vocabulary import SOURCE_NUMBERS

STORES = tuple(f"store-{n:02}" for n in range(30))
NAMES = ("page_view", "add_to_cart", "purchase", "search", "share", "login")
CHANNELS = tuple(f"channel-{n}" for n in range(8))
ZONE = ZoneInfo("UTC")
BASE = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETE_SINCE = date(2023, 1, 1)
ROWS_A_PERSON = 10
_DAYS = 720

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """One entry per row, in order of persons: the first of each is the registration, of the rest a half are orders.

    what: 0 registration, 1 order, 2 event. code: store of an order; name and channel of an event. cents: of an order.
    """

    person: Numbers
    what: Numbers
    at: Numbers
    code: Numbers
    cents: Numbers


def rows_of(count: int, seed: int = 1) -> Rows:
    """So many rows of a tenth as many persons."""
    chance = np.random.default_rng(seed)
    person = np.sort(np.arange(count) % (count // ROWS_A_PERSON))
    is_first = np.concatenate([[True], person[1:] != person[:-1]])
    what = np.where(is_first, 0, chance.integers(1, 3, count))
    at = micros(BASE) - chance.integers(1, _DAYS * DAY_US, count)
    at = np.where(is_first, micros(BASE) - _DAYS * DAY_US, at)
    code = np.where(
        what == 1, chance.integers(0, len(STORES), count), chance.integers(0, len(NAMES) * len(CHANNELS), count)
    )
    return Rows(person, what, at, code, chance.integers(1, 20_000, count))


def orders(rows: Rows) -> pa.Table:
    """The orders as a peer reads them: person, store, cents, at (microseconds)."""
    found = np.flatnonzero(rows.what == 1)
    return pa.table(
        {
            "person": rows.person[found],
            "store": pa.array(STORES).take(pa.array(rows.code[found])),
            "cents": rows.cents[found],
            "at": rows.at[found],
        }
    )


def moment_of_bench(catalogue: Catalogue) -> Moment:
    """The base time of the benchmark."""
    return moment_at(BASE, ZONE, complete_since=COMPLETE_SINCE, catalogue=catalogue)


def facts_of_rows(rows: Rows, plan: Plan, at: Moment) -> pa.Table:
    """One fact a row, of the sources that the plan reads, sorted by person: what Spark hands to the kernel."""
    kinds = {"members": 0, "purchases": 1, "events": 2}
    parts = [
        _facts(rows, source, plan, at, found=np.flatnonzero(rows.what == kinds[source.name])) for source in plan.sources
    ]
    table = pa.concat_tables(parts)
    return table.take(pa.array(np.argsort(table["person_no"].to_numpy(), kind="stable")))


def _facts(rows: Rows, source: SourcePlan, plan: Plan, at: Moment, *, found: Numbers) -> pa.Table:
    when, code = pa.array(rows.at[found]), rows.code[found]
    weekdays = pa.array(["thu", "fri", "sat", "sun", "mon", "tue", "wed"])
    texts = {
        "store_id": lambda: pa.array(STORES).take(pa.array(code % len(STORES))),
        "weekday": lambda: weekdays.take(pa.array(rows.at[found] // DAY_US % 7)),
        "name": lambda: pa.array(NAMES).take(pa.array(code % len(NAMES))),
        "channel": lambda: pa.array(CHANNELS).take(pa.array(code // len(NAMES) % len(CHANNELS))),
    }
    slots = [texts[name]() for name in source.texts]
    for bins in source.bins:
        limits, cents = np.array(bins.limits), rows.cents[found]
        position = np.searchsorted(limits, cents, side="left") + np.searchsorted(limits, cents, side="right")
        slots.append(pa.array(position).cast(pa.string()))
    slots += [pa.nulls(len(found), pa.string())] * (plan.text_slots - len(slots))
    numbers = [pa.array(rows.cents[found])] * len(source.numbers)
    numbers += [pa.nulls(len(found), pa.int64())] * (plan.number_slots - len(numbers))
    part = found if source.name == "purchases" else rows.at[found] if source.moments else at.days(rows.at[found])
    persons = rows.person[found]
    columns: dict[str, object] = {
        "person_no": persons,
        "person_id": pa.array(persons).cast(pa.string()),
        "source": np.full(len(found), SOURCE_NUMBERS[source.name], dtype=np.int8),
        "part": np.asarray(part, dtype=np.int64),
        "rows": np.ones(len(found), dtype=np.int64),
        "first_at": when,
        "last_at": when,
        **{f"t{n}": slot for n, slot in enumerate(slots)},
        **{f"x{n}": number for n, number in enumerate(numbers)},
    }
    return pa.table(columns)
