"""Who refuses profiling, as a campaign asks: by notes and by the tag of the settings; they are told nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from services.activation.basis import HELD, SINCE, Basis
from services.activation.tables import create, make
from services.profiles.lake import Lake
from services.profiles.published import defaults
from spark_jobs.contracts.derived import PERSON_TAGS
from spark_jobs.contracts.identity import IDENTITY_MAP, PERSONS
from spark_jobs.errors import TerminalError
from spark_jobs.people.refusals import OF_PERSON, OF_TOKEN, Note
from spark_jobs.settings import REFUSING

_BY_TOKEN = f"SELECT person_id FROM map WHERE {HELD} AND token IN (SELECT subject FROM notes)"
# A note of a master id means what that id resolves to.
_BY_ID = f"""
SELECT arg_max(survivor_id, {SINCE}) AS person_id FROM registry
WHERE {SINCE} <= $snapshot_us AND person_id IN (SELECT person_id FROM refused_ids) GROUP BY registry.person_id
UNION SELECT person_id FROM refused_ids
"""
_OF_REFUSAL_TAG = """
SELECT person_id FROM person_tags
WHERE workspace_id = $workspace AND generation = $generation AND tag = $refusal_tag AND value
"""
_BY_TAG = f"{_OF_REFUSAL_TAG} = '{REFUSING}'"
_BY_NO_ROW = f"SELECT person_id FROM map WHERE {HELD} AND person_id NOT IN ({_OF_REFUSAL_TAG} <> '{REFUSING}')"
# Ids that resolve to somebody by now: who was in a wave as one of them is in it still.
_RESOLVING = f"""
SELECT person_id FROM registry
WHERE {SINCE} <= $snapshot_us
    AND person_id IN (SELECT person_id FROM registry WHERE survivor_id IN (SELECT person_id FROM refusing))
GROUP BY person_id HAVING arg_max(survivor_id, {SINCE}) IN (SELECT person_id FROM refusing)
"""


def make_notes(lake: Lake, notes: Iterable[Note]) -> None:
    """Table `notes` of refused tokens, and `refused_ids` of refused master ids."""
    given = list(notes)
    tokens = [subject for kind, subject in given if kind == OF_TOKEN]
    ids = [str(uuid.UUID(bytes=subject)) for kind, subject in given if kind == OF_PERSON]
    make(lake, "notes", pa.table({"subject": pa.array(tokens, pa.binary())}))
    make(lake, "refused_ids", pa.table({"person_id": pa.array(ids, pa.string())}))


def make_refused(lake: Lake, basis: Basis, *, refusal_tag: str) -> None:
    """Table `refused`: person_id of who refuses profiling, by the notes of `make_notes` and by the tag ('' for none).

    Ids that resolve to one of them are among them. TerminalError where no such tag is published.
    """
    published = basis.published
    values: dict[str, Any] = {"snapshot_us": basis.snapshot_us, "base_us": basis.base_us, "workspace": basis.workspace}
    tables, ways = {"map": IDENTITY_MAP, "registry": PERSONS}, [_BY_TOKEN, _BY_ID]
    if refusal_tag:
        if published is None or refusal_tag not in published.state:
            raise TerminalError(
                f"{basis.workspace} publishes no tag {refusal_tag!r}, which [profiles] refusal_tag names: nobody's "
                "refusal would be honoured; compute the tag first, or correct the setting"
            )
        values |= {"generation": published.generation, "refusal_tag": refusal_tag}
        tables |= {"person_tags": PERSON_TAGS}
        is_usual = defaults(lake, published).get(refusal_tag) == REFUSING
        ways.append(_BY_NO_ROW if is_usual else _BY_TAG)
    create(lake, ("refusing", " UNION ".join(ways)), tables, values)
    create(lake, ("refused", f"SELECT person_id FROM refusing UNION {_RESOLVING}"), {"registry": PERSONS}, values)


def not_refusing(lake: Lake, batches: Iterable[pa.RecordBatch], left_out: list[int]) -> Iterator[pa.RecordBatch]:
    """The rows of persons who are not in table `refused`, without `person_id`; how many are, goes into `left_out`."""
    for batch in batches:
        make(lake, "told", pa.Table.from_batches([batch.select(["person_id"])]))
        found = lake.rows(
            "SELECT DISTINCT person_id FROM told WHERE person_id IN (SELECT person_id FROM refused)", {}, {}
        )
        refusing = pa.array([person_id for (person_id,) in found], pa.string())
        kept = batch.filter(pc.invert(pc.is_in(batch.column("person_id"), value_set=refusing)))
        left_out.append(batch.num_rows - kept.num_rows)
        yield kept.select([name for name in batch.schema.names if name != "person_id"])
