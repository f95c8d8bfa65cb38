"""Contracts of what the platform keeps about its own work: raw input, refusals, ledger mirror, runs."""

from __future__ import annotations

from spark_jobs.contracts.core import WORKSPACE
from spark_jobs.contracts.schema import Column, Table

RAW_EVENTS = Table(
    name="raw.events",
    grain="one message as received, identifiers tokenised",
    key=("topic", "partition", "offset"),
    partition_by=("received_date",),
    statistics_on=("received_at", "offset"),
    columns=(
        Column("topic", "string", "Kafka topic", nullable=False),
        Column("partition", "int", "Kafka partition", nullable=False),
        Column("offset", "bigint", "Kafka offset", nullable=False),
        Column("received_at", "timestamp", "broker's time stamp, UTC", nullable=False),
        Column("received_date", "date", "UTC day of received_at", nullable=False),
        Column("body", "string", "the message, JSON", nullable=False, personal="personal"),
    ),
)

QUARANTINE_ROWS = Table(
    name="quarantine.rows",
    grain="one refused record with its reason, place and encrypted bytes",
    key=("stage", "source_object", "block_start", "position"),
    partition_by=("quarantined_date",),
    statistics_on=("stage", "reason", "quarantined_at"),
    columns=(
        WORKSPACE,
        Column("stage", "string", "`migration` or `ingest`", nullable=False),
        Column("target", "string", "table that the record was meant for", nullable=False),
        Column("source_object", "string", "file, or `TOPIC/PARTITION`", nullable=False),
        Column(
            "block_start", "bigint", "byte at which the block that was read begins; 0 for a whole file", nullable=False
        ),
        Column("position", "bigint", "line counted from the block's first line (1), or Kafka offset", nullable=False),
        Column("reason", "string", "rule that refused it; never its content", nullable=False),
        Column("sealed", "binary", "AES-256-GCM of the record's bytes: nonce, ciphertext, tag", personal="personal"),
        Column("kid", "string", "id of the key that sealed it", nullable=False),
        Column("rule_version", "string", "hash of the mapping or contract that refused it", nullable=False),
        Column("origin", "string", "chunk or stream that met it", nullable=False),
        Column("quarantined_at", "timestamp", "when, UTC", nullable=False),
        Column("quarantined_date", "date", "UTC day of quarantined_at", nullable=False),
    ),
)

MIGRATION_CHUNKS = Table(
    name="migration.chunks",
    grain="one chunk of one migration plan, as the ledger holds it",
    key=("plan_id", "chunk_id"),
    columns=(
        Column("plan_id", "string", "frozen plan", nullable=False),
        Column("chunk_id", "string", "`TABLE/NUMBER`", nullable=False),
        Column("target", "string", "table that it fills", nullable=False),
        Column("source_object", "string", "file that it reads", nullable=False),
        Column("bytes", "bigint", "size of the object when planned", nullable=False),
        Column("sha256", "string", "hash of the object when planned", nullable=False),
        Column("state", "string", "planned, copying, copied, verified or failed", nullable=False),
        Column("rows_read", "bigint", "records met, headers not counted"),
        Column("rows_good", "bigint", "records that stand in the target"),
        Column("rows_quarantined", "bigint", "records refused"),
        Column("rows_duplicate", "bigint", "records whose natural key was there already"),
        Column("digest_xor", "bigint", "bit_xor of the row digests of the good rows"),
        Column("digest_sum", "decimal(38,0)", "sum of the row digests of the good rows"),
        Column("contract_hash", "string", "contract of the target when copied"),
        Column("message", "string", "why it failed"),
        Column("updated_at", "timestamp", "when the ledger last changed it, UTC", nullable=False),
    ),
)

