"""Live tags of a publication, prepared from the lake: what the batch saw of events and members, at its own versions.

Everything is read as the publication read it, by the identity map of its snapshot, also what happened behind the base
time: that is due at once, and answered before anybody is sent here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa

from services.live.definitions import LiveFacts, LiveTag
from services.live.packing import packed_columns, packed_events
from services.live.plan import LivePlan
from services.live.records import IDENT_DIGITS
from services.profiles import generations
from services.profiles.database import Database
from services.profiles.filling_identity import KNOWN
from services.profiles.generations import Pointer
from services.profiles.lake import Lake
from services.profiles.published import Published
from services.profiles.schema import LIVE
from services.profiles.tag_dictionary import Dictionary
from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_REFUSED, TAG_TIMERS, TAG_VERSIONS
from spark_jobs.contracts.identity import IDENTITY_MAP
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Workspace
from spark_jobs.tagging.calendar import micros, moment_of
from spark_jobs.tagging.definitions import Catalogue, Head
from spark_jobs.tagging.live import live_tags
from spark_jobs.tagging.moment import NEVER
from spark_jobs.tagging.recalling import head_from, tag_from

# Offsets are looked for among the events of so many days: the newest of them show how far the stream had come.
_OFFSET_DAYS = 2

_VERSIONS = """
SELECT tag, version, definition, head, watermark FROM versions
WHERE workspace_id = $workspace AND base_at = $base_at
"""
_HELD = f"WITH held AS (SELECT type, scope, token, valid_from, valid_to, person_no FROM map WHERE {KNOWN})"
_HOLDS = """
JOIN held AS m ON m.token = {rows}.subject_token AND m.type = {rows}.subject_type
AND m.scope = {rows}.subject_scope AND {rows}.{at} >= m.valid_from AND {rows}.{at} < m.valid_to
"""
_OF_EVENTS = _HOLDS.format(rows="e", at="occurred_at")
_SPANS = f"""
{_HELD} SELECT token, string_agg(concat_ws(',', epoch_us(valid_from), epoch_us(valid_to), person_no), ';') AS packed
FROM held WHERE token IN (
    SELECT token FROM held WHERE valid_from > TIMESTAMPTZ '1900-01-01 00:00:00+00'
    OR valid_to < TIMESTAMPTZ '9999-12-31 00:00:00+00'
) GROUP BY token ORDER BY token
"""
_REGISTERED = f"""
SELECT m.person_no, epoch_us(r.registered_at) AS registered,
    greatest(epoch_us(r.registered_at) + 1, epoch_us(r.valid_from)) AS since,
    coalesce(epoch_us(r.valid_to), {NEVER}) AS until
