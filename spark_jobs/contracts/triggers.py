"""Contracts of triggers: what is told of carts and orders that wait, in which steps, and what has left."""

from __future__ import annotations

from spark_jobs.contracts.core import WORKSPACE
from spark_jobs.contracts.schema import Column, Table

TRIGGERS = Table(
    name="tags.triggers",
    grain="one step in the life of one trigger of one cart or order; the step of the largest number is its state",
    key=("workspace_id", "trigger", "object_id", "waits", "number"),
    partition_by=("due_date",),
    statistics_on=("number", "trigger", "decided_at"),
    columns=(
        WORKSPACE,
        Column("number", "bigint", "number of the run in `tags.trigger_runs`", nullable=False),
        Column("generation", "string", "run that wrote the row; it counts where that number names it", nullable=False),
        Column("trigger", "string", "name of the definition", nullable=False),
        Column("object_id", "string", "`cart/ID`, `session/HASH`, `event/ID` or `order/ID/STORE`", nullable=False),
        Column(
            "waits", "string", "how long the cart or order waits before it is told of, such as `24h`", nullable=False
        ),
        Column("state", "string", "`due`, `held`, `control`, `cancelled` or `sent`", nullable=False),
        Column(
            "reason",
            "string",
            "held: `quiet`, `cap`, `active`; cancelled: `ended`, `too_late`, `refused`, `withdrawn`; else ''",
            nullable=False,
        ),
        Column("held_until", "timestamp", "not told before, UTC; null where no clock says so"),
        Column("person_id", "string", "master id then", nullable=False, personal="pseudonym"),
        Column("person_no", "bigint", "dense person number then", nullable=False, personal="pseudonym"),
        Column("subject_type", "string", "type of the identifier that the person was known by", nullable=False),
        Column("subject_scope", "string", "its scope", nullable=False),
        Column("subject_token", "binary", "its 16-byte token", nullable=False, personal="pseudonym"),
        Column("since_at", "timestamp", "last event of the cart, or creation of the order, UTC", nullable=False),
        Column("due_at", "timestamp", "since_at and what it waits, UTC", nullable=False),
        Column("due_date", "date", "UTC day of due_at", nullable=False),
        Column("released_at", "timestamp", "when it became `due` or `control`, UTC; null where it never did"),
        Column("cause_event_ids", "array<string>", "first and last event of the cart, or the order's step"),
        Column("ended_by", "string", "order or event that ended the cart or order; null where none did"),
        Column("decided_at", "timestamp", "moment of the run, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot", nullable=False),
        Column("definition", "string", "hash of the definition", nullable=False),
    ),
)

TRIGGER_RUNS = Table(
    name="tags.trigger_runs",
    grain="one run whose steps count; one append makes all of them count",
    key=("workspace_id", "number"),
    statistics_on=("workspace_id", "number"),
    columns=(
        WORKSPACE,
        Column("number", "bigint", "from 1, without a gap", nullable=False),
        Column("generation", "string", "run that wrote the steps", nullable=False),
        Column(
            "kind",
            "string",
            "`decide`; `send`: its steps are what leaves in one piece; `erase`: it has none, and keeps runs that began "
            "before an erasure from publishing behind it",
            nullable=False,
        ),
        Column("decided_at", "timestamp", "moment for which it decided, UTC", nullable=False),
        Column("snapshot_id", "string", "identity snapshot; null for `send`"),
        Column("steps", "bigint", "rows of tags.triggers", nullable=False),
        Column("published_at", "timestamp", "when, UTC", nullable=False),
    ),
)

TRIGGER_DELIVERIES = Table(
    name="tags.trigger_deliveries",
    grain="one `send` run whose triggers have all left by one channel",
    key=("workspace_id", "channel", "number"),
    statistics_on=("workspace_id", "number"),
    columns=(
        WORKSPACE,
        Column("channel", "string", "`kafka` or `webhook`", nullable=False),
        Column("number", "bigint", "number of the run", nullable=False),
        Column("messages", "bigint", "messages that the last call sent or had accepted", nullable=False),
        Column(
            "refused", "bigint", "posts that the receiver refused for good; they are not sent again", nullable=False
        ),
        Column("delivered_at", "timestamp", "when, UTC", nullable=False),
    ),
)
