"""The feed of an audience publication: a row for each person who entered or left, with the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.audiences.evaluating import EXIT, STATE
from spark_jobs.people.bitmaps import unfolding
from spark_jobs.people.system_time import newest_at

_UNFOLDED = ("kind", "cause", "audience")
_UNFOLDED_DDL = "kind string, cause string, audience string, person_no bigint"


def moved_tags(changes: DataFrame) -> DataFrame:
    """person_no, moved: of each person what changed of tags, as `tags` of `tags.audience_changes`.

    In: rows of `tags.changes` of the publications since; of several changes of a tag the first tells what was, the
    last what is and why. What came back to what it was did not change.
    """
    # In a struct, as either value may be null.
    first, last = F.struct("old_value"), F.struct("new_value", "cause")
    folded = changes.groupBy("person_no", "tag").agg(
        F.min_by(first, "state_version").alias("first"), F.max_by(last, "state_version").alias("last")
    )
    old, new = F.col("first.old_value"), F.col("last.new_value")
    moved = F.struct("tag", old.alias("old_value"), new.alias("new_value"), F.col("last.cause").alias("cause"))
    changed = folded.where(~old.eqNullSafe(new)).select("person_no", moved.alias("one"))
    return changed.groupBy("person_no").agg(F.array_sort(F.collect_list("one")).alias("moved"))


def changes_of(
    results: DataFrame, registry: DataFrame, moved: DataFrame | None, tags: Mapping[str, Sequence[str]], *, at_us: int
) -> DataFrame:
    """audience, person_id, person_no, change, cause, survivor_id, tags.

    In:  rows of RESULT_DDL; the registry of persons as it is stored; rows of `moved_tags`, None where there is no state
         before; the tags that each audience goes by; the moment at which the registry is read.
    """
    bitmaps = results.where(F.col("kind") != STATE).select(*_UNFOLDED, "chunk", "members")
    rows = bitmaps.mapInArrow(unfolding(_UNFOLDED), _UNFOLDED_DDL)
    # Few persons change on a day: the newest row is looked for among theirs, not among everybody's.
    theirs = registry.join(rows.select("person_no"), "person_no", "left_semi")
    named = newest_at(theirs, ("person_no",), at_us).select("person_no", "person_id", "survivor_id")
    # Of persons each has one row on either right side: no join adds rows.
    rows = rows.join(named, "person_no", "left")
    if moved is None:
        rows = rows.withColumn(
            "moved", F.lit(None).cast("array<struct<tag:string,old_value:string,new_value:string,cause:string>>")
        )
    else:
        rows = rows.join(moved, "person_no", "left")
    pairs = [part for name, used in tags.items() for part in (F.lit(name), F.array(*map(F.lit, used)))]
    its_tags = F.create_map(*pairs)[F.col("audience")]
    of_audience = F.filter("moved", lambda one: F.array_contains(its_tags, one["tag"]))
    rows = rows.withColumn("found", F.when(F.col("cause") == "tags", of_audience))
    return rows.select(
        "audience",
        "person_id",
        "person_no",
        F.col("kind").alias("change"),
        _cause().alias("cause"),
        "survivor_id",
        F.when(F.size("found") > 0, F.col("found")).alias("tags"),
    )


def _cause() -> Column:
    is_merged = (F.col("kind") == EXIT) & (F.col("survivor_id") != F.col("person_id"))
    # Rule, persons and refusals are what they were, and no row of a tag is another: what is left is `otherwise`.
    has_no_row = F.coalesce(F.size("found") <= 0, F.lit(True))
    return (
        F.when((F.col("cause") == "identity") & is_merged, "merge")
        .when((F.col("cause") == "tags") & has_no_row, "rule")
        .otherwise(F.col("cause"))
    )
