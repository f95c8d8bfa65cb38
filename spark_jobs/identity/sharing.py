"""Devices and cookies: theirs who alone uses them, held in slices of time where several do, nobody's otherwise."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.identity.ledger import VALUE
from spark_jobs.identity.rules import (
    ALREADY_JOINED,
    KEPT_APART,
    LOCKED,
    PARKED,
    REDUNDANT,
    SHARED,
    SPANNING,
    SUPER_NODE,
    USED,
)


def sliced_links(links: DataFrame, labels: DataFrame, separations: DataFrame) -> DataFrame:
    """Links between a sliced identifier and a person.

    In:  guarded links; node, label of all exclusive identifiers; identifier_a, identifier_b of separations.
    Out: identifier_no (the sliced one), limit, owner (label), strength, both ends of the link, is_apart: true where
         a decision keeps the sliced identifier away from the person, by whichever of its identifiers, and is_locked:
         true where the person is frozen without it.
    """
    open_links = links.where(F.col("state").isNull() & (F.col("a_sliced") != F.col("b_sliced")))
    sided = open_links.select(
        F.when(F.col("a_sliced"), F.col("identifier_a")).otherwise(F.col("identifier_b")).alias("identifier_no"),
        F.when(F.col("a_sliced"), F.col("a_limit")).otherwise(F.col("b_limit")).alias("limit"),
        F.when(F.col("a_sliced"), F.col("identifier_b")).otherwise(F.col("identifier_a")).alias("node"),
        "identifier_a",
        "identifier_b",
        "strength",
        (~F.col("a_lock").eqNullSafe(F.col("b_lock"))).alias("is_locked"),
    )
    # labels has every node once, so this join cannot add rows.
    owned = sided.join(labels, on="node", how="inner").withColumnRenamed("label", "owner").drop("node")
    turned = (("identifier_a", "identifier_b"), ("identifier_b", "identifier_a"))
    ways = [separations.select(F.col(a).alias("identifier_no"), F.col(b).alias("node")) for a, b in turned]
    kept = ways[0].unionByName(ways[1]).join(labels, on="node", how="inner")
    # Two decisions may name the same person.
    kept = kept.select("identifier_no", F.col("label").alias("owner"), F.lit(True).alias("is_apart")).dropDuplicates()
    marked = owned.join(kept, on=["identifier_no", "owner"], how="left")
    return marked.withColumn("is_apart", F.coalesce("is_apart", F.lit(False)))


def parted(sliced: DataFrame, separations: DataFrame) -> DataFrame:
    """Of two devices or cookies that a decision separates, and that one person alone uses, keep the weaker away.

    One person's are judged from the strongest on: each goes that a decision separates from one that stays.

    In:  rows of `sliced_links`; identifier_a, identifier_b of separations. Out: rows of `sliced_links`.
    """
    ends = [separations.select(F.col(name).alias("identifier_no")) for name in ("identifier_a", "identifier_b")]
    decided = sliced.join(ends[0].unionByName(ends[1]), on="identifier_no", how="left_semi")
    alone = holdings(decided).where(F.col("label").isNotNull())
    # Decisions are made by people: what they speak of is few.
    ranked = alone.withColumn("rank", F.row_number().over(Window.partitionBy("label").orderBy("strongest")))
    a, b = (
        ranked.select(F.col("identifier_no").alias(f"identifier_{s}"), "label", F.col("rank").alias(s)) for s in "ab"
    )
    # An identifier alone with its person has one row, so neither join can add rows.
    met = separations.join(a, on="identifier_a", how="inner").join(b, on=["identifier_b", "label"], how="inner")
    pair = F.struct(F.greatest("a", "b").alias("weak"), F.least("a", "b").alias("strong"))
    pairs = met.groupBy("label").agg(F.array_sort(F.collect_set(pair)).alias("pairs"))
    nobody = F.array().cast("array<int>")

    def without(gone: Column, one: Column) -> Column:
        return F.when(F.array_contains(gone, one["strong"]), gone).otherwise(F.array_union(gone, F.array(one["weak"])))

    gone = pairs.select("label", F.explode(F.aggregate("pairs", nobody, without)).alias("rank"))
    away = gone.join(ranked, on=["label", "rank"], how="inner")
    marks = away.select("identifier_no", F.col("label").alias("owner"), F.lit(True).alias("goes"))
    marked = sliced.join(marks, on=["identifier_no", "owner"], how="left")
    return marked.withColumn("is_apart", F.col("is_apart") | F.coalesce("goes", F.lit(False))).drop("goes")


def holdings(sliced: DataFrame) -> DataFrame:
    """One row per sliced identifier with a link: owner (null where there are several), reason, strongest link."""
    counted = (
        sliced.where(~F.col("is_apart"))
        .groupBy("identifier_no", "limit")
        .agg(
            F.count_distinct("owner").alias("owners"),
            F.min("owner").alias("owner"),
            F.min("strength").alias("strongest"),
            F.max("is_locked").alias("is_locked"),
        )
    )
    is_shared = F.col("owners") > 1
    reason = (
        F.when(F.col("owners") > F.col("limit"), F.lit(SUPER_NODE))
        .when(is_shared, F.lit(SHARED))
        .when(F.col("is_locked"), F.lit(LOCKED))
    )
    label = F.when(reason.isNull(), F.col("owner"))
    return counted.select("identifier_no", label.alias("label"), reason.alias("reason"), "strongest")


def judge_sliced(sliced: DataFrame, held: DataFrame) -> DataFrame:
    """identifier_a, identifier_b, state, reason of each link of `sliced_links`."""
    # held has one row per identifier_no, so this join cannot add rows; all links of an identifier may be kept apart.
    joined = sliced.join(held.select("identifier_no", "reason", "strongest"), on="identifier_no", how="left")
    # Strength is total, so exactly one link of an identifier is its strongest.
    is_strongest = F.col("strength") == F.col("strongest")
    parked = F.when(F.col("is_apart"), F.lit(KEPT_APART)).otherwise(F.col("reason"))
    state = F.when(parked.isNotNull(), F.lit(PARKED)).otherwise(
        F.when(is_strongest, F.lit(USED)).otherwise(F.lit(REDUNDANT))
    )
    reason = F.coalesce(parked, F.when(is_strongest, F.lit(SPANNING)).otherwise(F.lit(ALREADY_JOINED)))
    return joined.select("identifier_a", "identifier_b", state.alias("state"), reason.alias("reason"))


def members_of(identifiers: DataFrame, labels: DataFrame, held: DataFrame) -> DataFrame:
    """Every identifier with the component that holds it for good.

    In:  rows of `barred`; node, label of exclusive ones; rows of `holdings`.
    Out: identifier_no, type, scope, token, first_seen_at, label (null where nobody holds it for good), reason (of that:
         several persons share it, or it is barred).
    """
    exclusive = labels.select(F.col("node").alias("identifier_no"), F.col("label").alias("own_label"))
    # Both are unique on identifier_no, so these joins cannot add rows.
    every = identifiers.join(exclusive, on="identifier_no", how="left").join(
        held.select("identifier_no", "label", "reason"), on="identifier_no", how="left"
    )
    reason = F.coalesce("barred", "reason")
    # A device that nobody was ever seen on is an anonymous person of its own, and one that a lock leaves outside.
    alone = F.when(reason.isNull() | (reason == LOCKED), F.col("identifier_no"))
    label = F.coalesce("own_label", "label", alone)
    return every.select("identifier_no", *VALUE, "first_seen_at", label.alias("label"), reason.alias("reason"))


def shared(members: DataFrame) -> DataFrame:
    """type, scope, token, identifier_no of identifiers that are served by slices of time; super-nodes never are."""
    return members.where(F.col("reason") == SHARED).select(*VALUE, "identifier_no")


def shared_links(states: DataFrame) -> DataFrame:
    """Both ends of the links that slices of time stand for."""
    return states.where(F.col("reason") == SHARED).select("identifier_a", "identifier_b")


def slices(seen: DataFrame, shared: DataFrame, people: DataFrame, usable: DataFrame) -> DataFrame:
    """Spans in which one person alone was seen on a shared identifier: outside of them it is nobody's.

    In:  rows of `sightings`; type, scope, token, identifier_no of shared identifiers; type, scope, token,
         identifier_no, person_id, person_no of exclusive ones; identifier_a, identifier_b of links that no guard took.
    Out: identifier_no, type, scope, token, person_id, person_no, valid_from, valid_to; spans of one identifier never
         overlap.
    """
    proved = seen.where("authenticated").select("seen_at", "event_id", F.explode("seen").alias("one"), "seen")
    moments = proved.select(
        "seen_at",
        "event_id",
        *[F.col(f"one.{name}").alias(name) for name in VALUE],
        *[F.col("seen")[0][name].alias(f"hub_{name}") for name in VALUE],
    )
    hub = [F.col(name).alias(f"hub_{name}") for name in VALUE]
    owners = people.select(*hub, F.col("identifier_no").alias("hub_no"), "person_id", "person_no")
    # Both sides of either join are unique on (type, scope, token), links on their ends: no moment is doubled.
    known = moments.join(shared, on=list(VALUE), how="inner")
    owned = known.join(owners, on=[f"hub_{name}" for name in VALUE], how="inner").withColumns(
        {
            "identifier_a": F.least("identifier_no", "hub_no"),
            "identifier_b": F.greatest("identifier_no", "hub_no"),
        }
    )
    links = usable.withColumn("is_usable", F.lit(True))
    judged = owned.join(links, on=["identifier_a", "identifier_b"], how="left")
    return (
        judged.transform(_runs).where(F.col("is_usable") & (F.col("valid_from") < F.col("valid_to"))).drop("is_usable")
    )


def _runs(owned: DataFrame) -> DataFrame:
    """Maximal runs of moments of one person; a run ends just after its last moment, or where the next one begins."""
    in_time = Window.partitionBy("identifier_no").orderBy("seen_at", "event_id", "hub_token")
    is_other = F.coalesce(F.lag("person_id").over(in_time) != F.col("person_id"), F.lit(True))
    so_far = in_time.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    marked = owned.withColumn("is_other", is_other)
    runs = (
        marked.withColumn("run", F.sum(F.col("is_other").cast("int")).over(so_far))
        .groupBy("identifier_no", *VALUE, "run", "person_id", "person_no")
        # A parked login is a person too and ends the run of another, but it gives its person nothing.
        .agg(
            F.min("seen_at").alias("valid_from"), F.max("seen_at").alias("last"), F.max("is_usable").alias("is_usable")
        )
    )
    by_run = Window.partitionBy("identifier_no").orderBy("run")
    until = F.least(F.col("last") + F.expr("INTERVAL 1 MICROSECOND"), F.lead("valid_from").over(by_run))
    return runs.withColumn("valid_to", until).drop("run", "last")
