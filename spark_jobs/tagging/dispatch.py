"""Rows of a source by class: those that no filter can tell apart are looked at once, whatever the number of rules.

A class is a combination of the fields that filters speak of. A rule asks each distinct class, not each row, and takes
the rows of the classes that pass; so its cost is that of the rows it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from spark_jobs.tagging.measures import Filter
from spark_jobs.tagging.plan import SourcePlan

Integers = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]
Booleans = npt.NDArray[np.bool_]
TextColumn = tuple[Integers, tuple[str, ...]]  # code of each row, -1 for null; the values in order of codes

# Where rules take more classes or a larger part of the rows than this, asking each row is cheaper than a sort.
_MOST_PIECES = 64
_LARGE_PART = 8
# Classes whose numbers fit into 16 bits are sorted by digits instead of by comparing.
_FEW = 2**16


@dataclass(frozen=True, slots=True)
class Slot:
    """One field that filters speak of: which value each class has there, as a code, and the values."""

    codes: Integers
    values: tuple[str, ...]

    def where(self, passes: Callable[[str | None], bool]) -> Booleans:
        """Which classes hold a value that passes; None stands for null."""
        hits = np.array([passes(value) for value in (*self.values, None)], dtype=np.bool_)
        return np.asarray(hits[self.codes])  # -1 is the last entry


@dataclass
class Classes:
    """The rows of one source: `rows` in order of persons, the class of each, and the rows of each class together."""

    source: SourcePlan
    rows: Positions
    of_row: Integers
    slots: dict[int, Slot]
    ordered: Positions
    begins: Positions
    _passed: dict[Filter, Booleans] = field(default_factory=dict)

    def passing(self, where: Sequence[Filter]) -> Positions:
        """The rows that pass all filters, in order of persons."""
        if not where or not len(self.rows):
            return self.rows
        passing = np.ones(len(self.begins) - 1, dtype=np.bool_)
        for wanted in where:
            passing = passing & self._passing(wanted)
        found = np.flatnonzero(passing)
        count = int((self.begins[found + 1] - self.begins[found]).sum())
        if len(found) > _MOST_PIECES or count * _LARGE_PART > len(self.rows):
            return np.asarray(self.rows[passing[self.of_row]])
        pieces = [self.ordered[self.begins[one] : self.begins[one + 1]] for one in found.tolist()]
        if len(pieces) == 1:
            return pieces[0]
        return np.sort(np.concatenate(pieces)) if pieces else np.empty(0, dtype=np.intp)

    def _passing(self, wanted: Filter) -> Booleans:
        if wanted not in self._passed:
            number = slot_of(wanted, self.source)
            if wanted.is_number:
                positions = self.source.bins[number - len(self.source.texts)].passing(wanted)
                self._passed[wanted] = self.slots[number].where(lambda position: position in positions)
            else:
                self._passed[wanted] = self.slots[number].where(partial(passes_text, wanted))
        return self._passed[wanted]


def slot_of(wanted: Filter, source: SourcePlan) -> int:
    """The text slot that a filter looks at: bins of numbers stand behind the texts."""
    if not wanted.is_number:
        return source.texts.index(wanted.field)
    return len(source.texts) + next(n for n, bins in enumerate(source.bins) if bins.field == wanted.field)


def passes_text(wanted: Filter, value: str | None) -> bool:
    """Whether a text, or None for none, passes a filter."""
    match wanted.kind:
        case "in":
            return value in wanted.operands
        case "not_in":
            return value not in wanted.operands
        case _:
            return (value is not None) is wanted.operands[0]


def classes_of(rows: Positions, columns: Sequence[TextColumn], source: SourcePlan) -> Classes:
    """The classes of these rows of a frame, by the text columns that filters of the source look at."""
    numbers = sorted({slot_of(wanted, source) for one in source.selections for wanted in one.where})
    key = np.zeros(len(rows), dtype=np.int64)
    members = np.zeros(1, dtype=np.int64)  # a key of each class so far
    taken: dict[int, Integers] = {}
    for number in numbers:
        codes, values = columns[number]
        wide = len(values) + 1
        key, members = _packed(key * wide + codes[rows] + 1)
        taken = {known: found[members // wide] for known, found in taken.items()}
        taken[number] = members % wide - 1
    narrow = key.astype(np.uint16) if len(members) <= _FEW else key
    ordered = rows[np.argsort(narrow, kind="stable")]
    begins = np.concatenate([[0], np.cumsum(np.bincount(key, minlength=len(members)))])
    slots = {number: Slot(taken[number], columns[number][1]) for number in numbers}
    return Classes(source, rows, key, slots, ordered, begins)


def _packed(keys: Integers) -> tuple[Integers, Integers]:
    """Keys numbered without gaps, in their order, and the keys that occur."""
    most = int(keys.max(initial=0)) + 1
    if most > max(_FEW, 4 * len(keys)):
        members, numbers = np.unique(keys, return_inverse=True)
        return numbers, members
    members = np.flatnonzero(np.bincount(keys, minlength=most))
    numbers = np.zeros(most, dtype=np.int64)
    numbers[members] = np.arange(len(members))
    return numbers[keys], members
