"""Facts of whole persons as numpy arrays: what the kernel computes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.tagging.measures import Filter, Selection
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, SourcePlan
from spark_jobs.tagging.vocabulary import SOURCE_NUMBERS

Integers = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Codes:
    """A text column as numbers: `values` in ascending order, -1 for null."""

    codes: Integers
    values: tuple[str, ...]

    def where(self, passes: Callable[[str | None], bool]) -> Booleans:
        """Which rows hold a value that passes; each distinct value is asked once, None stands for null."""
        hits = np.array([passes(value) for value in (*self.values, None)], dtype=np.bool_)
        return np.asarray(hits[self.codes])  # -1 is the last entry


@dataclass(slots=True)
class Frame:
    """Facts of whole persons; `person` numbers them from 0, ascending. Rows of a selection are found once and kept."""

    person_no: Integers
    person_id: pa.Array
    person: Positions
    source: npt.NDArray[np.int8]
    part: Integers
    rows: Integers
    first_at: Integers
    last_at: Integers
    texts: tuple[Codes, ...]
    numbers: tuple[Integers, ...]
    found: dict[Selection, Positions] = field(default_factory=dict)

    @property
    def persons(self) -> int:
        """How many persons the frame holds."""
        return len(self.person_no)

    def select(self, selection: Selection, plan: Plan, moment: Moment) -> Positions:
        """Positions of a selection's rows, in order of persons."""
        if selection not in self.found:
            mask = self._of_source(selection.source)
            source = plan.source(selection.source)
            for wanted in selection.where:
                mask = mask & self._passing(wanted, source)
            if selection.window is not None:
                # A row's day, order or moment lies wholly before or after the start: days begin at the base's hour.
                mask = mask & (self.last_at >= moment.start_of(selection.window))
            self.found[selection] = np.flatnonzero(mask)
        return self.found[selection]

    def _passing(self, wanted: Filter, source: SourcePlan) -> Booleans:
        if not wanted.is_number:
            return self.texts[source.texts.index(wanted.field)].where(partial(passes_text, wanted))
        slot = next(n for n, bins in enumerate(source.bins) if bins.field == wanted.field)
        # Slots are shared: texts of other sources stand in them, too.
        passing = source.bins[slot].passing(wanted)
        return self.texts[len(source.texts) + slot].where(lambda position: position in passing)

    def _of_source(self, source: str) -> Booleans:
        mask = self.source == SOURCE_NUMBERS[source]
        if source == "purchase_lines":
            # The hash is of buyer, order and store, and only orders that count are here.
            orders = np.unique(self.part[self.source == SOURCE_NUMBERS["purchases"]])
            mask = mask & np.isin(self.part, orders)
        return np.asarray(mask, dtype=np.bool_)


def passes_text(wanted: Filter, value: str | None) -> bool:
    """Whether a text, or None for none, passes a filter."""
    match wanted.kind:
        case "in":
            return value in wanted.operands
        case "not_in":
            return value not in wanted.operands
        case _:
            return (value is not None) is wanted.operands[0]


def frame_of(table: pa.Table, plan: Plan) -> Frame:
    """The frame of facts of whole persons, sorted by person."""
    person_no = table["person_no"].to_numpy()
    is_first = np.ones(len(person_no), dtype=np.bool_)
    is_first[1:] = person_no[1:] != person_no[:-1]
    firsts = np.flatnonzero(is_first)
    return Frame(
        person_no=person_no[firsts],
        person_id=table["person_id"].take(pa.array(firsts)).combine_chunks(),
        person=np.cumsum(is_first) - 1,
        source=table["source"].to_numpy(),
        part=table["part"].to_numpy(),
        rows=table["rows"].to_numpy(),
        first_at=table["first_at"].to_numpy(),
        last_at=table["last_at"].to_numpy(),
        texts=tuple(_codes(table[f"t{n}"]) for n in range(plan.text_slots)),
        numbers=tuple(pc.fill_null(table[f"x{n}"], 0).to_numpy() for n in range(plan.number_slots)),
    )


def _codes(column: pa.ChunkedArray) -> Codes:
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    order = np.argsort(np.array(values, dtype=object), kind="stable") if values else np.zeros(0, dtype=np.intp)
    ranks = np.empty(len(values) + 1, dtype=np.int64)
    ranks[order] = np.arange(len(values))
    ranks[-1] = -1
    codes = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return Codes(ranks[codes], tuple(values[position] for position in order))


def whole_persons(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches cut at borders between persons, so that no person is in two of them.

    In:  batches sorted by person_no, empty ones allowed. Out: the same rows in the same order.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        persons = batch.column("person_no").to_numpy()
        start = int(np.searchsorted(persons, persons[-1], side="left"))
        if start == 0 and held and held[-1].column("person_no")[0].as_py() == persons[0]:
            held.append(batch)  # one person fills the whole batch, and the one before
            continue
        ready = [*held, batch.slice(0, start)]
        if any(part.num_rows for part in ready):
            yield pa.Table.from_batches(ready)
        held = [batch.slice(start)]
    if held:
        yield pa.Table.from_batches(held)