MIGRATION_PROGRESS = Table(
    name="migration.progress",
    grain="one target of one migration plan, as it stood when it was written last",
    key=("plan_id", "target"),
    # It is written every minute while a copy runs: what was replaced goes soon, and the log with it.
    properties={
        "delta.deletedFileRetentionDuration": "interval 1 hours",
        "delta.logRetentionDuration": "interval 1 days",
    },
    columns=(
        Column("plan_id", "string", "frozen plan", nullable=False),
        Column("job", "string", "migration job", nullable=False),
        Column("target", "string", "table that is filled", nullable=False),
        Column("chunks", "bigint", "chunks of the plan", nullable=False),
        Column("chunks_planned", "bigint", "not copied yet", nullable=False),
        Column("chunks_copying", "bigint", "being copied, or their copy was killed", nullable=False),
        Column("chunks_copied", "bigint", "copied", nullable=False),
        Column("chunks_verified", "bigint", "copied and verified", nullable=False),
        Column("chunks_failed", "bigint", "failed; `migration.chunks` says why", nullable=False),
        Column("bytes", "bigint", "size of the chunks' objects", nullable=False),
        Column("bytes_done", "bigint", "that of the copied ones", nullable=False),
        Column("records", "bigint", "records of the plan", nullable=False),
        Column("rows_read", "bigint", "records met so far", nullable=False),
        Column("rows_good", "bigint", "records that stand in the target", nullable=False),
        Column("rows_quarantined", "bigint", "records refused", nullable=False),
        Column("rows_duplicate", "bigint", "records whose natural key was there already", nullable=False),
        Column("rows_per_s", "double", "rows a second since the copy began, without its waits; null where none runs"),
        Column("bytes_per_s", "double", "bytes a second, likewise"),
        Column("recent_rows_per_s", "double", "rows a second in the last 5 minutes, likewise"),
        Column("recent_bytes_per_s", "double", "bytes a second, likewise"),
        Column("ends_at", "timestamp", "when the copy of the whole plan will end at this pace, UTC"),
        Column("waiting_until", "timestamp", "before which no chunk begins, UTC"),
        Column("updated_at", "timestamp", "when this was so, UTC", nullable=False),
    ),
)

MIGRATION_SWITCHES = Table(
    name="migration.switches",
    grain="one step of the switching of a view that readers use; the side of the newest one is in force",
    key=("view", "number"),
    columns=(
        Column("view", "string", "`SCHEMA.VIEW`", nullable=False),
        Column("number", "bigint", "of the view's steps, from 1", nullable=False),
        Column("step", "string", "`cutting over`, `cut over`, `rolled back` or `finished`", nullable=False),
        Column("side", "string", "`old` or `new`: whose body the view has from now on", nullable=False),
        Column("job", "string", "migration job", nullable=False),
        Column("plan_id", "string", "frozen plan", nullable=False),
        Column("run_id", "string", "run of `ops.runs`", nullable=False),
        Column("noted_at", "timestamp", "when, UTC", nullable=False),
        Column(
            "facts", "string", "verified versions, offsets of seam and barrier, reason: a JSON object", nullable=False
        ),
    ),
)

MIGRATION_SEAMS = Table(
    name="migration.seams",
    grain="one partition of the topic of live events, as it ended before a job's first copy began",
    key=("job", "topic", "partition"),
    columns=(
        Column("job", "string", "migration job", nullable=False),
        Column("topic", "string", "Kafka topic", nullable=False),
        Column("partition", "int", "Kafka partition", nullable=False),
        Column(
            "offset", "bigint", "of the next message: from it on the live stream must bring them all", nullable=False
        ),
        Column("chunks_before", "bigint", "chunks of the plan that were in the tables already", nullable=False),
        Column("run_id", "string", "run of `ops.runs`", nullable=False),
        Column("noted_at", "timestamp", "when, UTC", nullable=False),
    ),
)

RUNS = Table(
    name="ops.runs",
    grain="one run of one job, finished or failed",
    key=("run_id",),
    statistics_on=("started_at", "job"),
    columns=(
        Column("run_id", "string", "UUID of the run", nullable=False),
        Column("job", "string", "job name", nullable=False),
        WORKSPACE,
        Column("started_at", "timestamp", "UTC", nullable=False),
        Column("ended_at", "timestamp", "UTC", nullable=False),
        Column("state", "string", "`succeeded` or `failed`", nullable=False),
        Column("rows_in", "bigint", "records that entered", nullable=False),
        Column("rows_out", "bigint", "records that left", nullable=False),
        Column("rows_quarantined", "bigint", "records refused", nullable=False),
        Column("rows_duplicate", "bigint", "records that were there already", nullable=False),
        Column("detail", "string", "further facts, a JSON object", nullable=False),
    ),
)
