"""Who enters a campaign, with which words: questions to the lake, answered in columns by DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from services.activation.basis import HELD, SINCE, Basis
from services.activation.campaigns import CHANNELS, Campaign
from services.activation.members import make_members, refuse_incomplete
from services.activation.refusing import make_refused
from services.activation.tables import add, create, make
from services.activation.templates import pieces_of
from services.profiles.lake import Lake
from services.profiles.published import defaults
from spark_jobs.contracts.derived import PERSON_TAGS
from spark_jobs.contracts.identity import IDENTITY_MAP, PERSONS
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.triggers import TRIGGER_RUNS, TRIGGERS
from spark_jobs.errors import TerminalError
from spark_jobs.triggers.control import threshold

# What a trigger told of longer ago is no news any more.
FRESH_HOURS = 24

_OF_PERSON = """
SELECT DISTINCT person_id, person_id AS unit, '' AS object_id, '' AS waits,
    ('0x' || substr(sha256($salt || '/' || person_id), 1, 13))::BIGINT < $threshold AS is_control
"""
_OF_TAG = f"""{_OF_PERSON} FROM person_tags
WHERE workspace_id = $workspace AND generation = $generation AND tag = $tag AND list_contains($values, value)
"""
# A master id has one row for each time that it came to resolve to another.
_OF_AUDIENCE = f"{_OF_PERSON} FROM members JOIN registry USING (person_no) WHERE {SINCE} <= $snapshot_us"
_OF_TRIGGER = """
SELECT t.person_id, t."trigger" || '/' || t.waits || '/' || t.object_id AS unit, t.object_id, t.waits,
    t.state = 'control' AS is_control
FROM triggers AS t JOIN trigger_runs AS r
    ON r.workspace_id = t.workspace_id AND r."number" = t."number" AND r.generation = t.generation
WHERE t.workspace_id = $workspace AND t."trigger" = $trigger AND t.state IN ('sent', 'control')
    AND t."number" > $source AND epoch_us(t.released_at) > $fresh_us
"""
_ADDRESSES = f"""
SELECT person_id, type, scope, token FROM (
    SELECT person_id, type, scope, token,
        row_number() OVER (PARTITION BY person_id ORDER BY list_position($types, type), scope, token) AS place
    FROM map WHERE {HELD} AND list_contains($types, type))
WHERE place = 1
"""


@dataclass(frozen=True, slots=True)
class Entering:
    """How many an audience has; of them known to the campaign, refusing, out of the channel's reach, and entering."""

    audience: int
    known: int
    refused: int
    unreachable: int
    entering: int
    control: int


def make_known(lake: Lake, units: Iterable[pa.RecordBatch]) -> None:
    """Table `known` of the units that are in the campaign already."""
    make(lake, "known", pa.table({"unit": pa.array([], pa.string())}))
    for batch in units:
        add(lake, "known", pa.Table.from_batches([batch]))


def enter(lake: Lake, campaign: Campaign, basis: Basis, *, refusal_tag: str) -> Entering:
    """Make table `entering` of those who enter; the counts. TerminalError where a tag that it goes by is not fit.

    RetryableError where members of the audience are not there as a whole any more.
    """
    _refuse_unfit(campaign, basis)
    make_refused(lake, basis, refusal_tag=refusal_tag)
    _choose(lake, campaign, basis)
    values = _values(lake, campaign, basis)
    create(lake, ("addresses", _ADDRESSES), {"map": IDENTITY_MAP}, values)
    words, joins, more = _words(lake, campaign, basis)
    enters = f"""
    SELECT c.unit, c.person_id, c.is_control, a.type, a.scope, lower(hex(a.token)) AS token,
        substr(sha256($campaign || '/' || c.unit), 1, 32) AS message_key, {words} AS payload
    FROM chosen AS c JOIN addresses AS a USING (person_id) {joins}
    WHERE c.person_id NOT IN (SELECT person_id FROM refused) AND c.unit NOT IN (SELECT unit FROM known)
    """
    create(lake, ("entering", enters), {"person_tags": PERSON_TAGS} if joins else {}, {**values, **more})
    return _counted(lake)


def _choose(lake: Lake, campaign: Campaign, basis: Basis) -> None:
    """Table `chosen` of the whole audience, whether somebody enters or not."""
    values = _values(lake, campaign, basis)
    if basis.audiences is not None:
        make_members(lake, basis.audiences, campaign.audience.name)
        create(lake, ("chosen", _OF_AUDIENCE), {"registry": PERSONS}, values)
        refuse_incomplete(lake, basis.audiences, campaign.audience.name)
        return
    sql = _OF_TRIGGER if campaign.audience.trigger else _OF_TAG
    create(lake, ("chosen", sql), _tables(campaign, basis), values)


