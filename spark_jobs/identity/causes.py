"""Merges and splits as events: who went where, and the link whose new judgement brought it."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.rules import ALWAYS, BLOCKED, DECIDED_KINDS, JOINING_KINDS, NEGATIVE, PARKED, USED
from spark_jobs.people.system_time import moment

MERGE, SPLIT, MOVE = "merge", "split", "move"
BY_RULES = "rules"
_ENDS = ("identifier_a", "identifier_b")


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


def triggers(judged: DataFrame, before: DataFrame, after: DataFrame, ledger: DataFrame) -> DataFrame:
    """Links that join two persons since now, or hold one no longer.

    In:  new rows of `core.identity_link_states`; rows of the map as it was known, and as it will be; the ledger with
         what was decided.
    Out: kind, person (whom a merge leads to, whom a split comes from), identifier_a, identifier_b, cause (the reason of
         the judgement), event_id (the first that showed the link, or the decision); one row per kind and person.
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
    is_merge = (F.col("state") == USED) & (F.col("a_before") != F.col("b_before"))
    is_apart = F.coalesce(F.col("a_after") != F.col("b_after"), F.lit(True))
    is_split = F.col("state").isin(PARKED, BLOCKED) & (F.col("a_before") == F.col("b_before")) & is_apart
    kind = F.when(is_merge, F.lit(MERGE)).when(is_split, F.lit(SPLIT))
    person = F.when(is_merge, F.col("a_after")).otherwise(F.col("a_before"))
    found = placed.withColumns({"kind": kind, "person": person}).where(F.col("kind").isNotNull())
    first = found.groupBy("kind", "person").agg(F.min(F.struct(*_ENDS, "reason")).alias("link"))
    links = first.select("kind", "person", *[f"link.{name}" for name in _ENDS], F.col("link.reason").alias("cause"))
    # A decision says more than what it was made against; of events the first.
    rank = F.struct(~F.col("kind").isin(NEGATIVE, *DECIDED_KINDS), "first_seen_at", "event_id")
    shown = ledger.where(F.col("kind").isin(*JOINING_KINDS, NEGATIVE)).groupBy(*_ENDS)
    return links.join(shown.agg(F.min_by("event_id", rank).alias("event_id")), on=list(_ENDS), how="left")


def person_events(moved: DataFrame, found: DataFrame, *, at_us: int, snapshot_id: str) -> DataFrame:
    """Rows of `core.person_events`. In: rows of `moves`; rows of `triggers`, one per kind and person."""
    asked = moved.withColumns(
        {
            "asked": F.when(F.col("kind") == SPLIT, F.lit(SPLIT)).otherwise(F.lit(MERGE)),
            "person": F.when(F.col("kind") == SPLIT, F.col("from_person_id")).otherwise(F.col("to_person_id")),
        }
    )
    causes = found.withColumnRenamed("kind", "asked")
    signed = {"system_from": moment(at_us), "snapshot_id": F.lit(snapshot_id)}
    known = asked.join(causes, on=["asked", "person"], how="left").withColumns(signed)
    return known.withColumn("cause", F.coalesce("cause", F.lit(BY_RULES))).drop("asked", "person")
