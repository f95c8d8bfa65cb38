"""What becomes of each occasion at a moment: pure functions of occasions, what ends them, and what was told before.

In this order: who refuses is left alone; what has ended, or is too old, is cancelled; then the cart must wait, quiet
hours be over and the person not told too often; who is of the control group is told nothing; all others are due. The
control group comes last, so that it is made of persons who would have been told.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.triggers.control import number_column
from spark_jobs.triggers.moments import micros_in

KEY = ("trigger", "object_id", "waits")
DUE, HELD, CONTROL, CANCELLED, SENT = "due", "held", "control", "cancelled", "sent"
OPEN = (DUE, HELD)
TOLD = (DUE, CONTROL, SENT)
PERSON = ("person_id", "person_no")
_DAY_US = micros_in(timedelta(days=1))


def with_ends(occasions: DataFrame, ends: DataFrame) -> DataFrame:
    """The occasions with the first end at or after `since_at` where they have none of their own.

    In: occasions with person_id (no nulls); person_id, trigger, at, by of what ends a person's carts.
    """
    people = occasions.select("person_id").dropDuplicates()
    mine = ends.join(people, on="person_id", how="left_semi")
    own = occasions.withColumns({"at": F.col("since_at"), "is_end": F.lit(False), "tie": F.col("object_id")})
    told = F.struct("at", "by").alias("end")
    others = mine.select("person_id", "trigger", "at", told, F.lit(True).alias("is_end"), F.col("by").alias("tie"))
    # Backwards in time, so that the frame only grows; an end at the very moment of the cart counts as behind it.
    backwards = Window.partitionBy("person_id", "trigger").orderBy(F.desc("at"), F.desc("is_end"), "tie")
    behind = backwards.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    nearest = F.last("end", ignorenulls=True).over(behind)
    both = own.unionByName(others, allowMissingColumns=True).withColumn("end", nearest).where(~F.col("is_end"))
    found = {"ended_at": F.coalesce("ended_at", "end.at"), "ended_by": F.coalesce("ended_by", "end.by")}
    return both.withColumns(found).select(*occasions.columns)


def with_prior(occasions: DataFrame, states: DataFrame) -> DataFrame:
    """The occasions of which nothing final is said, with `prior`: state, reason, held_until, released_at, or null.

    In: the newest step of each trigger, unique on KEY.
    """
    prior = F.struct("state", "reason", "held_until", "released_at").alias("prior")
    joined = occasions.join(states.select(*KEY, prior), on=list(KEY), how="left")
    return joined.where(F.col("prior").isNull() | F.col("prior.state").isin(*OPEN))


def with_told(occasions: DataFrame, told: DataFrame, *, days: Collection[int], at_us: int) -> DataFrame:
    """Add `told`: of how many triggers the person was told within the occasion's `days`.

    In: person_id, released_us of triggers that were let go; all values of `days`.
    """
    counts = told.groupBy("person_id").agg(
        *[F.count_if(F.col("released_us") > F.lit(at_us - number * _DAY_US)).alias(f"told_{number}") for number in days]
    )
    # Of persons each has one row in the counts: the join adds none.
    joined = occasions.join(counts, on="person_id", how="left")
    chosen = reduce(
        lambda rest, number: F.when(F.col("days") == number, F.col(f"told_{number}")).otherwise(rest),
        days,
        F.lit(None).cast("bigint"),
    )
    return joined.withColumn("told", F.coalesce(chosen, F.lit(0))).select(*occasions.columns, "told")


def is_looked_at(*, at_us: int, before_us: int) -> Column:
    """True for an occasion that something is to be said of: it is open already, or it came of age and has not ended.

    What was too late already at the last decision (`before_us`) is nothing new.
    """
    since, ended = F.unix_micros("since_at"), F.unix_micros("ended_at")
    due = since + F.col("after_us")
    ended_early = F.coalesce(ended < due, F.lit(False))
    was_late = since + F.col("expires_us") <= F.lit(before_us)
    is_new = (due <= F.lit(at_us)) & ~ended_early & ~was_late & ~F.col("refuses")
    return F.col("prior").isNotNull() | is_new


def decided(occasions: DataFrame, *, at_us: int) -> DataFrame:
    """The steps: occasions of which something else holds now than before, with state, reason, held_until, released_at.

    Of several that come due at once the oldest go first; one with a higher cap may wait for the next run.

    In: occasions that are looked at, with person, `refuses`, `prior` and `told`.
    """
    firm = occasions.withColumn("firm", _firm(at_us))
    may = F.col("firm").isNull() & (F.col("told") < F.col("most"))
    in_turn = Window.partitionBy("person_id", "may").orderBy("due_at", "trigger", "object_id")
    due_at = F.timestamp_micros(F.unix_micros("since_at") + F.col("after_us"))
    placed = firm.withColumns({"may": may, "due_at": due_at}).withColumn("place", F.row_number().over(in_turn))
    is_free = F.col("may") & (F.col("told") + F.col("place") - 1 < F.col("most"))
    is_control = number_column(F.col("salt"), F.col("person_id")) < F.col("threshold")
    loose = F.when(~is_free, _said(HELD, "cap")).when(is_control, _said(CONTROL)).otherwise(_said(DUE))
    let_go = F.col("firm").isNull() & F.col("said.state").isin(*TOLD)
    released = F.when(let_go, F.timestamp_micros(F.lit(at_us))).otherwise(F.col("prior.released_at"))
    said = placed.withColumn("said", F.coalesce("firm", loose)).withColumn("released_at", released)
    same = [F.col(f"prior.{name}").eqNullSafe(F.col(f"said.{name}")) for name in ("state", "reason", "held_until")]
    changed = said.where(~(F.col("prior").isNotNull() & reduce(Column.__and__, same)))
    return changed.select(*_kept(occasions), "due_at", "released_at", "said.*")


def withdrawn(states: DataFrame, occasions: DataFrame) -> DataFrame:
    """The steps that close what is open though no occasion tells of it any more: its definition, events or person went.

    In: the newest step of each trigger; occasions with a person, whatever is said of them.
    """
    is_open = F.col("state").isin(*OPEN)
    gone = states.where(is_open).join(occasions.select(*KEY), on=list(KEY), how="left_anti")
    nothing = F.lit(None).cast("timestamp")
    return gone.withColumns({"state": F.lit(CANCELLED), "reason": F.lit("withdrawn"), "held_until": nothing})


def _firm(at_us: int) -> Column:
    """What is clear without a look at the person's other triggers; null else."""
    since, at = F.unix_micros("since_at"), F.lit(at_us)
    due = since + F.col("after_us")
    return (
        F.when(F.col("refuses"), _said(CANCELLED, "refused"))
        .when(F.col("ended_at").isNotNull(), _said(CANCELLED, "ended"))
        .when(since + F.col("expires_us") <= at, _said(CANCELLED, "too_late"))
        # Something was put into the cart since it was held.
        .when(due > at, _said(HELD, "active", F.timestamp_micros(due)))
        .when(F.col("quiet_until").isNotNull(), _said(HELD, "quiet", F.col("quiet_until")))
        .when(F.col("prior.state") == DUE, _said(DUE))
    )


def _said(state: str, reason: str = "", until: Column | None = None) -> Column:
    held = F.lit(None) if until is None else until
    return F.struct(
        F.lit(state).alias("state"), F.lit(reason).alias("reason"), held.cast("timestamp").alias("held_until")
    )


def _kept(occasions: DataFrame) -> list[str]:
    dropped = {"prior", "told", "refuses", "ended_at", "after_us", "expires_us", "quiet_until", "most", "days"}
    return [name for name in occasions.columns if name not in dropped | {"salt", "threshold"}]
