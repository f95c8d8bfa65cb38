"""The verifier's other side: a link that joins nobody must have a reason, and the reason must hold in the result.

Reasons are looked for in what is about to be published, not in how it was computed: who holds what, what decisions say,
how many owners an identifier has.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.declared import Rules
from spark_jobs.identity.rules import (
    BLOCKED,
    BLOCKLISTED,
    HINT_ONLY,
    KEPT_APART,
    LOCKED,
    NAMES_NOBODY,
    PARKED,
    SEPARATED,
    SHARED,
    SUPER_NODE,
    UNDECLARED,
    UNIQUENESS,
    is_hint,
    is_sliced,
    owner_limit,
    priority,
    unique_key,
)

_ENDS = ("identifier_a", "identifier_b")
# Links that no guard may count: they would join nobody, whatever else holds.
_CLOSED_TO_HUBS = (SEPARATED, BLOCKLISTED, UNDECLARED, HINT_ONLY)
_CLOSED = (*_CLOSED_TO_HUBS, KEPT_APART, LOCKED)


def groundless(
    states: DataFrame, separations: DataFrame, identifiers: DataFrame, lasting: DataFrame, *, rules: Rules
) -> DataFrame:
    """Links that are parked or blocked for a reason that does not hold.

    In:  identifier_a, identifier_b, state, reason of every link; both ends of decisions that keep them apart; rows of
         `barred` with `lock`; identifier_no, type, scope, person_id of identifiers that a person holds for good.
    """
    owners = lasting.select("identifier_no", F.col("person_id").alias("person"))
    links = states.transform(_with_ends, identifiers, owners, rules)
    hubs, owned = _hubs(links), _owners_of_shared(links)
    idle = links.where(F.col("state").isin(PARKED, BLOCKED))
    # Each is unique on what it is joined by, so no link is doubled.
    judged = (
        idle.transform(_marked, _of_one_unique(idle, lasting, rules), _ENDS, "clashes")
        .transform(_marked, separations, _ENDS, "decided")
        .transform(_marked, _kept_apart(idle, separations, owners), _ENDS, "apart")
        .transform(_marked, hubs.withColumnRenamed("identifier_no", "identifier_a"), ("identifier_a",), "a_hub")
        .transform(_marked, hubs.withColumnRenamed("identifier_no", "identifier_b"), ("identifier_b",), "b_hub")
        .join(owned, on="sliced_no", how="left")
    )
    return judged.where(~F.coalesce(_holds(), F.lit(False))).select(*_ENDS, "state", "reason")


def _holds() -> Column:
    owners = F.coalesce("owners", F.lit(0))
    is_crowded = F.col("a_hub") | F.col("b_hub") | (owners > F.col("sliced_limit"))
    grounds = {
        (BLOCKED, SEPARATED): F.col("decided"),
        (BLOCKED, BLOCKLISTED): (F.col("a_barred") == BLOCKLISTED) | (F.col("b_barred") == BLOCKLISTED),
        (PARKED, UNDECLARED): (F.col("a_barred") == UNDECLARED) | (F.col("b_barred") == UNDECLARED),
        (PARKED, LOCKED): ~F.col("a_lock").eqNullSafe(F.col("b_lock")),
        (PARKED, HINT_ONLY): F.col("a_hint") | F.col("b_hint"),
        (PARKED, NAMES_NOBODY): F.col("a_sliced") & F.col("b_sliced"),
        (PARKED, UNIQUENESS): (F.col("a_person") != F.col("b_person")) & F.col("clashes"),
        (PARKED, KEPT_APART): F.col("apart"),
        (PARKED, SUPER_NODE): is_crowded,
        (PARKED, SHARED): (owners > 1) & (owners <= F.col("sliced_limit")),
    }
    holds = F.lit(False)
    for (state, reason), ground in grounds.items():
        holds = F.when((F.col("state") == state) & (F.col("reason") == reason), ground).otherwise(holds)
    return holds


def _with_ends(states: DataFrame, identifiers: DataFrame, owners: DataFrame, rules: Rules) -> DataFrame:
    """Add type facts and person of both ends; `sliced_no`: the one end that is sliced, null where both or none are."""
    end = identifiers.select(
        "identifier_no",
        is_sliced(F.col("type"), rules).alias("sliced"),
        owner_limit(F.col("type"), rules).alias("limit"),
        priority(F.col("type"), rules).alias("priority"),
        unique_key(F.col("type"), F.col("scope"), rules).alias("unique"),
        is_hint(F.col("type"), rules).alias("hint"),
        "barred",
        "lock",
    ).join(owners, on="identifier_no", how="left")
    both = states.select(*_ENDS, "state", "reason")
    for side in ("a", "b"):
        renamed = [F.col(name).alias(f"{side}_{name}") for name in end.columns if name != "identifier_no"]
        both = both.join(end.select(F.col("identifier_no").alias(f"identifier_{side}"), *renamed), f"identifier_{side}")
    one = F.col("a_sliced") != F.col("b_sliced")
    is_a = F.col("a_sliced")
    return both.withColumns(
        {
            "sliced_no": F.when(one, F.when(is_a, F.col("identifier_a")).otherwise(F.col("identifier_b"))),
            "sliced_limit": F.when(one, F.when(is_a, F.col("a_limit")).otherwise(F.col("b_limit"))),
            "exclusive_no": F.when(one, F.when(is_a, F.col("identifier_b")).otherwise(F.col("identifier_a"))),
            "owner": F.when(one, F.when(is_a, F.col("b_person")).otherwise(F.col("a_person"))),
        }
    )


def _hubs(links: DataFrame) -> DataFrame:
    """identifier_no of exclusive identifiers that are linked to more values of one unique type than they may have."""
    is_pair = ~F.col("a_sliced") & ~F.col("b_sliced") & ~F.col("reason").isin(*_CLOSED_TO_HUBS)
    sides = (("a", "b"), ("b", "a"))
    weak = [
        links.where(is_pair & (F.col(f"{s}_priority") < F.col(f"{w}_priority")) & (F.col(f"{s}_unique") != 0)).select(
            F.col(f"identifier_{w}").alias("identifier_no"),
            F.col(f"{w}_limit").alias("limit"),
            F.col(f"{s}_unique").alias("of"),
            F.col(f"identifier_{s}").alias("strong"),
        )
        for s, w in sides
    ]
    counted = weak[0].unionByName(weak[1]).groupBy("identifier_no", "limit", "of")
    crowded = counted.agg(F.count_distinct("strong").alias("owners")).where(F.col("owners") > F.col("limit"))
    return crowded.select("identifier_no").dropDuplicates()


def _owners_of_shared(links: DataFrame) -> DataFrame:
    """sliced_no, owners: persons to whom links lead that neither a decision nor a super-node forbids."""
    is_open = F.col("sliced_no").isNotNull() & ~F.col("reason").isin(*_CLOSED)
    hubs = _hubs(links).withColumnRenamed("identifier_no", "exclusive_no")
    led = links.where(is_open).join(hubs, on="exclusive_no", how="left_anti")
    return led.groupBy("sliced_no").agg(F.count_distinct("owner").alias("owners"))


def _of_one_unique(idle: DataFrame, lasting: DataFrame, rules: Rules) -> DataFrame:
    """Both ends of links between two persons who hold a value of the same unique type each."""
    keyed = lasting.withColumn("key", unique_key(F.col("type"), F.col("scope"), rules)).where("key != 0")
    a = keyed.select(F.col("person_id").alias("a_person"), "key")
    b = keyed.select(F.col("person_id").alias("b_person"), "key")
    clashing = idle.where(F.col("reason") == UNIQUENESS).select(*_ENDS, "a_person", "b_person")
    return clashing.join(a, on="a_person").join(b, on=["b_person", "key"]).select(*_ENDS).dropDuplicates()


def _kept_apart(idle: DataFrame, separations: DataFrame, owners: DataFrame) -> DataFrame:
    """Both ends of links that would bring together what a decision separates."""
    other = owners.withColumnRenamed("identifier_no", "identifier_b").withColumnRenamed("person", "b_person")
    own = owners.withColumnRenamed("identifier_no", "identifier_a").withColumnRenamed("person", "a_person")
    decided = separations.join(own, on="identifier_a", how="left").join(other, on="identifier_b", how="left")
    ways = (("identifier_a", "b"), ("identifier_b", "a"), ("a_person", "b"), ("b_person", "a"))
    turned = [
        decided.select(F.col(one).cast("string").alias("one"), F.col(f"{side}_person").alias("person"))
        for one, side in ways
    ]
    apart = reduce(DataFrame.unionByName, turned).dropDuplicates()
    is_sliced_link = F.col("sliced_no").isNotNull()
    asked = idle.where(F.col("reason") == KEPT_APART).select(
        *_ENDS,
        F.when(is_sliced_link, F.col("sliced_no").cast("string")).otherwise(F.col("a_person")).alias("one"),
        F.when(is_sliced_link, F.col("owner")).otherwise(F.col("b_person")).alias("person"),
    )
    return asked.join(apart, on=["one", "person"]).select(*_ENDS)


def _marked(links: DataFrame, found: DataFrame, on: tuple[str, ...], name: str) -> DataFrame:
    marked = links.join(found.withColumn(name, F.lit(True)), on=list(on), how="left")
    return marked.withColumn(name, F.coalesce(name, F.lit(False)))
