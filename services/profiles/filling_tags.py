"""The table of a tags generation, whole from the lake or from the generation before and the changes since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from services.profiles.database import Database
from services.profiles.filling_identity import number_ranges
from services.profiles.lake import Lake
from services.profiles.packing import merged, packed_rows, rows_of
from services.profiles.published import Published
from services.profiles.tag_dictionary import Dictionary, dictionary_of
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS

# Changes of runs that died before they published stand in the table as well.
_COUNTED = """
SELECT generation FROM publications WHERE workspace_id = $workspace AND kind = 'current' AND number <= $number
"""
_WHOLE = f"""
WITH names AS (SELECT unnest($names) AS tag, unnest($numbers) AS tag_no),
began AS (
    SELECT tag, person_no, max_by(epoch_us(base_at), state_version) AS since FROM changes
    WHERE workspace_id = $workspace AND state_version <= $number AND generation IN ({_COUNTED}) GROUP BY tag, person_no
)
SELECT t.person_no, t.tag = $refusing AND t.value = 'true' AS refuses,
    concat('[', tag_no, ',', to_json(t.value), ',', coalesce(began.since::VARCHAR, 'null'), ']') AS piece
FROM person_tags AS t JOIN names USING (tag) LEFT JOIN began ON began.tag = t.tag AND began.person_no = t.person_no
WHERE t.workspace_id = $workspace AND t.generation = $generation ORDER BY t.person_no, tag_no
"""
# The last change of each tag of each person; one struct, as a new value may be null.
_CHANGED = f"""
WITH names AS (SELECT unnest($names) AS tag, unnest($numbers) AS tag_no)
SELECT person_no, tag_no, last.value AS value, last.since AS since FROM (
    SELECT person_no, tag, max_by(struct_pack(value := new_value, since := epoch_us(base_at)), state_version) AS last
    FROM changes WHERE workspace_id = $workspace AND state_version > $since AND state_version <= $number
    AND generation IN ({_COUNTED}) GROUP BY person_no, tag
) JOIN names USING (tag) ORDER BY person_no
"""
_PERSONS_AT_ONCE = 500
_TABLES = {"person_tags": PERSON_TAGS, "changes": TAG_CHANGES, "publications": TAG_PUBLICATIONS}

Change = tuple[int, int, str | None, int | None]


def fill_tags(
    database: Database, lake: Lake, published: Published, tags: Dictionary, *, number: int, refusal_tag: str
) -> int:
    """Read everything; rows that were written. A person has one row, however many tags."""
    values = {**_values(published, tags), "generation": published.generation, "refusing": refusal_tag}
    pieces = lake.batches(_WHOLE, _TABLES, values)
    count = database.bulk(f"profiles_{number}", packed_rows(pieces))
    database.index(f"profiles_{number}", "person_no")
    return count


def renew_tags(
    database: Database, changes: Iterator[list[Change]], *, number: int, old: int, refusing: int | None
) -> int:
    """Copy the generation before inside the store, with the rows of persons in `changes` made anew; those persons."""
    stage = f"stage_{number}"
    database.create(stage, "person_no BIGINT, tags INTEGER NOT NULL, refused INTEGER NOT NULL, packed TEXT NOT NULL")
    count = database.bulk(stage, _renewed(database, changes, old=old, refusing=refusing))
    database.index(stage, "person_no")
    columns = "person_no, tags, refused, packed"
    for since, until in number_ranges(database, f"profiles_{old}"):
        with database.transaction():
            database.run(
                f"INSERT INTO profiles_{number} ({columns}) SELECT {columns} FROM profiles_{old} AS p "
                "WHERE person_no >= ? AND person_no < ? "
                f"AND NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE s.person_no = p.person_no) ORDER BY person_no",
                [since, until],
            )
    with database.transaction():
        database.run(
            f"INSERT INTO profiles_{number} ({columns}) SELECT {columns} FROM {stage} WHERE tags > 0 ORDER BY person_no"
        )
    database.run(f"DROP TABLE {stage}")
    database.index(f"profiles_{number}", "person_no")
    return count


def changes_of(
    lake: Lake, published: Published, tags: Dictionary, *, before: Dictionary, since: int
) -> Iterator[list[Change]]:
    """The last change of each tag of each person since a publication, some persons at a time, by person.

    Tags that went keep the numbers that they had `before`, by which their values are taken out.
    """
    every = dictionary_of([*before.by_number.values(), *tags.by_number.values()])
    values = {**_values(published, every), "since": since}
    tables = {name: _TABLES[name] for name in ("changes", "publications")}
    rows = (row for batch in lake.batches(_CHANGED, tables, values) for row in _rows(batch))
    part: list[Change] = []
    for place, (_, group) in enumerate(groupby(rows, key=lambda row: row[0]), start=1):
        part += group
        if place % _PERSONS_AT_ONCE == 0:
            yield part
            part = []
    if part:
        yield part


def values_in(database: Database, number: int) -> int:
    """How many tag values a generation holds, of persons who refuse profiling as well."""
    with database.transaction():
        return int(database.rows(f"SELECT coalesce(sum(tags), 0) FROM profiles_{number}")[0][0] or 0)


def _renewed(
    database: Database, changes: Iterator[list[Change]], *, old: int, refusing: int | None
) -> Iterator[pa.RecordBatch]:
    for part in changes:
        persons = list(dict.fromkeys(person for person, *_ in part))
        yield rows_of(merged(_before(database, old, persons), part), refusing)


def _before(database: Database, old: int, persons: Sequence[int]) -> dict[int, str]:
    marks = ", ".join("?" for _ in persons)
    rows = database.rows(f"SELECT person_no, packed FROM profiles_{old} WHERE person_no IN ({marks})", persons)
    return {int(person or 0): str(packed) for person, packed in rows}


def _values(published: Published, tags: Dictionary) -> dict[str, Any]:
    return {
        "workspace": published.workspace,
        "number": published.number,
        "names": list(tags.by_name),
        "numbers": [tag.number for tag in tags.by_name.values()],
    }


def _rows(batch: pa.RecordBatch) -> Iterator[Change]:
    yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
