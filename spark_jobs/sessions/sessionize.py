"""Cut events into visits."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

IDLE_GAP = timedelta(minutes=30)
PURCHASE = "purchase"
# Whose visit it is: one person may use two apps at once, and these are two visits.
VISITOR = ("workspace_id", "person_id", "app")


def sessionize(events: DataFrame, *, idle_gap: timedelta = IDLE_GAP) -> DataFrame:
    """One row per visit of one person to one app.

    In:  one row per event: workspace_id, event_id (unique in the workspace), person_id, person_no, app, name,
         occurred_at (UTC), channel, campaign, authenticated. Events without a person are nobody's visit.
    Out: the columns of `core.sessions` but snapshot_id. A gap of exactly `idle_gap` does not split.
    """
    return (
        events.transform(keep_visitors)
        .transform(mark_session_starts, idle_gap=idle_gap)
        .transform(number_sessions)
        .transform(summarize_sessions)
        .transform(name_sessions)
    )


def keep_visitors(events: DataFrame) -> DataFrame:
    """Events of known persons; an event without an app counts as one of an app without a name."""
    known = events.where(F.col("person_id").isNotNull())
    return known.withColumn("app", F.coalesce("app", F.lit("")))


def mark_session_starts(events: DataFrame, *, idle_gap: timedelta) -> DataFrame:
    """Add `is_session_start`: true where the person was idle for longer than `idle_gap`; never null."""
    # event_id breaks ties: two events in one microsecond must not swap between runs.
    previous = Window.partitionBy(*VISITOR).orderBy("occurred_at", "event_id")
    idle = F.col("occurred_at") - F.lag("occurred_at").over(previous)
    return events.withColumn("is_session_start", F.coalesce(idle > F.lit(idle_gap), F.lit(True)))


def number_sessions(events: DataFrame) -> DataFrame:
    """Add `session_no`: 1, 2, ... for the visits of one person to one app, in time order."""
    so_far = (
        Window.partitionBy(*VISITOR)
        .orderBy("occurred_at", "event_id")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    return events.withColumn("session_no", F.sum(F.col("is_session_start").cast("int")).over(so_far))


def summarize_sessions(events: DataFrame) -> DataFrame:
    """One row per visitor and session_no; channel and campaign are those of the first event."""
    opening = F.min(F.struct("occurred_at", "event_id", "channel", "campaign")).alias("opening")
    return events.groupBy(*VISITOR, "session_no").agg(
        opening,
        F.max("person_no").alias("person_no"),  # one person has one number
        F.max("occurred_at").alias("ended_at"),
        F.count(F.lit(1)).alias("events"),
        F.count_if(F.col("name") == PURCHASE).alias("purchases"),
        F.max("authenticated").alias("authenticated"),
    )


def name_sessions(sessions: DataFrame) -> DataFrame:
    """Add the id, which follows from person, app and first event, and what derives from start and end."""
    started = F.col("opening.occurred_at")
    identity = F.concat_ws("/", "workspace_id", "person_id", "app", "opening.event_id")
    return sessions.select(
        "workspace_id",
        F.substring(F.sha2(identity, 256), 1, 32).alias("session_id"),
        "person_id",
        "person_no",
        "app",
        started.alias("started_at"),
        "ended_at",
        F.to_date(started).alias("session_date"),
        F.floor((F.unix_micros("ended_at") - F.unix_micros(started)) / F.lit(1_000_000)).alias("duration_s"),
        "events",
        "purchases",
        F.col("opening.channel").alias("channel"),
        F.col("opening.campaign").alias("campaign"),
        "authenticated",
    )


def count_resolved(events: DataFrame) -> DataFrame:
    """One row: events, and those of them that somebody is known for."""
    return events.agg(F.count(F.lit(1)).alias("events"), F.count("person_id").alias("resolved"))
