"""Folders that are columns, as Hive lays out a table: `dt=2026-01-31` on the way to a file is `dt` of all its records.

Where the records have a column of that name themselves, theirs counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.chunks import Chunk, Layout
from migration.conversions import FOLDER
from migration.dialects import JSON_FORMATS
from migration.mapping import EVERY_OTHER, Mapping
from migration.sources.formats import Looked

TEXT = "string"
_NULL = "__HIVE_DEFAULT_PARTITION__"


def values_of(name: str) -> dict[str, str | None]:
    """Columns and values of the folders on the way to a file, the outer ones first."""
    pairs = [part.split("=", 1) for part in name.split("/")[:-1] if "=" in part[1:]]
    return {unquote(column): None if value == _NULL else unquote(value) for column, value in pairs}


def with_columns(found: Looked, name: str, mapping: Mapping) -> Looked:
    """What was found in a file, and the columns of its folders behind it."""
    wanted, is_json = mapping.source_columns, mapping.format in JSON_FORMATS
    columns = [one for one in values_of(name) if one in wanted or EVERY_OTHER not in mapping.ignored]
    # Of JSON the header is what is wanted: only its records say whether they have it.
    mine = [one for one in columns if is_json or one not in found.header]
    if not mine:
        return found
    behind = tuple(one for one in mine if one not in found.header)
    kinds = found.types or tuple(FOLDER if is_json and one in mine else TEXT for one in found.header)
    return replace(found, header=found.header + behind, types=kinds + (FOLDER,) * len(behind))


def own_layout(layout: Layout, mapping: Mapping) -> Layout:
    """The columns to be looked for in the files themselves."""
    if mapping.format in JSON_FORMATS or not layout.types:
        return layout
    own = [pair for pair in zip(layout.header, layout.types, strict=True) if pair[1] != FOLDER]
    return Layout(tuple(name for name, _ in own), tuple(kind for _, kind in own))


def with_values(records: DataFrame, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
    """Records of `own_layout` with the members of `fields` that the folders of their files give.

    In: `origin` and `fields` of records of chunks that have one layout.
    """
    columns = [name for name, kind in zip(chunks[0].header, chunks[0].types, strict=False) if kind == FOLDER]
    if not columns:
        return records
    texts = {chunk.origin: [values_of(chunk.source_object)[name] for name in columns] for chunk in chunks}
    if len(chunks) == 1:
        values = [F.lit(text).cast(TEXT) for text in texts[chunks[0].origin]]
    else:
        of_files = records.sparkSession.createDataFrame(list(texts.items()), f"origin string, {FOLDER} array<{TEXT}>")
        records = records.join(F.broadcast(of_files), on="origin", how="inner")
        values = [F.get(FOLDER, F.lit(number)) for number in range(len(columns))]
    return records.withColumn("fields", _filled(chunks[0].layout, mapping, values))


def _filled(layout: Layout, mapping: Mapping, values: Sequence[Column]) -> Column:
    """The whole struct; null where the record is unreadable."""
    own, given = iter(range(len(own_layout(layout, mapping).header))), iter(values)
    members = []
    for number, kind in enumerate(layout.types):
        found = [next(given)] if kind == FOLDER else []
        if kind != FOLDER or mapping.format in JSON_FORMATS:
            found.insert(0, F.col("fields").getField(f"f{next(own)}"))
        members.append(F.coalesce(*found).alias(f"f{number}"))
    return F.when(F.col("fields").isNotNull(), F.struct(*members))