def entering(lake: Lake, *, rows: int = 100_000) -> Iterator[pa.RecordBatch]:
    """The rows of `entering`: columns as in `store.ASSIGNED`; nothing is to be said to the control group."""
    with lake.duck.cursor() as cursor:
        yield from cursor.sql(
            "SELECT unit, person_id, is_control, type, scope, token, message_key, "
            "CASE WHEN is_control THEN NULL ELSE payload END AS payload FROM entering"
        ).to_arrow_reader(rows)


def _refuse_unfit(campaign: Campaign, basis: Basis) -> None:
    """Tags that are not published, or of a sensitive class: a message would tell of it."""
    wanted = [campaign.audience.tag, *(one.value for one in campaign.variables if one.kind == "tag")]
    state = basis.published.state if basis.published else {}
    for tag in filter(None, wanted):
        if tag not in state:
            raise TerminalError(f"campaign {campaign.name}: tag {tag!r} is not published in {basis.workspace}")
        if classes := state[tag].get("classes"):
            raise TerminalError(
                f"campaign {campaign.name}: tag {tag!r} is of a sensitive class ({classes}); a message would tell of it"
            )


def _values(lake: Lake, campaign: Campaign, basis: Basis) -> dict[str, Any]:
    audience, published = campaign.audience, basis.published
    if audience.tag and published is not None:
        usual = defaults(lake, published).get(audience.tag)
        if usual in audience.values:
            raise TerminalError(
                f"campaign {campaign.name}: {usual!r} is the value of {audience.tag} that persons without a row have; "
                "wanted a value that a person was given"
            )
    return {
        "campaign": campaign.name,
        "workspace": basis.workspace,
        "generation": published.generation if published else "",
        "tag": audience.tag,
        "values": list(audience.values),
        "salt": campaign.salt,
        "threshold": threshold(campaign.share),
        "trigger": audience.trigger,
        "source": basis.source,
        "fresh_us": basis.base_us - FRESH_HOURS * 3_600_000_000,
        "types": list(CHANNELS[campaign.channel].identifiers),
        "snapshot_us": basis.snapshot_us,
        "base_us": basis.base_us,
    }


def _tables(campaign: Campaign, basis: Basis) -> Mapping[str, Table]:
    if campaign.audience.trigger:
        return {"triggers": TRIGGERS, "trigger_runs": TRIGGER_RUNS}
    if basis.published is None:
        raise TerminalError(f"no tags of {basis.workspace} are published, which campaign {campaign.name} goes by")
    return {"person_tags": PERSON_TAGS}


def _words(lake: Lake, campaign: Campaign, basis: Basis) -> tuple[str, str, dict[str, Any]]:
    """SQL of the payload, the joins that it needs, and values for both."""
    values: dict[str, Any] = {"channel": campaign.channel}
    columns: dict[str, str] = {}
    joins = ""
    usual = defaults(lake, basis.published) if basis.published else {}
    for number, variable in enumerate(campaign.variables):
        name = f"v{number}"
        if variable.kind == "field":
            columns[variable.name] = "$trigger" if variable.value == "trigger" else f"c.{variable.value}"
            continue
        values[name] = variable.value if variable.kind == "text" else usual.get(variable.value) or ""
        columns[variable.name] = f"${name}"
        if variable.kind == "tag":
            values[f"{name}_tag"] = variable.value
            joins += (
                f" LEFT JOIN (SELECT person_id, value FROM person_tags WHERE workspace_id = $workspace AND "
                f"generation = $generation AND tag = ${name}_tag) AS {name} ON {name}.person_id = c.person_id"
            )
            columns[variable.name] = f"coalesce({name}.value, ${name})"
    parts = []
    for place, (part, text) in enumerate(campaign.message):
        sql = []
        for piece, (literal, name) in enumerate(pieces_of(text)):
            values[f"p{place}_{piece}"] = literal
            sql.append(columns[name] if name else f"$p{place}_{piece}")
        parts.append(f"'{part}': concat({', '.join(sql) or repr('')})")
    key = "substr(sha256($campaign || '/' || c.unit), 1, 32)"
    message = "{" + ", ".join(parts) + "}"
    words = f"{{'key': {key}, 'campaign': $campaign, 'channel': $channel, 'message': {message}}}"
    return f"to_json({words})::VARCHAR", joins, values


def _counted(lake: Lake) -> Entering:
    sql = """
    SELECT (SELECT count(*) FROM chosen),
        (SELECT count(*) FROM chosen WHERE unit IN (SELECT unit FROM known)),
        (SELECT count(*) FROM chosen WHERE person_id IN (SELECT person_id FROM refused)),
        (SELECT count(*) FROM chosen WHERE person_id NOT IN (SELECT person_id FROM addresses)),
        (SELECT count(*) FROM entering), (SELECT count(*) FROM entering WHERE is_control)
    """
    return Entering(*lake.rows(sql, {}, {})[0])