FROM members AS r {_HOLDS.format(rows="r", at="registered_at")}
WHERE r.workspace_id = $workspace AND (r.valid_to IS NULL OR epoch_us(r.valid_to) > $base)
"""
_REGISTRATIONS = f"{_HELD} SELECT * FROM ({_REGISTERED}) ORDER BY person_no"
_LEFT_OUT = """
SELECT DISTINCT person_no FROM refused WHERE workspace_id = $workspace AND generation = $generation ORDER BY person_no
"""
_OFFSETS = """
SELECT origin, max(origin_position) + 1 FROM events WHERE origin LIKE $stream AND occurred_date >= {since}
GROUP BY origin
"""


@dataclass(frozen=True, slots=True)
class Preparing:
    """What a generation of live tags is prepared from: a publication, and its tags as the store numbers them."""

    database: Database
    lake: Lake
    published: Published
    dictionary: Dictionary
    workspace: Workspace


def live_names(lake: Lake, published: Published) -> tuple[str, ...]:
    """The tags of a publication that are live, each behind those that it uses."""
    return tuple(tag.name for tag in _live_catalogue(_versions(lake, published)).tags)


def prepare(work: Preparing, pointer: Pointer) -> int:
    """Fill a generation of live tags that stands on the pointer's other ones; its number. It is not ready yet."""
    versions = _versions(work.lake, work.published)
    facts = _facts(work, versions)
    number = generations.begin(work.database, LIVE, workspace=pointer.workspace, facts=facts.as_json())
    tables = {"map": IDENTITY_MAP, "events": EVENTS, "members": MEMBERS}
    held: dict[str, Any] = {"at_us": work.published.snapshot_us, "workspace": pointer.workspace}
    based = {**held, "base": facts.base}
    _fill_facts(work, facts.plan, number, tables=tables, held=held)
    members = {name: tables[name] for name in ("map", "members")}
    registrations = work.lake.batches(_REGISTRATIONS, members, based)
    columns = packed_columns(registrations, ("registered", "since", "until"))
    _fill(work.database, f"registrations_{number}", columns, "person_no")
    spans = work.lake.batches(_SPANS, {"map": IDENTITY_MAP}, {"at_us": work.published.snapshot_us})
    _fill(work.database, f"spans_{number}", spans, "token")
    _fill(work.database, f"left_out_{number}", _left_out(work), "person_no")
    of_tags = {"generation": work.published.generation, "tags": list(facts.tags)}
    due = work.lake.batches(
        _due(facts.plan), {**tables, "person_tags": PERSON_TAGS, "timers": TAG_TIMERS}, {**based, **of_tags}
    )
    _fill(work.database, f"live_{number}", due, "person_no")
    with work.database.transaction():  # a statement by itself is ended after some seconds
        work.database.run(f"CREATE INDEX live_{number}_due ON live_{number} (next_at)")
    return number


def _facts(work: Preparing, versions: dict[str, tuple[Any, ...]]) -> LiveFacts:
    """What the generation is made of; tables are seen at the publication's versions from here on."""
    catalogue, published = _live_catalogue(versions), work.published
    marks = json.loads(versions[catalogue.tags[0].name][4])
    for table in (EVENTS, MEMBERS):
        work.lake.pin(table, int(str(marks[table.name]).partition("@")[0]))
    tags = {
        tag.name: LiveTag(work.dictionary.by_name[tag.name].number, versions[tag.name][1], bool(tag.classes))
        for tag in catalogue.tags
    }
    return LiveFacts(
        workspace=published.workspace,
        base=micros(published.base_at),
        zone=work.workspace.zone.key,
        complete_since=work.workspace.history_complete_since.isoformat(),
        head=versions[catalogue.tags[0].name][3],
        definitions={tag.name: versions[tag.name][2] for tag in catalogue.tags},
        tags=tags,
        starts=_starts(work),
    )


def _versions(lake: Lake, published: Published) -> dict[str, tuple[Any, ...]]:
    """Tag to its row of `tags.versions` (tag, version, definition, head, watermark) in a publication."""
    values = {"workspace": published.workspace, "base_at": published.base_at}
    rows = lake.rows(_VERSIONS, {"versions": TAG_VERSIONS}, values)
    wanted = {(name, facts["version"]) for name, facts in published.state.items()}
    found = {row[0]: row for row in rows if (row[0], row[1]) in wanted}
    if len(found) < len(wanted) or any(row[3] is None for row in found.values()):
        raise TerminalError(
            f"{published.workspace}: tags.versions does not hold all definitions of publication {published.number}; a "
            "former release made it: start `tags run` for a new base time, or load --without-live"
        )
    return found


def _live_catalogue(versions: dict[str, tuple[Any, ...]]) -> Catalogue:
    """The live tags of a publication, each behind those that it uses."""
    known = {name: tag_from(row[2]) for name, row in sorted(versions.items())}
    ordered: dict[str, None] = {}

    def put(name: str) -> None:
        for used, _ in known[name].uses:
            put(used)
        ordered[name] = None

    for name in known:
        put(name)
    head = head_from(next(iter(versions.values()))[3]) if versions else Head()
    return live_tags(Catalogue(head, tuple(known[name] for name in ordered))).catalogue


