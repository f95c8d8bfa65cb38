"""Changes between two states of `tags.person_tags`; folding them in order gives the state."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.versions import State

_KEY = ("tag", "person_id")


def changes_between(old: DataFrame, new: DataFrame, before: State | None, after: State) -> DataFrame:
    """One row per person and tag whose value is not what it was.

    In:  rows of `tags.person_tags` of one workspace at two commits, and what the commits say of themselves.
    Out: rows of `tags.changes`. The cause is `first` where the tag is new, `rule` where its rule is, `time` where
         ageing was due or nothing else can have done it, `identity` where only identity changed, else `events`.
    """
    # Both sides are unique on (workspace, tag, person), so a row meets at most one other.
    meeting = [F.col(f"old.{name}") == F.col(f"new.{name}") for name in _KEY]
    both = old.alias("old").join(new.alias("new"), meeting, "full")
    either = {name: F.coalesce(f"new.{name}", f"old.{name}") for name in (*_KEY, "person_no")}
    return both.where(~F.col("old.value").eqNullSafe(F.col("new.value"))).select(
        F.lit(after.workspace).alias("workspace_id"),
        *[column.alias(name) for name, column in either.items()],
        F.col("old.value").alias("old_value"),
        F.col("new.value").alias("new_value"),
        _cause(either["tag"], before, after).alias("cause"),
        F.lit(moment_of(after.base)).alias("base_at"),
        _version(either["tag"], before, after).alias("version"),
        F.lit(after.snapshot_id).alias("snapshot_id"),
    )


def _cause(tag: Column, before: State | None, after: State) -> Column:
    if before is None:
        return F.lit("first")
    new = [name for name in after.tags if name not in before.tags]
    # A tag that left the catalogue has no rule any more.
    ruled = [name for name in before.tags if name not in after.tags or before.tags[name].rule != after.tags[name].rule]
    same_data = [
        name for name in after.tags if name in before.tags and before.tags[name].basis == after.tags[name].basis
    ]
    same_people = F.lit(before.snapshot_id == after.snapshot_id)
    is_due = F.col("old.next_change_at") <= F.lit(moment_of(after.base))
    return (
        F.when(tag.isin(*new), "first")
        .when(tag.isin(*ruled), "rule")
        .when(is_due | (tag.isin(*same_data) & same_people), "time")
        .when(tag.isin(*same_data), "identity")
        .otherwise("events")
    )


def _version(tag: Column, before: State | None, after: State) -> Column:
    # What a tag that left the catalogue lost, it lost with the last version it had.
    versions = {**(before.tags if before else {}), **after.tags}
    pairs = [F.lit(text) for name, known in versions.items() for text in (name, known.version)]
    return F.create_map(*pairs)[tag]
