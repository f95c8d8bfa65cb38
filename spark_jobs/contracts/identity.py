"""Contracts of One-ID: identifiers, the ledger of links, persons and the map."""

from __future__ import annotations

from spark_jobs.contracts.schema import Column, Table

# Null in rows of releases before it: those are known from the beginning.
SYSTEM_FROM = Column("system_from", "timestamp", "since when the platform knew it, UTC; null from the beginning")

IDENTIFIERS = Table(
    name="core.identifiers",
    grain="one (type, scope, token) and the 64-bit number that stands for it for ever",
    key=("type", "scope", "token"),
    cluster_by=("identifier_no",),
    statistics_on=("identifier_no",),
    columns=(
        Column("identifier_no", "bigint", "dense number, assigned once, never reused", nullable=False),
        Column("type", "string", "identifier type", nullable=False),
        Column("scope", "string", "app, account or site within which the value counts; '' where none", nullable=False),
        Column("token", "binary", "16-byte keyed hash of the normalised value", nullable=False, personal="pseudonym"),
        Column("kid", "string", "id of the key that made the token; '' where no source said", nullable=False),
        Column("first_seen_at", "timestamp", "earliest event that carried it, UTC", nullable=False),
        Column("run_id", "string", "identity run that assigned the number", nullable=False),
    ),
)

IDENTITY_LINKS = Table(
    name="core.identity_links",
    grain="one observed link between two identifiers from one source, append-only",
    key=("link_id", "run_id"),
    cluster_by=("identifier_a",),
    statistics_on=("identifier_a", "identifier_b", "last_seen_at"),
    columns=(
        Column("link_id", "string", "hash of both identifiers, kind and source", nullable=False),
        Column("identifier_a", "bigint", "smaller identifier number", nullable=False, personal="pseudonym"),
        Column("identifier_b", "bigint", "larger identifier number", nullable=False, personal="pseudonym"),
        Column("kind", "string", "`co_occurrence`, `registration`, `alias` or `negative`", nullable=False),
        Column("authenticated", "boolean", "true where the source had checked who it was", nullable=False),
        Column("source", "string", "system that showed the link", nullable=False),
        Column("event_id", "string", "first event or record that showed it", nullable=False),
        Column("observations", "bigint", "events that showed it in this run", nullable=False),
        Column("first_seen_at", "timestamp", "earliest observation, UTC", nullable=False),
        Column("last_seen_at", "timestamp", "latest observation, UTC", nullable=False),
        Column("author", "string", "who decided it; null where events or records showed it"),
        Column("reason", "string", "why it was decided; null where events or records showed it"),
        Column("rule_version", "string", "identity rules in force when it was written", nullable=False),
        Column("run_id", "string", "identity run that wrote it", nullable=False),
    ),
)

IDENTITY_LINK_STATES = Table(
    name="core.identity_link_states",
    grain="one link of the ledger in one state in one span of system time: every link is in exactly one state",
    key=("identifier_a", "identifier_b", "system_from"),
    cluster_by=("identifier_a",),
    statistics_on=("identifier_a", "identifier_b", "state", "system_from", "system_to"),
    columns=(
        Column("identifier_a", "bigint", "smaller identifier number", nullable=False, personal="pseudonym"),
        Column("identifier_b", "bigint", "larger identifier number", nullable=False, personal="pseudonym"),
        Column("state", "string", "`used`, `redundant`, `parked` or `blocked`", nullable=False),
        Column("reason", "string", "rule that decided it", nullable=False),
        Column("snapshot_id", "string", "identity snapshot that judged it so first", nullable=False),
        SYSTEM_FROM,
        Column("system_to", "timestamp", "until when it was judged so, UTC; null while it is"),
    ),
)

PERSONS = Table(
    name="core.persons",
    grain="one master id since it was minted or resolves to another person; append-only, the newest row holds",
    key=("person_id", "system_from"),
    cluster_by=("person_no",),
    statistics_on=("person_no", "person_id", "system_from"),
    columns=(
        Column(
            "person_id", "string", "UUIDv5 of the seed identifier and generation", nullable=False, personal="pseudonym"
        ),
        Column("person_no", "bigint", "dense number for bitmaps, never reused", nullable=False, personal="pseudonym"),
        Column("seed_identifier_no", "bigint", "identifier that seeded the id", nullable=False, personal="pseudonym"),
        Column(
            "generation",
            "int",
            "1 for the first id seeded by this identifier; more where persons were erased before",
            nullable=False,
        ),
        Column("first_seen_at", "timestamp", "first seen of the seed, UTC", nullable=False),
        Column("survivor_id", "string", "the person this id resolves to; its own id while it lives", nullable=False),
        Column("snapshot_id", "string", "identity snapshot that wrote the row", nullable=False),
        SYSTEM_FROM,
    ),
)

