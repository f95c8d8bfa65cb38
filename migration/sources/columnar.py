"""Columnar files: what Parquet and ORC have in common. Their fields have types, and their footers say them."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Keys
from contextlib import contextmanager

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.conversions import JSON_TIMES, UNREADABLE
from migration.sources.formats import UnreadableError


@contextmanager
def whole_file(kind: str) -> Iterator[None]:
    """UnreadableError where pyarrow finds that a file is not of this kind, or not all of it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):  # the folder's
            raise
        said = str(error).splitlines()[0]
        if "Python exception" in str(error):  # the folder's as well, as pyarrow tells of it
            raise OSError(errno.EIO, said) from error
        raise UnreadableError(f"it is no {kind} file, or not all of one ({said}); export it again") from error


def check_names(names: Sequence[str]) -> None:
    """UnreadableError where Spark, to which upper and lower case are one, cannot tell two columns from each other."""
    lower = [name.lower() for name in names]
    if twice := sorted(name for name in set(names) if lower.count(name.lower()) > 1 == names.count(name)):
        raise UnreadableError(
            f"columns {', '.join(map(repr, twice))} differ in case alone; export them with other names"
        )


def quoted(name: str) -> str:
    """A name as SQL has it, whatever is in it."""
    return f"`{name.replace('`', '``')}`"


def struct_of(members: Sequence[tuple[str, str]]) -> str:
    """The type of a struct: its names are quoted where they must be, so that it can be compared with a contract's."""
    names = [name if name.isidentifier() and name.isascii() else quoted(name) for name, _ in members]
    return f"struct<{','.join(f'{name}:{kind}' for name, (_, kind) in zip(names, members, strict=True))}>"


def readable(layout: Layout) -> list[tuple[str, str]]:
    """Names and types of the columns that Spark reads: all but those that it cannot, which no rule wants."""
    named = zip(layout.header, layout.types, strict=True)
    return [(name, kind) for name, kind in named if UNREADABLE not in kind]


def ddl_of(columns: Sequence[tuple[str, str]]) -> str:
    """The schema that Spark is given, so that it need not look at footers for it."""
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)


def column(name: str) -> Column:
    """The column of exactly this name."""
    return F.col(quoted(name))


def fields_of(layout: Layout, values: Keys[str, Column]) -> Column:
    """The struct of `f0`, `f1`...: of each column its value where one is given, else null, as it is not read."""
    nothing = F.lit(None).cast("string")
    return F.struct(*[values.get(name, nothing).alias(f"f{number}") for number, name in enumerate(layout.header)])


def raw_of(layout: Layout) -> Column:
    """The record as the bytes of a JSON object: every column that is read, in the file's order, nulls as well."""
    record = F.struct(*[column(name).alias(name) for name, _ in readable(layout)])
    return F.to_json(record, {**JSON_TIMES, "ignoreNullFields": "false"}).cast("binary")
