"""Contracts of what is computed from events and identity: sessions and tags."""

from __future__ import annotations

from spark_jobs.contracts.core import WORKSPACE
from spark_jobs.contracts.schema import Column, Table

_PERSON = (
    Column("person_id", "string", "master id", nullable=False, personal="pseudonym"),
    Column("person_no", "bigint", "dense person number", nullable=False, personal="pseudonym"),
)

SESSIONS = Table(
    name="core.sessions",
    grain="one visit of one person to one app, split after 30 idle minutes",
    key=("session_id",),
    partition_by=("session_date",),
    statistics_on=("person_no", "started_at"),
    columns=(
        WORKSPACE,
        Column("session_id", "string", "hash of person, app and first event", nullable=False),
        *_PERSON,
        Column("app", "string", "app or site", nullable=False),
        Column("started_at", "timestamp", "first event, UTC", nullable=False),
        Column("ended_at", "timestamp", "last event, UTC", nullable=False),
        Column("session_date", "date", "UTC day of started_at", nullable=False),
        Column("duration_s", "bigint", "last event minus first, whole seconds", nullable=False),
        Column("events", "bigint", "events of the visit", nullable=False),
        Column("purchases", "bigint", "purchase events of the visit", nullable=False),
        Column("channel", "string", "channel of the first event"),
        Column("campaign", "string", "campaign of the first event"),
        Column("authenticated", "boolean", "true where any event was", nullable=False),
        Column("snapshot_id", "string", "identity snapshot that it was cut with", nullable=False),
    ),
)

_GENERATION = (
    Column("generation", "string", "run that wrote the row; it counts where `tags.publications` names that run"),
    Column("classes", "string", "sensitive classes of the tag (health, minors, finance), with commas; '' for none"),
)

