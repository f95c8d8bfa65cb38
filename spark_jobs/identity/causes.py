"""What happened to persons, as events: who went where, and the link whose new judgement brought it."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.rules import ALWAYS, BLOCKED, DECIDED_KINDS, JOINING_KINDS, NEGATIVE, PARKED, USED
from spark_jobs.people.system_time import moment

MERGE, SPLIT, MOVE, HANDOVER = "merge", "split", "move", "handover"
BY_RULES = "rules"
_ENDS = ("identifier_a", "identifier_b")
_FROM_TO = ("from_person_id", "to_person_id")


def moves(registered: DataFrame, registry: DataFrame, before: DataFrame) -> DataFrame:
    """Who resolves to somebody else now, and who was minted for identifiers that belonged to somebody.

    In:  new rows of `core.persons`; the newest row of each person before; rows of the map as it was known.
    Out: person_id, from_person_id, to_person_id, kind.
    """
    was = registry.select("person_id", F.col("survivor_id").alias("from_person_id"))
    seeds = before.where(F.col("valid_from") == F.expr(ALWAYS)).select(
        F.col("identifier_no").alias("seed_identifier_no"), F.col("person_id").alias("seed_of")
    )
    # A person has one newest row and an identifier one holder for good, so neither join can add rows.
    known = registered.join(was, on="person_id", how="left").join(seeds, on="seed_identifier_no", how="left")
    is_living = F.col("survivor_id") == F.col("person_id")
    was_living = F.col("from_person_id") == F.col("person_id")
    kind = F.when(is_living, F.lit(SPLIT)).when(was_living, F.lit(MERGE)).otherwise(F.lit(MOVE))
    return known.select(
        "person_id",
        F.coalesce("from_person_id", "seed_of").alias("from_person_id"),
        F.col("survivor_id").alias("to_person_id"),
        kind.alias("kind"),
    ).where(F.col("from_person_id").isNotNull())


def handovers(changed: DataFrame, moved: DataFrame) -> DataFrame:
    """Identifiers that go from one person to another by neither a merge nor a split of the two: one row for each two.

    In:  rows of `difference.hands`; rows of `moves`.
    Out: the columns of `moves`; person_id is who gives.
    """
    pairs = changed.select(F.col("before").alias("from_person_id"), F.col("after").alias("to_person_id"))
    alone = pairs.dropna().distinct().join(moved, on=list(_FROM_TO), how="left_anti")
    return alone.select(F.col("from_person_id").alias("person_id"), *_FROM_TO, F.lit(HANDOVER).alias("kind"))


def triggers(judged: DataFrame, before: DataFrame, after: DataFrame) -> DataFrame:
    """Links that bring identifiers of one person to another since now, or hold them no longer.

    In:  new rows of `core.identity_link_states`; rows of the map as it was known, and as it will be.
    Out: from_person_id, to_person_id, joined, parted (identifier_a, identifier_b, reason: the first link that is used
         since now and leads from the one to the other, and the first that is not used any longer and held the one's);
         a row for each two persons.
    """
    placed = judged.select(*_ENDS, "state", "reason")
    for name, rows in (("before", before), ("after", after)):
        held = rows.where(F.col("valid_from") == F.expr(ALWAYS)).select("identifier_no", F.col("person_id"))
        for side in ("a", "b"):
            end = held.select(
                F.col("identifier_no").alias(f"identifier_{side}"), F.col("person_id").alias(f"{side}_{name}")
            )
            # An identifier is held for good by one person, so no link is doubled.
            placed = placed.join(end, on=f"identifier_{side}", how="left")
    # A new identifier has nobody before: what it joins comes from the other end.
    was_one = F.col("a_before").eqNullSafe(F.col("b_before"))
    is_one = F.coalesce(F.col("a_after") == F.col("b_after"), F.lit(False))
    joins = (F.col("state") == USED) & ~was_one & is_one
    parts = F.col("state").isin(PARKED, BLOCKED) & was_one & ~is_one
    link = F.struct(*_ENDS, "reason")
    sides = [
        F.struct(F.col(f"{side}_before").alias("from_person_id"), F.col(f"{side}_after").alias("to_person_id"))
        for side in ("a", "b")
    ]
    ways = placed.where(joins | parts).select(
        F.explode(F.array(*sides)).alias("way"),
        F.when(joins, link).alias("joined"),
        F.when(parts, link).alias("parted"),
    )
    went = ways.select("way.*", "joined", "parted").where(F.col("from_person_id") != F.col("to_person_id"))
    return went.groupBy(*_FROM_TO).agg(F.min("joined").alias("joined"), F.min("parted").alias("parted"))


def person_events(moved: DataFrame, found: DataFrame, ledger: DataFrame, *, at_us: int, snapshot_id: str) -> DataFrame:
    """Rows of `core.person_events`.

    In: rows of `moves` and of `handovers`; rows of `triggers`; the ledger with what was decided.
    """
    first = F.when(F.col("kind") == SPLIT, F.coalesce("parted", "joined")).otherwise(F.coalesce("joined", "parted"))
    # `triggers` has one row for each two persons, so this join cannot add rows.
    known = moved.join(found, on=list(_FROM_TO), how="left").withColumn("link", first)
    ends = known.select("person_id", *_FROM_TO, "kind", *[f"link.{name}" for name in _ENDS], "link.reason")
    # Few links out of billions: what was seen of others is left out before it is grouped.
    asked = ends.select(*_ENDS).dropna().distinct()
    seen = ledger.where(F.col("kind").isin(*JOINING_KINDS, NEGATIVE)).join(asked, on=list(_ENDS), how="left_semi")
    # A decision says more than what it was made against; of events the first.
    rank = F.struct(~F.col("kind").isin(NEGATIVE, *DECIDED_KINDS), "first_seen_at", "event_id")
    shown = seen.groupBy(*_ENDS).agg(F.min_by("event_id", rank).alias("event_id"))
    signed = {"system_from": moment(at_us), "snapshot_id": F.lit(snapshot_id)}
    told = ends.join(shown, on=list(_ENDS), how="left").withColumns(signed)
    return told.withColumn("cause", F.coalesce("reason", F.lit(BY_RULES))).drop("reason")
