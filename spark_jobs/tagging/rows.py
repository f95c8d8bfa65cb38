"""What the kernel gives back: true values only, one row each, and one row for the clock of each person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_jobs.tagging.moment import NEVER

Integers = npt.NDArray[np.int64]

ANSWERS_DDL = (
    "tag int, person_no bigint, person_id string, value string, next_change_at bigint,"
    " waiting array<struct<tag:int,at:bigint>>"
)
BUCKETS_DDL = "ranked int, bucket bigint, persons bigint"

# Stands in the column `tag` for the earliest change of any of a person's tags.
TIMER = -1
# Minus the tag's number, it stands there for an answer as it would be had no limit of a band moved.
UNMOVED = -2
# Stands there for a person who refuses profiling, and has no other row but of the tag that says so.
REFUSES = -1_000_000_000
# Stands in the column `ranked` for the number of all persons.
PERSONS = -1

_WAITING = pa.list_(pa.struct([("tag", pa.int32()), ("at", pa.int64())]))
_NAMES = ("tag", "person_no", "person_id", "value", "next_change_at", "waiting")
# Rows of many tags go together: a batch has costs of its own.
_MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one kind: the tag, whose they are (as places in the frame), the value, and when it may change."""

    tags: npt.NDArray[np.int32]
    found: Integers
    values: pa.Array
    next_at: Integers

    @classmethod
    def together(cls, pieces: list[_Piece]) -> _Piece:
        """All rows of several."""
        return cls(
            np.concatenate([one.tags for one in pieces]),
            np.concatenate([one.found for one in pieces]),
            pa.concat_arrays([one.values for one in pieces]),
            np.concatenate([one.next_at for one in pieces]),
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """Who of a frame's persons refuses profiling, and the number of the tag that is answered all the same; -1: none."""

    who: npt.NDArray[np.bool_]
    but: int


class RowsOut:
    """Rows of ANSWERS_DDL of one frame's persons, tag after tag."""

    def __init__(self, person_no: Integers, person_id: pa.Array, refused: Refused | None = None) -> None:
        """Nothing is answered yet; who is `refused` gets no answers but one."""
        self._refused = refused
        self._persons = (pa.array(person_no), person_id)
        self._earliest = np.full(len(person_no), NEVER, dtype=np.int64)
        self._waiting: list[tuple[Integers, Integers, Integers]] = []
        self._held: list[_Piece] = []

    def add(self, number: int, codes: Integers, labels: tuple[str, ...], *, next_at: Integers) -> None:
        """The answers of one tag; code 0 is its `otherwise` value, which has no row."""
        if self._refused is not None and number != self._refused.but:
            codes = np.where(self._refused.who, 0, codes)
            next_at = np.where(self._refused.who, NEVER, next_at)
        np.minimum(self._earliest, next_at, out=self._earliest)
        waiting = np.flatnonzero((codes == 0) & (next_at != NEVER))
        self._waiting.append((waiting, np.full(len(waiting), number, dtype=np.int64), next_at[waiting]))
        self._hold(number, codes, labels, next_at=next_at)

    def add_unmoved(self, number: int, codes: Integers, labels: tuple[str, ...]) -> None:
        """The answers of one tag as they would be had no limit moved."""
        if self._refused is not None:
            codes = np.where(self._refused.who, 0, codes)
        self._hold(UNMOVED - number, codes, labels, next_at=np.full_like(codes, NEVER))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, those of the clock last."""
        pieces: list[_Piece] = []
        count = 0
        for one in self._held:
            pieces.append(one)
            count += len(one.found)
            if count >= _MOST_ROWS:
                yield self._batch(_Piece.together(pieces))
                pieces, count = [], 0
        if pieces:
            yield self._batch(_Piece.together(pieces))
        if self._refused is not None and self._refused.who.any():
            yield self._refusing(np.flatnonzero(self._refused.who))
        yield self._timers()

    def _hold(self, number: int, codes: Integers, labels: tuple[str, ...], *, next_at: Integers) -> None:
        found = np.flatnonzero(codes)
        if len(found):
            values = pa.array(labels, type=pa.string()).take(pa.array(codes[found]))
            self._held.append(_Piece(np.full(len(found), number, dtype=np.int32), found, values, next_at[found]))

    def _batch(self, rows: _Piece, waiting: pa.Array | None = None) -> pa.RecordBatch:
        taken = pa.array(rows.found)
        columns = [
            pa.array(rows.tags),
            *[column.take(taken) for column in self._persons],
            rows.values,
            pa.array(rows.next_at, mask=rows.next_at == NEVER),
            pa.nulls(len(rows.found), _WAITING) if waiting is None else waiting.take(taken),
        ]
        return pa.RecordBatch.from_arrays(columns, names=list(_NAMES))

    def _refusing(self, found: Integers) -> pa.RecordBatch:
        never, nothing = np.full(len(found), NEVER, dtype=np.int64), pa.nulls(len(found), pa.string())
        return self._batch(_Piece(np.full(len(found), REFUSES, dtype=np.int32), found, nothing, never))

    def _timers(self) -> pa.RecordBatch:
        nobody = np.empty(0, dtype=np.int64)
        persons, tags, moments = (
            np.concatenate(parts) for parts in zip(*[(nobody, nobody, nobody), *self._waiting], strict=True)
        )
        order = np.argsort(persons, kind="stable")
        ends = np.searchsorted(persons[order], np.arange(len(self._earliest) + 1)).astype(np.int32)
        pairs = pa.StructArray.from_arrays(
            [pa.array(tags[order].astype(np.int32)), pa.array(moments[order])], fields=list(_WAITING.value_type)
        )
        found = np.flatnonzero(self._earliest != NEVER)
        timer = np.full(len(found), TIMER, dtype=np.int32)
        waiting = pa.ListArray.from_arrays(pa.array(ends), pairs)
        return self._batch(_Piece(timer, found, pa.nulls(len(found), pa.string()), self._earliest[found]), waiting)
