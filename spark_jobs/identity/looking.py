"""What a question about one person or one identifier reads: filtered to it before anything is joined or walked."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity import paths
from spark_jobs.identity.rules import ALWAYS, BLOCKED, NEGATIVE, PARKED, USED

ENDS = ("identifier_a", "identifier_b")
_FORMAT = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"


def instant(name: str) -> Column:
    """An instant as text, UTC; null where it is null."""
    return F.date_format(name, _FORMAT).alias(name)


def held_for_good(identity_map: DataFrame) -> DataFrame:
    """identifier_no, person_id of identifiers that belong to one person for ever."""
    return identity_map.where(F.col("valid_from") == F.expr(ALWAYS)).select("identifier_no", "person_id")


def held_values(identity_map: DataFrame) -> DataFrame:
    """identifier_no, type, scope of identifiers that belong to one person for ever."""
    return identity_map.where(F.col("valid_from") == F.expr(ALWAYS)).select("identifier_no", "type", "scope")


def flagged(members: DataFrame, homes: DataFrame, *, start: Column, end: Column) -> DataFrame:
    """identifier_no, is_from, is_to: 1 where a path may begin, and end.

    In: identifier_no of one person; identifier_no, home; conditions on identifier_no and home.
    """
    # An identifier has one home at most, so this join cannot add rows.
    placed = members.select("identifier_no").join(homes, on="identifier_no", how="left")
    flags = {"is_from": start, "is_to": end}
    return placed.select(
        "identifier_no",
        *[F.coalesce(flag, F.lit(False)).cast("bigint").alias(name) for name, flag in flags.items()],
    )


def used_links(states: DataFrame, flags: DataFrame) -> DataFrame:
    """The links that hold one person together, with the flags of both ends: columns `paths.SEARCHED`.

    In: link states as one snapshot holds them; rows of `flagged`, all identifiers of the person.
    """
    # Every used link leads to one person alone, and flags have each identifier once: neither join can add rows.
    found = states.where(F.col("state") == USED).select(*ENDS)
    for side in ("a", "b"):
        mine = flags.select(
            F.col("identifier_no").alias(f"identifier_{side}"),
            F.col("is_from").alias(f"{side}_from"),
            F.col("is_to").alias(f"{side}_to"),
        )
        found = found.join(mine, on=f"identifier_{side}", how="inner")
    return found.select(*paths.SEARCHED)


def path_of(links: DataFrame, *, most_steps: int) -> DataFrame:
    """Rows of `paths.STEPS`, the first so many; one task searches the links of one person."""
    return links.repartition(1).mapInArrow(paths.walk, paths.STEPS).where(F.col("step") <= most_steps)


def sided(one: DataFrame, other: DataFrame) -> DataFrame:
    """identifier_no, side: 1 for identifiers of the one, 2 for those of the other; they have none in common."""
    return one.select("identifier_no", F.lit(1).alias("side")).unionByName(
        other.select("identifier_no", F.lit(2).alias("side"))
    )


def idle_between(states: DataFrame, sides: DataFrame) -> DataFrame:
    """Links that join nobody and lead from the one to the other, directly or by way of an identifier that is neither's.

    In:  link states as one snapshot holds them; rows of `sided`.
    Out: identifier_a, identifier_b, state, reason, middle_no (null where the link is direct).
    """
    idle = states.where(F.col("state").isin(PARKED, BLOCKED)).select(*ENDS, "state", "reason")
    touching = _with_sides(idle, sides).where(F.coalesce("a_side", "b_side").isNotNull())
    direct = touching.where(F.col("a_side") != F.col("b_side"))
    half = touching.where(F.col("a_side").isNull() | F.col("b_side").isNull())
    middle = F.when(F.col("a_side").isNull(), F.col("identifier_a")).otherwise(F.col("identifier_b"))
    by_middle = half.withColumn("middle_no", middle).withColumn("side", F.coalesce("a_side", "b_side"))
    both = by_middle.groupBy("middle_no").agg(F.count_distinct("side").alias("reached")).where("reached = 2")
    columns = (*ENDS, "state", "reason", "middle_no")
    # both is unique on middle_no, so this join cannot add rows.
    through = by_middle.join(both.select("middle_no"), on="middle_no", how="inner").select(*columns)
    return direct.withColumn("middle_no", F.lit(None).cast("bigint")).select(*columns).unionByName(through)


def separations_between(ledger: DataFrame, sides: DataFrame) -> DataFrame:
    """identifier_a, identifier_b of decisions that keep an identifier of the one from one of the other."""
    decided = ledger.where(F.col("kind") == NEGATIVE).select(*ENDS).dropDuplicates()
    return _with_sides(decided, sides).where(F.col("a_side") != F.col("b_side")).select(*ENDS)


def _with_sides(links: DataFrame, sides: DataFrame) -> DataFrame:
    # sides has each identifier once, so these joins cannot add rows.
    for side in ("a", "b"):
        mine = sides.select(F.col("identifier_no").alias(f"identifier_{side}"), F.col("side").alias(f"{side}_side"))
        links = links.join(mine, on=f"identifier_{side}", how="left")
    return links


def evidence(ledger: DataFrame, pairs: DataFrame) -> DataFrame:
    """What the ledger says of a few links: one row per pair, kind and source.

    In:  rows of `core.identity_links`; identifier_a, identifier_b, few.
    Out: both ends, kind, source, event_id (the first), observations, first_seen_at, last_seen_at, authenticated,
         author, reason.
    """
    # A pair stands once, so this join cannot add rows.
    rows = ledger.join(F.broadcast(pairs.select(*ENDS).dropDuplicates()), on=list(ENDS), how="inner")
    first = F.struct("first_seen_at", "event_id")
    found = rows.groupBy(*ENDS, "kind", "source").agg(
        F.min_by("event_id", first).alias("event_id"),
        F.sum("observations").alias("observations"),
        F.min("first_seen_at").alias("first_seen_at"),
        F.max("last_seen_at").alias("last_seen_at"),
        F.max("authenticated").alias("authenticated"),
        F.min_by("author", first).alias("author"),
        F.min_by("reason", first).alias("reason"),
    )
    times = {name: instant(name) for name in ("first_seen_at", "last_seen_at")}
    return found.withColumns(times).orderBy(*ENDS, "first_seen_at", "kind", "source")