PERSON_TAGS = Table(
    name="tags.person_tags",
    grain="the value of one tag of one person in one generation; persons without a row have the `otherwise` value",
    key=("workspace_id", "generation", "tag", "person_id"),
    partition_by=("workspace_id", "tag"),
    statistics_on=("generation", "person_no", "value"),
    columns=(
        WORKSPACE,
        Column("tag", "string", "tag name of the catalogue", nullable=False),
        *_PERSON,
        Column("value", "string", "level, `true`, a number as text, or `unknown`", nullable=False, personal="personal"),
        Column("next_change_at", "timestamp", "not before it the value may change by time alone, UTC; null for never"),
        Column("base_at", "timestamp", "moment for which the value holds, UTC", nullable=False),
        Column("version", "string", "hash of rule, base time, identity snapshot and data watermark", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        *_GENERATION,
    ),
)

TAG_CHANGES = Table(
    name="tags.changes",
    grain="one change of one tag of one person from one publication to the next; in order they give the state in force",
    key=("workspace_id", "tag", "person_id", "generation"),
    partition_by=("workspace_id",),
    statistics_on=("person_no", "tag", "base_at", "state_version"),
    columns=(
        WORKSPACE,
        Column("state_version", "bigint", "number of the publication that brought it; their order", nullable=False),
        Column("tag", "string", "tag name of the catalogue", nullable=False),
        *_PERSON,
        Column("old_value", "string", "value before; null where there was none", personal="personal"),
        Column("new_value", "string", "value after; null where it went", personal="personal"),
        Column(
            "cause", "string", "`first`, `events`, `time`, `identity`, `rule`, `limits` or `refusal`", nullable=False
        ),
        Column("base_at", "timestamp", "moment for which the new value holds, UTC", nullable=False),
        Column("version", "string", "version of the new value, or the last where the tag went", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        *_GENERATION,
    ),
)

TAG_TIMERS = Table(
    name="tags.timers",
    grain="one person of whom a tag may change by time alone, whether it has a value now or not",
    key=("workspace_id", "generation", "person_id"),
    partition_by=("workspace_id",),
    statistics_on=("generation", "person_no", "next_change_at"),
    columns=(
        WORKSPACE,
        *_PERSON,
        Column("next_change_at", "timestamp", "earliest such moment of all tags, UTC", nullable=False),
        Column("base_at", "timestamp", "moment for which the tags were computed, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        _GENERATION[0],
        Column(
            "waiting",
            "array<struct<tag:string,at:bigint>>",
            "tags of `otherwise` value, so without a row, and when each may change, in microseconds since 1970 UTC",
        ),
    ),
)

TAG_PUBLICATIONS = Table(
    name="tags.publications",
    grain="one generation of a workspace's tags that readers may see; one append makes all its rows count",
    key=("workspace_id", "generation"),
    statistics_on=("workspace_id", "number"),
    columns=(
        WORKSPACE,
        Column("generation", "string", "run that wrote the rows", nullable=False),
        Column(
            "number",
            "bigint",
            "of states, from 1: the largest is in force; of others the next one then",
            nullable=False,
        ),
        Column("kind", "string", "`current`, or `as_of` for a moment before the state in force", nullable=False),
        Column("base_at", "timestamp", "moment for which the values hold, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        Column("published_at", "timestamp", "when, UTC", nullable=False),
        Column("persons", "bigint", "persons of whom any source knows something", nullable=False),
        Column("rows", "bigint", "values that are not `otherwise`", nullable=False),
        Column("changes", "bigint", "rows of tags.changes that it brought", nullable=False),
        Column("state", "string", "rule, basis, version and classes of each tag, a JSON object", nullable=False),
        Column("limits", "string", "limits of each quantile's bands, a JSON object", nullable=False),
        Column("populations", "string", "persons per tag and value, a JSON object", nullable=False),
        Column(
            "refused", "bigint", "persons who refuse profiling, and have no tags; null in rows of releases before it"
        ),
    ),
)

TAG_REFUSED = Table(
    name="tags.refused",
    grain="one person who refuses profiling in one generation: of whom no tag has a value but the one that says so",
    key=("workspace_id", "generation", "person_id"),
    partition_by=("workspace_id",),
    statistics_on=("generation", "person_no"),
    columns=(
        WORKSPACE,
        *_PERSON,
        Column("tag", "string", "the tag that says who refuses, whose values stay; '' for none", nullable=False),
        Column("base_at", "timestamp", "moment for which the tags were computed, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        _GENERATION[0],
    ),
)

TAG_VERSIONS = Table(
    name="tags.versions",
    grain="one version of one tag: everything that its values follow from; append-only",
    key=("workspace_id", "tag", "version"),
    partition_by=("workspace_id",),
    statistics_on=("tag", "base_at"),
    columns=(
        WORKSPACE,
        Column("tag", "string", "tag name of the catalogue", nullable=False),
        Column("version", "string", "hash of rule, base time, identity snapshot and data watermark", nullable=False),
        Column("rule_hash", "string", "hash of the rule", nullable=False),
        Column("base_at", "timestamp", "moment for which the values hold, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        Column("watermark", "string", "versions of the tables that the rule reads, a JSON object", nullable=False),
        Column("definition", "string", "the whole definition, a JSON object", nullable=False),
        Column("head", "string", "what the catalogue declares, a JSON object; null in rows of releases before it"),
    ),
)

TAG_DRIFT = Table(
    name="tags.drift",
    grain="one tag whose shares kept one publication from being made, or a person's acceptance of just that; "
    "append-only",
    key=("workspace_id", "finding", "kind"),
    statistics_on=("workspace_id", "number"),
    columns=(
        WORKSPACE,
        Column("finding", "string", "hash of number, base time, tag, rule, bands and shares", nullable=False),
        Column("kind", "string", "`refused`, or `accepted` by a person", nullable=False),
        Column("number", "bigint", "number that the publication would have had", nullable=False),
        Column("tag", "string", "tag name of the catalogue", nullable=False),
        Column("rule", "string", "hash of the rule", nullable=False),
        Column("base_at", "timestamp", "moment for which the tags were computed, UTC", nullable=False),
        Column("levels", "string", "level, share and what was wanted, a JSON list; null for sensitive tags"),
        Column("author", "string", "who accepted it; null where it was refused"),
        Column("reason", "string", "why; null where it was refused"),
        Column("noted_at", "timestamp", "when, UTC", nullable=False),
    ),
)

TAG_DELIVERIES = Table(
    name="tags.deliveries",
    grain="one publication that stands in the topics of tags as a whole",
    key=("workspace_id", "number"),
    statistics_on=("workspace_id", "number"),
    columns=(
        WORKSPACE,
        Column("number", "bigint", "number of the publication", nullable=False),
        Column("generation", "string", "run that made it", nullable=False),
        Column("messages", "bigint", "messages of both topics, notes included", nullable=False),
        Column("delivered_at", "timestamp", "when, UTC", nullable=False),
    ),
)