def _starts(work: Preparing) -> dict[int, int]:
    """Partition to an offset before which the pinned events hold all that the topic had; a lower one does no harm."""
    stream = f"stream/{EVENTS_TOPIC.name}/"
    since = (work.published.base_at - timedelta(days=_OFFSET_DAYS)).date()
    sql = _OFFSETS.format(since=f"DATE '{since.isoformat()}'")
    rows = work.lake.rows(sql, {"events": EVENTS}, {"stream": f"{stream}%"})
    return {int(origin.removeprefix(stream)): int(offset) for origin, offset in rows}


def _fill_facts(work: Preparing, plan: LivePlan, number: int, *, tables: dict[str, Any], held: dict[str, Any]) -> None:
    texts = "".join(f", e.{name}" for name in plan.fields)
    since = "" if plan.counts_all else f" AND e.occurred_date >= {_date(plan.since)}"
    ident = f"('0x' || substr(md5(e.event_id), 1, {IDENT_DIGITS}))::BIGINT"
    sql = (
        f"{_HELD} SELECT m.person_no, epoch_us(e.occurred_at) AS moment, "
        f"CASE WHEN epoch_us(e.occurred_at) >= {plan.late_from} THEN {ident} ELSE -1 END AS ident{texts} "
        f"FROM events AS e {_OF_EVENTS} WHERE e.workspace_id = $workspace{_named(plan)}{since} ORDER BY m.person_no"
    )
    batches = work.lake.batches(sql, {name: tables[name] for name in ("map", "events")}, held)
    _fill(work.database, f"facts_{number}", packed_events(batches, plan), "person_no")


def _left_out(work: Preparing) -> Iterator[pa.RecordBatch]:
    """Who refused profiling when the batch ran; before any run could leave somebody out there was no table of them."""
    if work.published.refusals:
        values = {"workspace": work.published.workspace, "generation": work.published.generation}
        yield from work.lake.batches(_LEFT_OUT, {"refused": TAG_REFUSED}, values)


def _due(plan: LivePlan) -> str:
    """Persons by when they are to be answered anew: by the batch's timers, or what was known beyond its base time."""
    base_date = _date(plan.moment.base)
    return f"""
{_HELD}, registered AS ({_REGISTERED}), due AS (
    SELECT person_no, epoch_us(next_change_at) AS moment FROM person_tags WHERE workspace_id = $workspace
    AND generation = $generation AND list_contains($tags, tag) AND next_change_at IS NOT NULL
    UNION ALL
    SELECT person_no, one."at" AS moment FROM (
        SELECT person_no, unnest(waiting) AS one FROM timers
        WHERE workspace_id = $workspace AND generation = $generation
    ) WHERE list_contains($tags, one.tag)
    UNION ALL
    SELECT m.person_no, epoch_us(e.occurred_at) + 1 AS moment FROM events AS e {_OF_EVENTS}
    WHERE e.workspace_id = $workspace AND e.occurred_date >= {base_date}
    AND epoch_us(e.occurred_at) >= $base{_named(plan)}
    UNION ALL SELECT person_no, since AS moment FROM registered WHERE since > $base
    UNION ALL SELECT person_no, until AS moment FROM registered WHERE until > $base AND until < {NEVER}
)
SELECT person_no, min(moment)::BIGINT AS next_at, $base::BIGINT AS as_of, ''::VARCHAR AS answers, ''::BLOB AS events
FROM due GROUP BY person_no ORDER BY person_no
"""


def _named(plan: LivePlan) -> str:
    """A condition that leaves out events of names that no live tag looks at."""
    if plan.names is None:
        return ""
    texts = ", ".join("'" + name.replace("'", "''") + "'" for name in plan.names)
    return f" AND e.name IN ({texts})"


def _date(at_us: int) -> str:
    return f"DATE '{moment_of(at_us).date().isoformat()}'"


def _fill(database: Database, table: str, batches: Iterable[pa.RecordBatch], key: str) -> None:
    database.bulk(table, batches)
    database.index(table, key)
