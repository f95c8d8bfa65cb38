"""One row a person: all tag values as one JSON array of `[tag number, value, since]`.

`since` is the base time (microseconds since 1970 UTC) at which the value came to be, null where no change tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Values = dict[int, tuple[str, int | None]]

ROWS = pa.schema([("person_no", pa.int64()), ("tags", pa.int32()), ("refused", pa.int32()), ("packed", pa.string())])


def unpack(packed: str) -> Values:
    """Tag number to value and since."""
    return {number: (value, since) for number, value, since in json.loads(packed)} if packed else {}


def pack(values: Values) -> str:
    """The row's text; tags in the order of their numbers."""
    every = [[number, *values[number]] for number in sorted(values)]
    return json.dumps(every, ensure_ascii=False, separators=(",", ":"))


def rows_of(persons: Mapping[int, Values], refusing: int | None) -> pa.RecordBatch:
    """Rows of changed persons, without a value as well; `refusing`: number of the tag that refuses profiling."""
    says = [values.get(refusing, ("", 0))[0] if refusing is not None else "" for values in persons.values()]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(persons.keys(), pa.int64()),
            pa.array([len(values) for values in persons.values()], pa.int32()),
            pa.array([int(value == "true") for value in says], pa.int32()),
            pa.array([pack(values) if values else "" for values in persons.values()], pa.string()),
        ],
        schema=ROWS,
    )


def packed_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row a person of sorted pieces, whole batches at a time; the last person of a batch waits for the next.

    In:  person_no (ascending), piece (one value as JSON text), refuses (whether it says that profiling is refused).
    Out: rows of ROWS. No person's values may need more memory than a batch.
    """
    waiting: pa.RecordBatch | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        whole = batch if waiting is None else _one(waiting, batch)
        persons = whole.column("person_no").to_numpy()
        begin = int(np.searchsorted(persons, persons[-1]))
        if begin:
            yield _packed(whole.slice(0, begin))
        waiting = whole.slice(begin)
    if waiting is not None:
        yield _packed(waiting)


def _one(first: pa.RecordBatch, second: pa.RecordBatch) -> pa.RecordBatch:
    return pa.Table.from_batches([first, second]).combine_chunks().to_batches()[0]


def _packed(rows: pa.RecordBatch) -> pa.RecordBatch:
    persons = rows.column("person_no").to_numpy()
    starts = np.flatnonzero(np.diff(persons, prepend=persons[0] - 1))
    bounds = np.append(starts, len(persons)).astype(np.int32)
    pieces = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), rows.column("piece"))
    texts = pc.binary_join_element_wise("[", pc.binary_join(pieces, ","), "]", "")
    refused = np.maximum.reduceat(rows.column("refuses").to_numpy(zero_copy_only=False).astype(np.int32), starts)
    arrays = [
        pa.array(persons[starts]),
        pa.array(np.diff(bounds).astype(np.int32)),
        pa.array(refused),
        texts,
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=ROWS)


def merged(before: Mapping[int, str], changes: Sequence[tuple[int, int, str | None, int | None]]) -> dict[int, Values]:
    """Values of persons after changes; in: packed rows before, and person, tag number, new value (or null), since."""
    found: dict[int, Values] = {}
    for person, tag, value, since in changes:
        values = found.get(person)
        if values is None:
            values = found[person] = unpack(before.get(person, ""))
        if value is None:
            values.pop(tag, None)
        else:
            values[tag] = (value, since)
    return found
