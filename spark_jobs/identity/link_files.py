"""Lists of links as people have them: two columns of CSV or Parquet, numbers or texts, read batch by batch in tasks.

A line is one link. Blank lines, lines that begin with `#`, and the line of names are passed over; blanks around an id
are no part of it. What is no link is counted and shown, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from spark_jobs.errors import TerminalError
from spark_jobs.identity import packing
from spark_jobs.identity.batches import Numbers
from spark_jobs.identity.contraction import Kernel, stars
from spark_jobs.identity.packing import LINKS, READ, REFUSED, Pair

DELIMITERS = (",", "\t", ";", "|", " ")
_COMMENT = "#"
_MARK = "\ufeff"  # what Windows puts before the first line
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_AT_ONCE = 1 << 20  # texts that are made distinct together

Ends = tuple[pa.Array, pa.Array]


@dataclass(frozen=True, slots=True)
class Form:
    """How lines are read: what stands between the two ids, the line of names, whether ids are numbers.

    `seed` tells texts that met in one number apart when they are read again.
    """

    delimiter: str | None  # None: the columns are read already
    names: str | None
    is_text: bool
    seed: int = 0


@dataclass(slots=True)
class Count:
    """Links read, what was refused, and the first of these."""

    read: int = 0
    refused: int = 0
    first: str = ""

    def refuse(self, number: int, first: str) -> None:
        """Count what is no link; `first` shows the first of them."""
        self.first = self.first or first[:200]
        self.refused += number


def with_seed(form: Form, seed: int) -> Form:
    """The same form, with other numbers for texts."""
    return replace(form, seed=seed)


def is_number(text: str) -> bool:
    """A 64-bit number in the one way to write it: `007` and `+7` are texts, for they are not `7` to everyone."""
    return _NUMBER.fullmatch(text) is not None and _LOWEST <= int(text) <= _HIGHEST


def form_of(lines: Sequence[str], *, delimiter: str | None, has_names: bool, is_text: bool) -> Form:
    """How to read lines that begin so; TerminalError where nobody can tell."""
    plain = [line.removeprefix(_MARK).strip() for line in lines]
    shown = [line for line in plain if line and not line.startswith(_COMMENT)]
    if not shown:
        return Form(delimiter or ",", None, is_text)
    found = delimiter or next((mark for mark in DELIMITERS if len(shown[0].split(mark)) == 2), None)
    if found is None:
        raise TerminalError(
            f"the first line is {shown[0][:200]!r}, wanted two ids with a comma, tab, semicolon, bar or blank between "
            "them; say which with --delimiter"
        )
    numeric = [all(is_number(end.strip().strip('"')) for end in line.split(found)) for line in shown]
    # One line of words above numbers is their names.
    has_names = has_names or (not is_text and len(numeric) > 1 and not numeric[0] and all(numeric[1:]))
    rest = numeric[1:] if has_names else numeric
    return Form(found, shown[0] if has_names else None, is_text or not all(rest))


def contracting(form: Form) -> Kernel:
    """Contract the links of lines or columns. Out: packed LINKS, and what was READ and REFUSED."""

    def contract(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        count = Count()
        yield from packing.packed(LINKS, stars(_numbers(ends, form) for ends in _ends(batches, form, count)))
        yield packing.note(READ, count.read)
        if count.refused:
            yield packing.note(REFUSED, count.refused, count.first)

    return contract


def dictionary(form: Form) -> Kernel:
    """Every text and its number; most texts once a task, all of them at least once. Out: node, text."""

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[pa.Array] = []
        for ends in _ends(batches, form, Count()):
            held += ends
            if sum(map(len, held)) >= _AT_ONCE:
                yield _distinct(held, form.seed)
                held = []
        if held:
            yield _distinct(held, form.seed)

    return make


def _distinct(held: list[pa.Array], seed: int) -> pa.RecordBatch:
    from spark_jobs.identity.texts import numbers_of  # noqa: PLC0415 - numba belongs to workers only

    texts = pc.unique(pa.chunked_array(held)).cast(pa.string())
    return pa.RecordBatch.from_arrays([pa.array(numbers_of(texts, seed)), texts], names=["node", "text"])


def _numbers(ends: Ends, form: Form) -> Pair:
    if not form.is_text:
        return _as_numpy(ends[0]), _as_numpy(ends[1])
    from spark_jobs.identity.texts import numbers_of  # noqa: PLC0415 - numba belongs to workers only

    return numbers_of(ends[0], form.seed), numbers_of(ends[1], form.seed)


def _as_numpy(values: pa.Array) -> Numbers:
    numbers: Numbers = values.to_numpy(zero_copy_only=False)
    return numbers.astype(np.int64, copy=False)


def _ends(batches: Iterable[pa.RecordBatch], form: Form, count: Count) -> Iterator[Ends]:
    """Both ends of the links of each batch; no null, no empty text; counted."""
    for batch in batches:
        if form.delimiter is None:
            table = pa.table([_trimmed(column) for column in batch.columns], names=["a", "b"])
        else:
            table = _split(batch.column(0), form, count)
        whole = pc.and_(_is_there(table.column("a")), _is_there(table.column("b")))
        lacking = table.num_rows - pc.sum(whole).as_py() if table.num_rows else 0
        if lacking:
            count.refuse(lacking, f"{_row(table, pc.index(whole, False).as_py())}: an end is empty")
        table = table.filter(whole).combine_chunks()
        if form.delimiter is not None and not form.is_text and table.num_rows:
            table = _parsed(table, count)
        if table.num_rows:
            count.read += table.num_rows
            yield table.column("a").chunk(0), table.column("b").chunk(0)


def _trimmed(column: pa.Array) -> pa.Array:
    return pc.ascii_trim_whitespace(column) if pa.types.is_string(column.type) else column


def _is_there(column: pa.ChunkedArray) -> pa.ChunkedArray:
    is_valid = pc.is_valid(column)
    if not pa.types.is_string(column.type):
        return is_valid
    return pc.and_(is_valid, pc.fill_null(pc.greater(pc.binary_length(column), 0), False))


def _split(lines: pa.Array, form: Form, count: Count) -> pa.Table:
    lines = lines.drop_null()
    if pc.any(pc.starts_with(lines, _MARK)).as_py():
        lines = pc.replace_substring(lines, _MARK, "", max_replacements=1)
    lines = pc.ascii_trim_whitespace(lines)
    wanted = pc.invert(pc.or_(pc.starts_with(lines, _COMMENT), pc.equal(pc.binary_length(lines), 0)))
    if form.names is not None:
        wanted = pc.and_(wanted, pc.not_equal(lines, form.names))
    lines = lines.filter(wanted)
    if not len(lines):
        return pa.table([pa.array([], pa.string())] * 2, names=["a", "b"])
    refused_before = count.refused
    listed = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    text = pc.binary_join(listed, "\n")[0].as_buffer()

    def refuse(row: pacsv.InvalidRow) -> str:
        count.refuse(1, f"{row.text!r}: {row.actual_columns} columns")
        return "skip"

    table = pacsv.read_csv(
        pa.BufferReader(text),
        read_options=pacsv.ReadOptions(column_names=["a", "b"], use_threads=False, block_size=len(text) + 1),
        parse_options=pacsv.ParseOptions(delimiter=form.delimiter, invalid_row_handler=refuse),
        convert_options=pacsv.ConvertOptions(column_types={"a": pa.string(), "b": pa.string()}, check_utf8=False),
    )
    # Within quotes an end of line is content: one that does not close takes in all lines behind it.
    swallowed = len(lines) - table.num_rows - (count.refused - refused_before)
    if swallowed:
        quoted = lines.filter(pc.match_substring(lines, '"'))
        count.refuse(swallowed, f"{quoted[0].as_py() if len(quoted) else ''!r}: a quote that does not end")
    return pa.table([pc.ascii_trim_whitespace(column) for column in table.columns], names=["a", "b"])


def _parsed(table: pa.Table, count: Count) -> pa.Table:
    try:
        numbers = pa.table([column.cast(pa.int64()) for column in table.columns], names=["a", "b"])
        pairs = zip(numbers.columns, table.columns, strict=True)
        if all(pc.all(pc.equal(number.cast(pa.string()), text)).as_py() for number, text in pairs):
            return numbers
    except pa.ArrowInvalid:
        pass
    # Only a file that will be refused comes here.
    good = pa.array([is_number(a) and is_number(b) for a, b in zip(*table.to_pydict().values(), strict=True)])
    first = _row(table, pc.index(good, False).as_py())
    count.refuse(table.num_rows - pc.sum(good).as_py(), f"{first}: no 64-bit number; --text reads such ids as texts")
    left = table.filter(good)
    return pa.table([column.cast(pa.int64()) for column in left.columns], names=["a", "b"]).combine_chunks()


def _row(table: pa.Table, place: int) -> str:
    held = [column[place].as_py() for column in (column.cast(pa.binary()) for column in _as_texts(table))]
    return repr(tuple(None if one is None else one.decode(errors="replace") for one in held))


def _as_texts(table: pa.Table) -> list[pa.ChunkedArray]:
    return [column if pa.types.is_string(column.type) else column.cast(pa.string()) for column in table.columns]
