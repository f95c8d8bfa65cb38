"""Changes between two states of `tags.person_tags`; folding them in order gives the state."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.versions import State

_KEY = ("tag", "person_id")


@dataclass(frozen=True, slots=True)
class Before:
    """The state in force until now: its rows of `tags.person_tags` and `tags.timers`, and what it followed from."""

    values: DataFrame
    timers: DataFrame
    state: State


@dataclass(frozen=True, slots=True)
class Unmoved:
    """Tags of which a limit moved, and rows (tag, person_id, value): what they would say had none moved."""

    tags: frozenset[str]
    values: DataFrame


@dataclass(frozen=True, slots=True)
class Turned:
    """Who refuses profiling now and did not before, or did and does not: person_id, and the tag that all have.

    tag: '' for none; of its changes refusing is no cause.
    """

    persons: DataFrame
    tag: str


def changes_between(
    before: Before | None, new: DataFrame, after: State, unmoved: Unmoved, *, turned: Turned | None = None
) -> DataFrame:
    """One row per person and tag whose value is not what it was.

    In:  the state before, None for the first; rows of `tags.person_tags` of the state to come.
    Out: rows of `tags.changes`. The cause is `refusal` where the person refuses profiling since, or no longer; else
         `first` where the tag is new, `rule` where its rule is, `limits` where only the limits of bands moved, `time`
         where ageing was due or nothing else can have done it, `identity` where only identity changed, else `events`.
    """
    old = new.where(F.lit(False)) if before is None else before.values
    # Both sides are unique on (tag, person) within a workspace's state, so a row meets at most one other.
    meeting = [F.col(f"old.{name}") == F.col(f"new.{name}") for name in _KEY]
    both = old.alias("old").join(new.alias("new"), meeting, "full")
    either = {name: F.coalesce(f"new.{name}", f"old.{name}") for name in (*_KEY, "person_no")}
    changed = both.where(~F.col("old.value").eqNullSafe(F.col("new.value"))).select(
        *[column.alias(name) for name, column in either.items()],
        F.col("old.value").alias("old_value"),
        F.col("new.value").alias("new_value"),
        F.col("old.next_change_at").alias("due_at"),
    )
    known = before.state if before else None
    return _turned(_judged(changed, before, after, unmoved), turned).select(
        F.lit(after.workspace).alias("workspace_id"),
        *either,
        "old_value",
        "new_value",
        _cause(known, after).alias("cause"),
        F.lit(moment_of(after.base)).alias("base_at"),
        _of_tag(known, after, "version").alias("version"),
        _of_tag(known, after, "classes").alias("classes"),
        F.lit(after.snapshot_id).alias("snapshot_id"),
    )


def _turned(changed: DataFrame, turned: Turned | None) -> DataFrame:
    if turned is None:
        return changed.withColumn("has_turned", F.lit(False))
    persons = turned.persons.select("person_id").dropDuplicates().withColumn("has_turned", F.lit(True))
    joined = changed.join(persons, "person_id", "left")
    is_other = F.col("tag") != turned.tag
    return joined.withColumn("has_turned", F.coalesce("has_turned", F.lit(False)) & is_other)


def _judged(changed: DataFrame, before: Before | None, after: State, unmoved: Unmoved) -> DataFrame:
    """The changes, with whether ageing was due, and whether without moved limits nothing would have changed."""
    if before is None:
        return changed.withColumns({"is_due": F.lit(False), "is_moved": F.lit(False)})
    base = F.lit(moment_of(after.base))
    # A tag that had the `otherwise` value has no row: the person's timer says what it waited for.
    waited = before.timers.where(F.col("next_change_at") <= base).select("person_id", F.explode("waiting").alias("w"))
    waited = waited.where(F.col("w.at") <= after.base).select("person_id", F.col("w.tag"))
    # A person has one timer, which names a tag once, and one answer of a tag: neither join adds rows.
    joined = changed.join(waited.withColumn("has_waited", F.lit(True)), [*_KEY], "left")
    would_be = unmoved.values.select(*_KEY, F.col("value").alias("would_be"))
    joined = joined.join(would_be, [*_KEY], "left")
    # Of a tag whose limits did not move nothing is known here, which is not the same as the value `otherwise`.
    is_asked = F.col("tag").isin(*unmoved.tags)
    return joined.withColumns(
        {
            "is_due": F.coalesce(F.col("due_at") <= base, F.col("has_waited"), F.lit(False)),
            "is_moved": is_asked & F.col("would_be").eqNullSafe(F.col("old_value")),
        }
    )


def _cause(before: State | None, after: State) -> Column:
    if before is None:
        return F.lit("first")
    tag = F.col("tag")
    new = [name for name in after.tags if name not in before.tags]
    # A tag that left the catalogue has no rule any more.
    ruled = [name for name in before.tags if name not in after.tags or before.tags[name].rule != after.tags[name].rule]
    same_data = [
        name for name in after.tags if name in before.tags and before.tags[name].basis == after.tags[name].basis
    ]
    same_people = F.lit(before.snapshot_id == after.snapshot_id)
    return (
        F.when(F.col("has_turned"), "refusal")
        .when(tag.isin(*new), "first")
        .when(tag.isin(*ruled), "rule")
        .when(F.col("is_moved"), "limits")
        .when(F.col("is_due") | (tag.isin(*same_data) & same_people), "time")
        .when(tag.isin(*same_data), "identity")
        .otherwise("events")
    )


def _of_tag(before: State | None, after: State, field: str) -> Column:
    # What a tag that left the catalogue lost, it lost with the last version it had.
    versions = {**(before.tags if before else {}), **after.tags}
    pairs = [F.lit(text) for name, known in versions.items() for text in (name, getattr(known, field))]
    return F.create_map(*pairs)[F.col("tag")]
