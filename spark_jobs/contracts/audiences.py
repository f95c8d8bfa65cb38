"""Contracts of audiences: their members as bitmaps, who came and went, and what makes both count."""

from __future__ import annotations

from spark_jobs.contracts.core import WORKSPACE
from spark_jobs.contracts.schema import Column, Table

# Rows of these names stand beside the audiences of a generation; no audience can be called so.
PERSONS = "_persons"  # all persons that audiences are drawn from
REFUSED = "_refused"  # who refuses profiling, and is in no audience

# A chunk is so many person numbers: member n of chunk c has the person number c * 2^CHUNK_BITS + n.
CHUNK_BITS = 20

_VERSION = Column("version", "string", "hash of its rule, the versions of its tags, and refusals", nullable=False)
_CLASSES = Column("classes", "string", "sensitive classes (health, minors, finance), with commas; '' for none")

AUDIENCES = Table(
    name="tags.audiences",
    grain="the members of one audience within one chunk of 2^20 person numbers, in one generation",
    key=("workspace_id", "generation", "audience", "chunk"),
    partition_by=("workspace_id", "audience"),
    statistics_on=("generation", "chunk"),
    columns=(
        WORKSPACE,
        Column(
            "audience",
            "string",
            f"name of the audience; `{PERSONS}`: all that audiences are drawn from; `{REFUSED}`: who refuses profiling",
            nullable=False,
        ),
        Column("chunk", "bigint", "person_no divided by 2^20, rounded down", nullable=False),
        Column(
            "members",
            "binary",
            "remainders of person_no by 2^20: a Roaring bitmap of 32 bits in the portable format",
            nullable=False,
            personal="pseudonym",
        ),
        Column("persons", "bigint", "members of the bitmap", nullable=False),
        _VERSION,
        _CLASSES,
        Column("base_at", "timestamp", "moment for which the tags hold, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        Column("generation", "string", "run that wrote the row; `tags.audience_publications` says which count"),
    ),
)

AUDIENCE_CHANGES = Table(
    name="tags.audience_changes",
    grain="one person who entered or left one audience with one publication; in order they give its members",
    key=("workspace_id", "audience", "person_no", "generation"),
    partition_by=("workspace_id",),
    statistics_on=("person_no", "audience", "base_at", "state_version"),
    columns=(
        WORKSPACE,
        Column("state_version", "bigint", "number of the publication that brought it; their order", nullable=False),
        Column("audience", "string", "name of the audience", nullable=False),
        Column("person_id", "string", "master id", nullable=False, personal="pseudonym"),
        Column("person_no", "bigint", "dense person number", nullable=False, personal="pseudonym"),
        Column("change", "string", "`enter` or `exit`", nullable=False),
        Column(
            "cause",
            "string",
            "`first`: the audience is new; `definition`: it was changed or went; `refusal`: profiling was refused, or "
            "is no longer; `merge`: the id resolves to another person; `identity`: the person is new, split off, or "
            "without an identifier; `tags`: a value changed; `rule`: a tag says another thing of who has no row",
            nullable=False,
        ),
        Column("survivor_id", "string", "whom the id resolves to; itself while it lives", personal="pseudonym"),
        Column(
            "tags",
            "array<struct<tag:string,old_value:string,new_value:string,cause:string>>",
            "of the cause `tags`: what changed of the tags that the audience goes by, with the cause of each",
            personal="personal",
        ),
        Column("base_at", "timestamp", "moment for which the new state holds, UTC", nullable=False),
        _VERSION,
        _CLASSES,
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        Column("generation", "string", "run that wrote the row; `tags.audience_publications` says which count"),
    ),
)

AUDIENCE_PUBLICATIONS = Table(
    name="tags.audience_publications",
    grain="one generation of a workspace's audiences that readers may see; one append makes all its rows count",
    key=("workspace_id", "generation"),
    statistics_on=("workspace_id", "number"),
    columns=(
        WORKSPACE,
        Column("generation", "string", "run that wrote the rows", nullable=False),
        Column("number", "bigint", "from 1; the largest is in force", nullable=False),
        Column("tags_number", "bigint", "number of the publication of tags that it was made of", nullable=False),
        Column("tags_generation", "string", "its generation", nullable=False),
        Column("base_at", "timestamp", "moment for which the tags hold, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        Column("published_at", "timestamp", "when, UTC", nullable=False),
        Column("persons", "bigint", "persons that audiences are drawn from: NOT goes by them", nullable=False),
        Column("refused", "bigint", "persons left out, because they refuse profiling", nullable=False),
        Column("changes", "bigint", "rows of tags.audience_changes that it brought", nullable=False),
        Column("refusals", "string", "what it knew of refusals: the tag, and a hash of notes", nullable=False),
        Column(
            "audiences",
            "string",
            "of each audience: rule, version, classes, tags, persons, persons of whom it is unknown, definition; a "
            "JSON object",
            nullable=False,
        ),
    ),
)

AUDIENCE_DELIVERIES = Table(
    name="tags.audience_deliveries",
    grain="one publication of audiences that stands in their topics as a whole",
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
