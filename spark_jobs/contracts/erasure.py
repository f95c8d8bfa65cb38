"""Contracts of erasure: who asked for it, what keeps the person out since, and what was taken out of which table."""

from __future__ import annotations

from spark_jobs.contracts.schema import Column, Table

_REQUEST = Column("request_id", "string", "the request", nullable=False)
_RUN = Column("run_id", "string", "run that carried it out", nullable=False)

ERASURE_REQUESTS = Table(
    name="ops.erasure_requests",
    grain="one person who is to be erased, as asked for; append-only; a request counts when its row is there",
    key=("request_id",),
    columns=(
        _REQUEST,
        Column("requested_at", "timestamp", "when, UTC", nullable=False),
        Column("author", "string", "who asked for it", nullable=False),
        Column("reason", "string", "why; never who the person is", nullable=False),
        Column("snapshot_id", "string", "identity snapshot by which the person was found", nullable=False),
        Column("masters", "bigint", "master ids that the person had then, merged ones included", nullable=False),
        Column("identifiers", "bigint", "identifiers that the person held for good then", nullable=False),
    ),
)

TOMBSTONES = Table(
    name="ops.tombstones",
    grain="one identifier that an erased person held in one span of time; append-only; of requests that count",
    key=("request_id", "tombstone", "since", "until"),
    columns=(
        _REQUEST,
        Column(
            "tombstone",
            "binary",
            "first 16 bytes of an HMAC-SHA-256 of the token, under a key of its own: no table's token is found in it",
            nullable=False,
            personal="pseudonym",
        ),
        Column("kid", "string", "id of the root key that it derives from", nullable=False),
        Column("since", "timestamp", "what happened before it stays, UTC; 1900-01-01 for all of it", nullable=False),
        Column("until", "timestamp", "what happens from then on is kept again, UTC", nullable=False),
    ),
)

ERASURES = Table(
    name="ops.erasures",
    grain="one table out of which one run has taken what its requests ask for; append-only",
    key=("run_id", "table_name"),
    columns=(
        _RUN,
        Column("table_name", "string", "table, or topic", nullable=False),
        Column("version", "bigint", "version of the table since which the rows are gone; null for a topic"),
        Column("rows_removed", "bigint", "rows that went as a whole, or keys of a topic", nullable=False),
        Column("rows_changed", "bigint", "rows of others, or counts, that lost what was the person's", nullable=False),
        Column("erased_at", "timestamp", "when, UTC", nullable=False),
    ),
)

ERASURE_ENDS = Table(
    name="ops.erasure_ends",
    grain="one request that one run has carried out in all tables; append-only",
    key=("request_id", "run_id"),
    columns=(
        _REQUEST,
        _RUN,
        Column("persons", "bigint", "master ids that went, of all requests of the run", nullable=False),
        Column("identifiers", "bigint", "identifiers that went, of all requests of the run", nullable=False),
        Column("ended_at", "timestamp", "when, UTC", nullable=False),
    ),
)

ERASURE_MARKS = Table(
    name="ops.erasure_marks",
    grain="one run, and the largest numbers that were ever given before it: none is given again; append-only",
    key=("run_id", "noted_at"),
    columns=(
        _RUN,
        Column("identifier_no", "bigint", "largest identifier number, given or passed over", nullable=False),
        Column("person_no", "bigint", "largest person number", nullable=False),
        Column("generation", "int", "largest generation of a master id", nullable=False),
        Column("noted_at", "timestamp", "when, UTC", nullable=False),
    ),
)
