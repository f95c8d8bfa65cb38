"""Contracts of what surrounds an order: its steps, links that people share, values said of people from outside."""

from __future__ import annotations

from spark_jobs.contracts.core import MONEY, ORIGIN, WORKSPACE
from spark_jobs.contracts.schema import Column, Table


def _subject(whose: str) -> tuple[Column, ...]:
    return (
        Column("subject_type", "string", f"type of {whose} identifier", nullable=False),
        Column("subject_scope", "string", f"scope of {whose} identifier", nullable=False),
        Column("subject_token", "binary", f"16-byte token of {whose}", nullable=False, personal="pseudonym"),
    )


ORDER_CHANGES = Table(
    name="core.order_changes",
    grain="one step in the life of one order; append-only",
    key=("workspace_id", "subject_token", "order_id", "store_id", "change", "changed_at"),
    partition_by=("changed_date",),
    statistics_on=("changed_at", "order_id", "change"),
    happened_at="changed_at",
    columns=(
        WORKSPACE,
        Column("order_id", "string", "order or basket number of the source", nullable=False),
        Column("store_id", "string", "store number", nullable=False),
        *_subject("the buyer's"),
        Column("change", "string", "`created`, `paid`, `cancelled` or `refunded`", nullable=False),
        Column("changed_at", "timestamp", "when it happened, UTC", nullable=False),
        Column("changed_date", "date", "UTC day of changed_at", nullable=False),
        Column("value", MONEY, "due, paid or paid back in this step, workspace currency", nullable=False),
        Column("received_at", "timestamp", "when the platform first held it, UTC", nullable=False),
        *ORIGIN,
    ),
)

SHARES = Table(
    name="core.shares",
    grain="one link or card that one person shared once",
    key=("workspace_id", "share_id"),
    partition_by=("shared_date",),
    statistics_on=("shared_at", "share_id"),
    happened_at="shared_at",
    columns=(
        WORKSPACE,
        Column("share_id", "string", "number of the share, unique in the workspace", nullable=False),
        Column("parent_id", "string", "share by which the person had come; null for none"),
        *_subject("the sharer's"),
        Column("shared_at", "timestamp", "when it was shared, UTC", nullable=False),
        Column("shared_date", "date", "UTC day of shared_at", nullable=False),
        Column("object_type", "string", "what was shared: product, campaign, store, coupon", nullable=False),
        Column("object_id", "string", "its number"),
        Column("channel", "string", "where to: chat, moments, group, poster"),
        *ORIGIN,
    ),
)

SHARE_ORDERS = Table(
    name="core.share_orders",
    grain="one order that one share led another person to",
    key=("workspace_id", "share_id", "order_id", "store_id"),
    partition_by=("ordered_date",),
    statistics_on=("ordered_at", "share_id"),
    happened_at="ordered_at",
    columns=(
        WORKSPACE,
        Column("share_id", "string", "share that the buyer came by", nullable=False),
        *_subject("the sharer's"),
        Column("order_id", "string", "order or basket number of the source", nullable=False),
        Column("store_id", "string", "store number", nullable=False),
        Column("ordered_at", "timestamp", "when it was ordered, UTC", nullable=False),
        Column("ordered_date", "date", "UTC day of ordered_at", nullable=False),
        Column("sales_value", MONEY, "paid for the order, workspace currency", nullable=False),
        Column("is_first_order", "boolean", "true for the buyer's first order", nullable=False),
        *ORIGIN,
    ),
)

GIVEN_VALUES = Table(
    name="core.given_values",
    grain="one value said of one person from outside, in one span of valid time",
    key=("workspace_id", "kind", "name", "subject_token", "valid_from"),
    cluster_by=("kind", "name"),
    statistics_on=("kind", "name", "valid_from"),
    columns=(
        WORKSPACE,
        Column("kind", "string", "`imported`, `manual` (set by hand) or `score` (of a model)", nullable=False),
        Column("name", "string", "name of the value, or of the model", nullable=False),
        *_subject("the person's"),
        Column("value", "string", "text, or a score with a decimal point", nullable=False, personal="personal"),
        Column("valid_from", "timestamp", "since when it holds, UTC", nullable=False),
        Column("valid_to", "timestamp", "until when (exclusive); null while it holds"),
        Column("given_by", "string", "system, person or version of the model", nullable=False),
        Column("reason", "string", "why, where a person set it"),
        *ORIGIN,
    ),
)