IDENTITY_MAP = Table(
    name="core.identity_map",
    grain="one identifier belonging to one person in one span of valid time, as known in one span of system time",
    key=("identifier_no", "valid_from", "system_from"),
    cluster_by=("identifier_no",),
    statistics_on=("identifier_no", "person_no", "system_from", "system_to"),
    columns=(
        Column("identifier_no", "bigint", "identifier number", nullable=False, personal="pseudonym"),
        Column("type", "string", "identifier type", nullable=False),
        Column("scope", "string", "scope of the identifier", nullable=False),
        Column("token", "binary", "16-byte token", nullable=False, personal="pseudonym"),
        Column("person_id", "string", "master id", nullable=False, personal="pseudonym"),
        Column("person_no", "bigint", "dense person number", nullable=False, personal="pseudonym"),
        Column("valid_from", "timestamp", "since when it holds, UTC; 1900-01-01 for always", nullable=False),
        Column("valid_to", "timestamp", "until when (exclusive), UTC; 9999-12-31 for ever", nullable=False),
        Column("system_from", "timestamp", "since when the platform knew it, UTC", nullable=False),
        Column("system_to", "timestamp", "until when the platform held it so; null while it does"),
        Column("snapshot_id", "string", "identity snapshot that wrote the row", nullable=False),
    ),
)

IDENTITY_HOMES = Table(
    name="core.identity_homes",
    grain="the person that an identifier belongs to when every merge is undone; append-only, the newest row holds",
    key=("identifier_no", "system_from"),
    cluster_by=("identifier_no",),
    statistics_on=("identifier_no", "system_from"),
    columns=(
        Column("identifier_no", "bigint", "identifier number", nullable=False, personal="pseudonym"),
        Column("person_id", "string", "who held it first, or was minted for it", nullable=False, personal="pseudonym"),
        Column("system_from", "timestamp", "since when the platform knew it, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot that wrote the row", nullable=False),
    ),
)

PERSON_EVENTS = Table(
    name="core.person_events",
    grain="one merge, split or move of one master id, or identifiers that go from one person to another, in one "
    "snapshot; append-only; merges, splits and moves in order give the registry",
    key=("person_id", "to_person_id", "system_from"),
    statistics_on=("person_id", "from_person_id", "to_person_id", "system_from"),
    columns=(
        Column("person_id", "string", "the id that it happened to", nullable=False, personal="pseudonym"),
        Column(
            "kind",
            "string",
            "`merge`: it lived and resolves to another now; `split`: it lives on its own now; `move`: it resolves to "
            "another than before; `handover`: identifiers of it belong to another since, by neither",
            nullable=False,
        ),
        Column("from_person_id", "string", "whom it resolved to", nullable=False, personal="pseudonym"),
        Column("to_person_id", "string", "whom it resolves to", nullable=False, personal="pseudonym"),
        Column("cause", "string", "new judgement of the link; `rules` where no link was judged anew", nullable=False),
        Column("identifier_a", "bigint", "smaller end of the link that brought it", personal="pseudonym"),
        Column("identifier_b", "bigint", "larger end of it", personal="pseudonym"),
        Column("event_id", "string", "first event or record that showed the link, or the decision"),
        Column("system_from", "timestamp", "since when the platform knew it, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot that wrote the row", nullable=False),
    ),
)

IDENTITY_DECISIONS = Table(
    name="core.identity_decisions",
    grain="one pair of identifiers that a decision speaks of, append-only; a decision holds until another withdraws it",
    key=("decision_id", "place"),
    statistics_on=("decision_id", "withdraws", "identifier_a", "identifier_b", "decided_at"),
    columns=(
        Column("decision_id", "string", "the same for the same words on the same two", nullable=False),
        Column("place", "int", "number of the pair within the decision, from 0", nullable=False),
        Column(
            "kind",
            "string",
            "`unmerge`: the pair is never one person; `join`: it is; `lock`: it stays so, and nobody comes or goes; "
            "`withdraw`: another decision ends",
            nullable=False,
        ),
        Column("identifier_a", "bigint", "smaller identifier number; null for `withdraw`", personal="pseudonym"),
        Column("identifier_b", "bigint", "larger one, or the same in a lock", personal="pseudonym"),
        Column("scope", "string", "`identifiers`: these two alone; `persons`: all of both", nullable=False),
        Column("withdraws", "string", "the decision that ends; null for other kinds"),
        Column("author", "string", "who decided it", nullable=False),
        Column("reason", "string", "why", nullable=False),
        Column("decided_at", "timestamp", "when it was recorded, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot that it was decided on", nullable=False),
    ),
)

IDENTITY_SNAPSHOTS = Table(
    name="core.identity_snapshots",
    grain="one published snapshot of identity with the verifier's certificate; the newest row is what readers go by",
    key=("snapshot_id", "published_at"),
    statistics_on=("published_at",),
    columns=(
        Column("snapshot_id", "string", "hash of links, sightings and rules that it follows from", nullable=False),
        Column(
            "published_at",
            "timestamp",
            "since when it is known, UTC: `system_from` of its rows; of later rows readers see nothing",
            nullable=False,
        ),
        Column("rule_version", "string", "identity rules in force", nullable=False),
        Column("identifiers", "bigint", "identifiers known", nullable=False),
        Column("links", "bigint", "distinct pairs of linked identifiers", nullable=False),
        Column("persons", "bigint", "persons that hold an identifier", nullable=False),
        Column("certificate", "string", "what the verifier counted, a JSON object", nullable=False),
        Column("run_id", "string", "identity run that published it", nullable=False),
        Column("versions", "string", "versions of the tables that it stands in, a JSON object"),
    ),
)
