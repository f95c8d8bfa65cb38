"""Guards over the whole ledger: links that may not join anybody, whatever arrived first."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.rules import (
    BLOCKED,
    BLOCKLISTED,
    HINT_ONLY,
    LOCKED,
    NAMES_NOBODY,
    PARKED,
    SEPARATED,
    SUPER_NODE,
    UNDECLARED,
)

_OF_GUARDS = ("a_barred", "b_barred", "a_hint", "b_hint")


def super_nodes(links: DataFrame) -> DataFrame:
    """Exclusive identifiers with more owners than their type allows.

    Owners are stronger identifiers of a unique type. Of one (type, scope) a person holds one value, so the largest
    number of values of one (type, scope) is the least number of persons; a member number and two logins of one
    person, in two apps, are one owner.

    In:  rows of `with_ends`.
    Out: identifier_no, unique.
    """
    a_owns = F.col("a_priority") < F.col("b_priority")
    is_pair = ~F.col("a_sliced") & ~F.col("b_sliced")
    is_open = ~F.col("is_separated") & F.coalesce("a_barred", "b_barred").isNull() & ~F.col("a_hint") & ~F.col("b_hint")
    owned = links.where(is_pair & is_open).select(
        F.when(a_owns, F.col("identifier_b")).otherwise(F.col("identifier_a")).alias("identifier_no"),
        F.when(a_owns, F.col("b_limit")).otherwise(F.col("a_limit")).alias("limit"),
        F.when(a_owns, F.col("a_unique")).otherwise(F.col("b_unique")).alias("owned_by"),
        (F.col("a_priority") != F.col("b_priority")).alias("is_owned"),
    )
    # Pairs are distinct, so rows are distinct owners.
    owners = (
        owned.where(F.col("is_owned") & (F.col("owned_by") != 0))
        .groupBy("identifier_no", "limit", "owned_by")
        .agg(F.count(F.lit(1)).alias("owners"))
    )
    return owners.where(F.col("owners") > F.col("limit")).select("identifier_no").dropDuplicates()


def guarded(links: DataFrame) -> DataFrame:
    """Add `state` and `reason` where a guard decides; null where the link may join.

    In:  rows of `with_ends`, all of them: owners are counted over the whole ledger.
    """
    hubs = super_nodes(links)
    a_hubs = hubs.select(F.col("identifier_no").alias("identifier_a"), F.lit(True).alias("a_hub"))
    b_hubs = hubs.select(F.col("identifier_no").alias("identifier_b"), F.lit(True).alias("b_hub"))
    # hubs is unique on identifier_no, so these joins cannot add rows.
    marked = links.join(a_hubs, on="identifier_a", how="left").join(b_hubs, on="identifier_b", how="left")
    verdict = (
        F.when(F.col("is_separated"), _verdict(BLOCKED, SEPARATED))
        .when(_either("barred", BLOCKLISTED), _verdict(BLOCKED, BLOCKLISTED))
        .when(_either("barred", UNDECLARED), _verdict(PARKED, UNDECLARED))
        .when((F.col("a_hint") | F.col("b_hint")) & (F.col("decided") == 0), _verdict(PARKED, HINT_ONLY))
        .when(F.col("a_sliced") & F.col("b_sliced"), _verdict(PARKED, NAMES_NOBODY))
        .when(_crosses_a_lock(), _verdict(PARKED, LOCKED))
        .when(F.coalesce("a_hub", "b_hub").isNotNull() & (F.col("decided") == 0), _verdict(PARKED, SUPER_NODE))
    )
    return (
        marked.withColumn("verdict", verdict)
        .withColumns({"state": F.col("verdict.state"), "reason": F.col("verdict.reason")})
        .drop("verdict", "a_hub", "b_hub", "is_separated", "decided", *_OF_GUARDS)
    )


def _crosses_a_lock() -> Column:
    """True where one end is frozen and the other is not, or not by the same lock.

    But for a device that is not frozen itself: whether it passes from person to person is known later (`sharing`).
    """
    free = [
        F.col(f"{one}_sliced") & F.col(f"{one}_lock").isNull() & ~F.col(f"{other}_sliced")
        for one, other in (("a", "b"), ("b", "a"))
    ]
    return ~F.col("a_lock").eqNullSafe(F.col("b_lock")) & ~free[0] & ~free[1]


def _either(name: str, value: str) -> Column:
    """True where one end has the value; a null is no value."""
    return (F.col(f"a_{name}") == value) | (F.col(f"b_{name}") == value)


def _verdict(state: str, reason: str) -> Column:
    return F.struct(F.lit(state).alias("state"), F.lit(reason).alias("reason"))
