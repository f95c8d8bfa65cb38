"""The list of all table contracts."""

from __future__ import annotations

from spark_jobs.contracts import audiences, core, derived, erasure, identity, journeys, operations, triggers
from spark_jobs.contracts.schema import Table

TABLES: tuple[Table, ...] = (
    operations.RAW_EVENTS,
    core.EVENTS,
    core.MEMBERS,
    core.PRODUCTS,
    core.ORDERS,
    core.ORDER_LINES,
    core.CAMPAIGNS,
    core.CAMPAIGN_TARGETS,
    core.COUPON_REDEMPTIONS,
    journeys.ORDER_CHANGES,
    journeys.SHARES,
    journeys.SHARE_ORDERS,
    journeys.GIVEN_VALUES,
    identity.IDENTIFIERS,
    identity.IDENTITY_LINKS,
    identity.IDENTITY_LINK_STATES,
    identity.PERSONS,
    identity.IDENTITY_MAP,
    identity.IDENTITY_HOMES,
    identity.PERSON_EVENTS,
    identity.IDENTITY_DECISIONS,
    identity.IDENTITY_SNAPSHOTS,
    derived.SESSIONS,
    derived.PERSON_TAGS,
    derived.TAG_CHANGES,
    derived.TAG_TIMERS,
    derived.TAG_VERSIONS,
    derived.TAG_PUBLICATIONS,
    derived.TAG_REFUSED,
    derived.TAG_DRIFT,
    derived.TAG_DELIVERIES,
    audiences.AUDIENCES,
    audiences.AUDIENCE_CHANGES,
    audiences.AUDIENCE_PUBLICATIONS,
    audiences.AUDIENCE_DELIVERIES,
    triggers.TRIGGERS,
    triggers.TRIGGER_RUNS,
    triggers.TRIGGER_DELIVERIES,
    operations.QUARANTINE_ROWS,
    operations.MIGRATION_CHUNKS,
    operations.MIGRATION_PROGRESS,
    operations.MIGRATION_SWITCHES,
    operations.MIGRATION_SEAMS,
    operations.RUNS,
    erasure.ERASURE_REQUESTS,
    erasure.TOMBSTONES,
    erasure.ERASURES,
    erasure.ERASURE_ENDS,
    erasure.ERASURE_MARKS,
)

# What the stream appends to.
STREAMED: tuple[Table, ...] = (
    operations.RAW_EVENTS,
    core.EVENTS,
    core.ORDERS,
    core.ORDER_LINES,
    operations.QUARANTINE_ROWS,
    operations.RUNS,
)


def table_named(name: str) -> Table:
    """The contract of this name; KeyError where there is none."""
    return {table.name: table for table in TABLES}[name]
