"""Folders that are columns: `dt=2026-01-31/` is a column of every file below it, whatever the format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from migration.chunks import Chunk
from migration.mapping import Cast, Mapping
from migration.sources.files import Files
from migration.sources.folders import DiskFolder
from migration.sources.kept import kept_records
from migration.sources.lines import reading_session
from migration.sources.partitions import values_of
from migration.sources.source import Refused
from spark_jobs.contracts.schema import Column
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import seal
from tests.columnar_files import mapping_to, put

pytestmark = pytest.mark.thorough

FORMATS = ("csv", "jsonl", "parquet", "orc")
JANUARY, NOWHERE = "dt=2026-01-31/shop=a%2Fb", "dt=2026-02-01/shop=__HIVE_DEFAULT_PARTITION__"


@pytest.fixture(scope="module")
def session(spark) -> SparkSession:
    return reading_session(spark)


def write(path: Path, kind: str, columns: dict[str, Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if kind == "csv":
        path.write_text("\n".join([",".join(columns), *(",".join(row.values()) for row in rows)]) + "\n")
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        put(path, pa.table({name: list(values) for name, values in columns.items()}))


def wanted(kind: str) -> Mapping:
    """Two columns from folders, one from the files."""
    columns = [Column("day", "date", ""), Column("shop", "string", ""), Column("a", "string", "")]
    rules = [Cast("day", "dt", pattern="yyyy-MM-dd"), Cast("shop", "shop"), Cast("a", "a")]
    return replace(mapping_to(columns, rules, kind=kind), files=f"**/*.{kind}")


def looked(folder: Path, mapping: Mapping) -> list[Chunk]:
    found = list(Files(DiskFolder(folder)).look([mapping], lambda *_: iter(())))
    assert all(isinstance(one, Chunk) for one in found), found
    return sorted((one for one in found if isinstance(one, Chunk)), key=lambda chunk: chunk.source_object)


def fields(
    session: SparkSession, folder: Path, mapping: Mapping, chunks: Sequence[Chunk]
) -> Iterator[tuple[str | None, ...]]:
    rows = Files(DiskFolder(folder)).records(session, mapping, chunks).orderBy("origin", "line").collect()
    by_header = [dict(zip(chunks[0].header, row.fields, strict=False)) for row in rows]
    return ((one["dt"], one["shop"], one["a"]) for one in by_header)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_record_has_what_its_folders_say(session, tmp_path, kind) -> None:
    mapping = wanted(kind)
    write(tmp_path / JANUARY / f"x.{kind}", kind, {"a": ["1", "2"]})
    write(tmp_path / NOWHERE / f"x.{kind}", kind, {"a": ["3"]})
    chunks = looked(tmp_path, mapping)
    assert chunks[0].layout == chunks[1].layout
    one = [("2026-01-31", "a/b", "1"), ("2026-01-31", "a/b", "2")]
    assert list(fields(session, tmp_path, mapping, chunks[:1])) == one
    assert sorted(fields(session, tmp_path, mapping, chunks)) == [*one, ("2026-02-01", None, "3")]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_column_that_the_records_have_is_theirs(session, tmp_path, kind) -> None:
    mapping = wanted(kind)
    write(tmp_path / JANUARY / f"x.{kind}", kind, {"dt": ["2025-12-31"], "a": ["1"]})
    assert list(fields(session, tmp_path, mapping, looked(tmp_path, mapping))) == [("2025-12-31", "a/b", "1")]


def test_what_a_folder_says_is_mapped_or_ignored_like_any_column(tmp_path) -> None:
    mapping = wanted("csv")
    write(tmp_path / JANUARY / "hour=7" / "x.csv", "csv", {"a": ["1"]})
    (found,) = Files(DiskFolder(tmp_path)).look([mapping], lambda *_: iter(()))
    assert found == Refused(f"{JANUARY}/hour=7/x.csv", "column 'hour' is not mapped (map or `ignore` it)")
    (taken,) = looked(tmp_path, replace(mapping, ignored=("hour",)))
    assert taken.header == ("a", "dt", "shop", "hour")


def test_kept_records_have_it_as_well(session, tmp_path, key_file) -> None:
    mapping = wanted("csv")
    write(tmp_path / "export" / JANUARY / "x.csv", "csv", {"a": ["1"]})
    (chunk,) = looked(tmp_path / "export", mapping)
    keys = load_root_keys(key_file)
    kept = [(chunk.origin, 0, 2, seal(b"7", keys), keys.active)]
    rows = session.createDataFrame(kept, "origin string, block_start long, position long, sealed binary, kid string")
    (found,) = kept_records(rows, mapping, [chunk], key_file=key_file).select("fields.*").collect()
    assert tuple(found) == ("7", "2026-01-31", "a/b")


def test_only_folders_with_a_name_and_a_value_are_columns() -> None:
    assert values_of("=x/plain/a=/b%3Dc=1=2/d=e.csv") == {"a": "", "b=c": "1=2"}
