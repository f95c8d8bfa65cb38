"""How a kernel reads its partition: as numpy columns, in pieces that are safe to treat alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def columns_of(batches: Sequence[pa.RecordBatch]) -> list[Numbers]:
    """The columns of several batches as whole arrays of 64-bit numbers."""
    table = pa.Table.from_batches(batches)
    return [column.to_numpy() for column in table.columns]


def in_whole_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[Numbers]]:
    """All rows, in pieces that never cut a group; the first column is the group and rows come sorted by it."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        groups = batch.column(0).to_numpy()
        last_begins = int(np.searchsorted(groups, groups[-1]))
        goes_on = bool(held) and held[-1].column(0)[-1].as_py() == groups[0]
        if last_begins > 0 or not goes_on:
            # Everything before the batch's last group is complete.
            complete = [*held, batch.slice(0, last_begins)]
            if any(b.num_rows for b in complete):
                yield columns_of(complete)
            held = []
        held.append(batch.slice(last_begins))
    if held:
        yield columns_of(held)
