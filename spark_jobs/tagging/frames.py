"""Facts of whole persons as numpy arrays: what the kernel computes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.tagging.dispatch import Classes, classes_of
from spark_jobs.tagging.measures import Selection, Span
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan
from spark_jobs.tagging.vocabulary import SOURCE_NUMBERS

Integers = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]
Booleans = npt.NDArray[np.bool_]

# Rules cost a few calls each per piece of work, whatever its size: so a piece is large.
_ROWS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class Codes:
    """A text column as numbers: `values` in ascending order, -1 for null."""

    codes: Integers
    values: tuple[str, ...]

    def where(self, passes: Callable[[str | None], bool]) -> Booleans:
        """Which rows hold a value that passes; each distinct value is asked once, None stands for null."""
        hits = np.array([passes(value) for value in (*self.values, None)], dtype=np.bool_)
        return np.asarray(hits[self.codes])  # -1 is the last entry

    @classmethod
    def of(cls, texts: pa.Array) -> Codes:
        """The codes of a text column."""
        encoded = texts.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        order = np.argsort(np.array(values, dtype=object), kind="stable") if values else np.zeros(0, dtype=np.intp)
        ranks = np.empty(len(values) + 1, dtype=np.int64)
        ranks[order] = np.arange(len(values))
        ranks[-1] = -1
        codes = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        return cls(ranks[codes], tuple(values[position] for position in order))

    @classmethod
    def nothing(cls, count: int) -> Codes:
        """A column without any value."""
        return cls(np.full(count, -1, dtype=np.int64), ())

    def take(self, count: int, at: Positions, rows: Positions) -> Codes:
        """A column of `count` in which the places `at` have the values of these rows."""
        codes = np.full(count, -1, dtype=np.int64)
        codes[at] = self.codes[rows]
        return Codes(codes, self.values)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one selection in order of persons: whose they are, and where each person's begin."""

    found: Positions
    starts: Positions
    people: Positions


@dataclass
class Frame:
    """Facts of whole persons; `person` numbers them from 0, ascending. What is found is kept for the next rule."""

    plan: Plan
    moment: Moment
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
    _classes: dict[str, Classes] = field(default_factory=dict)
    _groups: dict[Selection, Group] = field(default_factory=dict)
    _by_value: dict[tuple[Selection, int], Positions] = field(default_factory=dict)
    _windows: dict[Span, Booleans] = field(default_factory=dict)

    @property
    def persons(self) -> int:
        """How many persons the frame holds."""
        return len(self.person_no)

    @cached_property
    def dates(self) -> Integers:
        """The workspace's date of each row."""
        return self.moment.dates(self.last_at)

    def select(self, selection: Selection) -> Positions:
        """Positions of a selection's rows, in order of persons."""
        return self.group(selection).found

    def group(self, selection: Selection) -> Group:
        """A selection's rows by person."""
        if selection not in self._groups:
            if selection.window is None:
                found = self._of(selection.source).passing(selection.where)
            else:
                found = self.select(replace(selection, window=None))
                found = found[self._since(selection.window)[found]]
            people = self.person[found]
            starts = starts_of(people)
            self._groups[selection] = Group(found, starts, people[starts])
        return self._groups[selection]

    def by_value(self, selection: Selection, slot: int) -> Positions:
        """A selection's rows that have a value in a text slot, by person and value."""
        whole = replace(selection, window=None)
        if (whole, slot) not in self._by_value:
            found, codes = self.select(whole), self.texts[slot].codes
            found = found[codes[found] >= 0]
            keys = self.person[found] * (len(self.texts[slot].values) + 1) + codes[found]
            self._by_value[whole, slot] = found[np.argsort(keys, kind="stable")]
        found = self._by_value[whole, slot]
        return found if selection.window is None else found[self._since(selection.window)[found]]

    def _since(self, window: Span) -> Booleans:
        # A row's day, order or moment lies wholly before or after the start: days begin at the base's hour.
        if window not in self._windows:
            self._windows[window] = self.last_at >= self.moment.start_of(window)
        return self._windows[window]

    def _of(self, source: str) -> Classes:
        if source not in self._classes:
            rows = self.source == SOURCE_NUMBERS[source]
            if source == "purchase_lines":
                # The hash is of buyer, order and store, and only orders that count are here.
                orders = np.unique(self.part[self.source == SOURCE_NUMBERS["purchases"]])
                rows = rows & np.isin(self.part, orders)
            columns = [(codes.codes, codes.values) for codes in self.texts]
            self._classes[source] = classes_of(np.flatnonzero(rows), columns, self.plan.source(source))
        return self._classes[source]


def starts_of(*keys: Integers | Positions) -> Positions:
    """Where a new group begins in rows that are sorted by the keys."""
    if not len(keys[0]):
        return np.empty(0, dtype=np.intp)
    is_new = np.ones(len(keys[0]), dtype=np.bool_)
    is_new[1:] = keys[0][1:] != keys[0][:-1]
    for key in keys[1:]:
        is_new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(is_new)


def frame_of(table: pa.Table, plan: Plan, moment: Moment) -> Frame:
    """The frame of facts of whole persons, sorted by person."""
    person_no = table["person_no"].to_numpy()
    is_first = np.ones(len(person_no), dtype=np.bool_)
    is_first[1:] = person_no[1:] != person_no[:-1]
    firsts = np.flatnonzero(is_first)
    return Frame(
        plan,
        moment,
        person_no=person_no[firsts],
        person_id=table["person_id"].take(pa.array(firsts)).combine_chunks(),
        person=np.cumsum(is_first) - 1,
        source=table["source"].to_numpy(),
        part=table["part"].to_numpy(),
        rows=table["rows"].to_numpy(),
        first_at=table["first_at"].to_numpy(),
        last_at=table["last_at"].to_numpy(),
        texts=tuple(Codes.of(table[f"t{n}"].combine_chunks()) for n in range(plan.text_slots)),
        numbers=tuple(pc.fill_null(table[f"x{n}"], 0).to_numpy() for n in range(plan.number_slots)),
    )


def whole_persons(batches: Iterable[pa.RecordBatch], *, least: int = _ROWS_AT_ONCE) -> Iterator[pa.Table]:
    """Batches put together, and cut at borders between persons, so that no person is in two pieces.

    In:  batches sorted by person_no, empty ones allowed. Out: the same rows in the same order, some `least` at once.
    """
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        held.append(batch)
        count += batch.num_rows
        if count >= least:
            persons = batch.column("person_no").to_numpy()
            border = int(np.searchsorted(persons, persons[-1], side="left"))
            if border:  # else one person fills the whole batch, and goes on perhaps
                yield pa.Table.from_batches([*held[:-1], batch.slice(0, border)])
                held, count = [batch.slice(border)], batch.num_rows - border
    if held:
        yield pa.Table.from_batches(held)
