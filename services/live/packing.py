"""Facts of history become one packed row a person, whole batches at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from services.live.plan import LivePlan
from services.live.records import AT, COUNT, EVENT_WIDTH, IDENT, MASK, NO_IDENT, Rows
from spark_jobs.tagging.frames import Codes, Integers, Positions, starts_of, whole_persons

_NUMBER_BYTES = 8
SCHEMA = pa.schema([("person_no", pa.int64()), ("packed", pa.binary())])


def packed_events(batches: Iterable[pa.RecordBatch], plan: LivePlan) -> Iterator[pa.RecordBatch]:
    """Rows of SCHEMA of persons with events that some live tag looks at.

    In:  person_no (ascending), moment, ident, and the text fields of the plan.
    Out: what is too old to be repeated has no id; what is older than every window is one row for each mask.
    """
    for table in whole_persons(batches):
        person, rows = _kept(table, plan)
        if len(person):
            yield packed_by_person(person, rows)


def packed_columns(batches: Iterable[pa.RecordBatch], columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Rows of SCHEMA with these columns of numbers. In: person_no (ascending) and the columns."""
    for table in whole_persons(batches):
        yield packed_by_person(
            table["person_no"].to_numpy(), np.column_stack([table[name].to_numpy() for name in columns])
        )


def packed_by_person(person: Integers, rows: Rows) -> pa.RecordBatch:
    """One row of SCHEMA a person; in: whose each row is, ascending."""
    starts = starts_of(person)
    width = rows.shape[1] * _NUMBER_BYTES
    bounds = (np.append(starts, len(person)) * width).astype(np.int32)
    content = np.ascontiguousarray(rows, dtype="<i8").tobytes()
    packed = pa.Array.from_buffers(
        pa.binary(), len(starts), [None, pa.py_buffer(bounds.tobytes()), pa.py_buffer(content)]
    )
    return pa.RecordBatch.from_arrays([pa.array(person[starts]), packed], schema=SCHEMA)


def _kept(table: pa.Table, plan: LivePlan) -> tuple[Integers, Rows]:
    person, at, ident = (table[name].to_numpy() for name in ("person_no", "moment", "ident"))
    columns = {name: Codes.of(table[name].combine_chunks()) for name in plan.fields}
    mask = plan.masks(columns, len(person))
    rows = np.empty((len(person), EVENT_WIDTH), dtype=np.int64)
    rows[:, AT], rows[:, MASK], rows[:, COUNT] = at, mask, 1
    rows[:, IDENT] = np.where(at >= plan.late_from, ident, NO_IDENT)
    is_old, counts = at < plan.since, mask != 0
    young = np.flatnonzero(counts & ~is_old)
    if not plan.counts_all:
        return person[young], rows[young]
    old_person, old = _together(person, rows, np.flatnonzero(counts & is_old))
    people, every = np.concatenate([old_person, person[young]]), np.concatenate([old, rows[young]])
    order = np.argsort(people, kind="stable")
    return people[order], every[order]


def _together(person: Integers, rows: Rows, places: Positions) -> tuple[Integers, Rows]:
    """One row for the events of a person that pass the same filters: how many, and the newest's moment."""
    order = places[np.lexsort((rows[places, AT], rows[places, MASK], person[places]))]
    starts = starts_of(person[order], rows[order, MASK])
    if not len(starts):
        return person[order], rows[order]
    ends = np.append(starts[1:], len(order))
    found = rows[order[ends - 1]].copy()  # the newest stands last
    found[:, IDENT], found[:, COUNT] = NO_IDENT, ends - starts
    return person[order[starts]], found
