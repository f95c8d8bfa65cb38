"""The passes over people: facts, persons per bucket for quantiles, answers.

Rules are evaluated in an Arrow kernel, not as Spark expressions: hundreds of conditional aggregates in one GROUP BY
fall out of the processor's cache and of the JIT's limit, a plan of a few columns and one kernel grows with the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from spark_jobs.tagging.answers import answer_kernel, bucket_kernel
from spark_jobs.tagging.left_out import LeftOut
from spark_jobs.tagging.limits import Limits, Moved
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan
from spark_jobs.tagging.ranking import limits_of
from spark_jobs.tagging.rows import ANSWERS_DDL, BUCKETS_DDL, PERSONS, REFUSES

NONE_ALSO: Mapping[int, Sequence[str]] = MappingProxyType({})


def buckets_from(facts: DataFrame, plan: Plan, moment: Moment, left_out: LeftOut | None = None) -> DataFrame:
    """Persons per bucket of each quantile, and PERSONS: as many rows as buckets, however many persons."""
    counted = facts.mapInArrow(bucket_kernel(plan, moment, left_out), BUCKETS_DDL)
    return counted.groupBy("ranked", "bucket").agg(F.sum("persons").alias("persons"))


def limits_from(buckets: Iterable[Row], plan: Plan) -> Limits:
    """The limits of each quantile's bands."""
    counts: list[dict[int, int]] = [{} for _ in plan.ranked]
    for row in buckets:
        if row["ranked"] == PERSONS:
            continue
        counts[row["ranked"]][row["bucket"]] = row["persons"]
    return {ranked: limits_of(counts[number], ranked.quantile.bands) for number, ranked in enumerate(plan.ranked)}


def persons_from(buckets: Iterable[Row]) -> int:
    """How many persons any source knows something of."""
    return sum(row["persons"] for row in buckets if row["ranked"] == PERSONS)


def populations_from(answers: DataFrame, *, most: int, also: Mapping[int, Sequence[str]] = NONE_ALSO) -> DataFrame:
    """The `most` frequent values of each tag, and how many answers it has at all.

    In:  `also`: values that are counted in any case, by the tag's number.
    Out: tag, value, count; of each tag one row without a value, which counts them all.
    """
    counted = answers.where(F.col("tag") >= 0).groupBy("tag", "value").count()
    # Each partition keeps `most` values of a tag before they meet: a tag may have as many values as persons.
    by_count = Window.partitionBy("tag").orderBy(F.desc("count"), "value")
    frequent = counted.withColumn("place", F.row_number().over(by_count)).where(F.col("place") <= most).drop("place")
    if also:
        asked = [(F.col("tag") == number) & F.col("value").isin(*values) for number, values in also.items()]
        # What is frequent and asked for stands once.
        frequent = frequent.unionByName(counted.where(reduce(Column.__or__, asked))).distinct()
    whole = counted.groupBy("tag").agg(F.lit(None).cast("string").alias("value"), F.sum("count").alias("count"))
    return frequent.unionByName(whole)


def answers_from(
    facts: DataFrame,
    plan: Plan,
    moment: Moment,
    limits: Limits,
    *,
    moved: Moved | None = None,
    left_out: LeftOut | None = None,
) -> DataFrame:
    """Rows of ANSWERS_DDL: every answer that is not `otherwise`, and one timer per person.

    With `moved`, tags whose bands have other limits than before are answered under those as well. Who is left out has
    answers of the refusal tag alone, and a row that says so.
    """
    return facts.mapInArrow(answer_kernel(plan, moment, limits, moved, left_out=left_out), ANSWERS_DDL)


def refusing_in(answers: DataFrame) -> DataFrame:
    """person_no, person_id of those who were left out. In: rows of ANSWERS_DDL."""
    return answers.where(F.col("tag") == REFUSES).select("person_no", "person_id")
