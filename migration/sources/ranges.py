"""Ranges of a table's keys, cut where the rows are: each has a known number of rows, whatever gaps and heaps keys have.

Keys are compared and ordered by the database alone, by the column's own rules; here they are only texts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Self

from migration.sources.dialect import Dialect, Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Split:
    """How a table is cut: by which column, of which rows, and by which columns the rows of a range are ordered."""

    split_by: str
    where: str
    unique_key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """One part of a table: `after < key <= upto`, without `after` from the lowest key on; or the rows without a key.

    Ranges with keys are numbered from 1 in their order. One without key, `after` and `upto` holds nothing, and stands
    for a table that holds nothing.
    """

    split: Split
    number: int = 0
    after: str | None = None
    upto: str | None = None
    is_null: bool = False

    @property
    def part(self) -> str:
        """The range as a text that is the same for the same range."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def parse(cls, part: str) -> Self:
        """The range of such a text."""
        given = json.loads(part)
        split = Split(**{**given["split"], "unique_key": tuple(given["split"]["unique_key"])})
        return cls(**{**given, "split": split})

    def condition(self, key: str, data_type: str, dialect: Dialect) -> str:
        """What is true of its rows alone; `key` is the column in SQL."""
        if self.is_null:
            return f"{key} IS NULL"
        if self.upto is None:
            return "1 = 0"
        upto = f"{key} <= {dialect.literal(self.upto, data_type)}"
        return upto if self.after is None else f"{key} > {dialect.literal(self.after, data_type)} AND {upto}"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a table's rows, as the database has them in one snapshot."""

    session: Session
    dialect: Dialect
    table: str  # in SQL
    split: Split
    data_type: str

    def count(self, part: Range) -> int:
        """How many rows a range has."""
        condition = part.condition(self._key, self.data_type, self.dialect)
        ((rows,),) = self.session.rows(f"SELECT count(*) FROM {self._from(condition)}")
        return int(rows)

    def cut(self, after: Range, rows: int) -> Iterator[tuple[Range, int]]:
        """Ranges behind a range, in order, with their counts; of `rows` rows at most, but for a key that has more."""
        last = after
        while (upto := self._key_at(last, skipped=rows - 1)) is not None:
            found = replace(last, number=last.number + 1, after=last.upto, upto=upto)
            if self.split.unique_key == (self.split.split_by,):
                count = rows
            else:
                found, count = self._without_a_part_of_a_key(found, rows)
            yield found, count
            last = found
        if (upto := self._highest(last)) is not None:
            found = replace(last, number=last.number + 1, after=last.upto, upto=upto)
            yield found, self.count(found)

    def _without_a_part_of_a_key(self, found: Range, rows: int) -> tuple[Range, int]:
        """The range and its count; one that goes over, because its last key has more rows, ends before that key."""
        count = self.count(found)
        if count <= rows:
            return found, count
        lower = f"{self._behind(found.after)} AND {self._key} < {self.dialect.literal(str(found.upto), self.data_type)}"
        before = self._first(f"{self._from(lower)} ORDER BY {self._key} DESC LIMIT 1")
        if before is None:
            log.warning("one key of %s has %d rows, more than chunk_rows: they are one chunk", self.table, count)
            return found, count
        shorter = replace(found, upto=before)
        return shorter, self.count(shorter)

    def _key_at(self, last: Range, *, skipped: int) -> str | None:
        behind = self._from(self._behind(last.upto))
        return self._first(f"{behind} ORDER BY {self._key} LIMIT 1 OFFSET {skipped}")

    def _highest(self, last: Range) -> str | None:
        return self._first(f"{self._from(self._behind(last.upto))} ORDER BY {self._key} DESC LIMIT 1")

    def _first(self, rest: str) -> str | None:
        # By a name of its own: the text may not take the key's name, or it would be what ORDER BY means.
        rows = self.session.rows(f"SELECT {self.dialect.text_of(self._key, self.data_type)} AS key_text FROM {rest}")
        return str(rows[0][0]) if rows else None

    def _behind(self, after: str | None) -> str:
        if after is None:
            return f"{self._key} IS NOT NULL"
        return f"{self._key} > {self.dialect.literal(after, self.data_type)}"

    def _from(self, condition: str) -> str:
        return f"{rows_of(self.table, self.split)} AND {condition}"

    @property
    def _key(self) -> str:
        return self.dialect.quoted(self.split.split_by)


def rows_of(table: str, split: Split) -> str:
    """The table and the mapping's condition in SQL, open for further conditions."""
    # A comment at the end of the condition ends with its line.
    return f"{table} WHERE ({split.where or '1 = 1'}\n)"
