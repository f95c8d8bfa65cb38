"""The registry of master ids: who keeps an id, who resolves to another, who gets a new one."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.identity.numbering import numbered
from spark_jobs.identity.rules import MASTER_ID_NAMESPACE
from spark_jobs.people.system_time import moment
from spark_jobs.people.uuids import uuid5_column

KEPT, MERGED, MINTED = "kept", "merged", "minted"
REGISTERED = ("person_id", "person_no", "seed_identifier_no", "generation", "first_seen_at", "survivor_id")
CLAIMED = ("label", "person_id", "person_no", "role")


def seeds(members: DataFrame) -> DataFrame:
    """One row per component: label, and its seed, the member seen first (then by token).

    In:  identifier_no, type, scope, token, first_seen_at, label; rows without a label belong to nobody for good.
    """
    first = F.min(F.struct("first_seen_at", "token", "type", "scope", "identifier_no"))
    grouped = members.where(F.col("label").isNotNull()).groupBy("label").agg(first.alias("seed"))
    return grouped.select("label", "seed.*")


def claims(members: DataFrame, seeded: DataFrame, homes: DataFrame, registry: DataFrame) -> DataFrame:
    """Which persons of the registry claim which component.

    A person goes where most of the identifiers went whose home it is (ties: the older, then the smaller seed); of
    several in one component the oldest survives. Homes outlive merges, so a split brings former persons back; what the
    map holds now decides nothing.

    In:  members and rows of `seeds`; identifier_no, person_id of homes; the newest row of each person.
    Out: label, person_id, person_no, role (kept or merged); a person stands once.
    """
    ages = registry.select("person_id", "person_no", F.col("first_seen_at").alias("born_at"))
    mine = members.where(F.col("label").isNotNull()).select("identifier_no", "label")
    # An identifier has one home, so a row of the overlap is one identifier.
    sized = (
        mine.join(homes, on="identifier_no", how="inner").groupBy("person_id", "label").agg(F.count("*").alias("size"))
    )
    ranked = sized.join(seeded.select("label", "first_seen_at", "token"), on="label", how="inner")
    best = Window.partitionBy("person_id").orderBy(F.desc("size"), "first_seen_at", "token", "label")
    awarded = ranked.withColumn("place", F.row_number().over(best)).where("place = 1").select("person_id", "label")
    # Of persons seen first at one moment, the one that was registered first: who was split off later never takes over.
    eldest = Window.partitionBy("label").orderBy("born_at", "person_no")
    role = F.when(F.row_number().over(eldest) == 1, F.lit(KEPT)).otherwise(F.lit(MERGED))
    return awarded.join(ages, on="person_id", how="inner").withColumn("role", role).select(*CLAIMED)


def no_claims(seeded: DataFrame) -> DataFrame:
    """What `claims` gives while the registry is empty."""
    nobody = {"person_id": F.lit(""), "person_no": F.lit(0).cast("bigint"), "role": F.lit(KEPT)}
    return seeded.where(F.lit(False)).select("label").withColumns(nobody)


def minted(seeded: DataFrame, claimed: DataFrame, registry: DataFrame, *, after: int, past: int = 0) -> DataFrame:
    """New persons for components that nobody claims, numbered by first seen, then id.

    `past`: the largest generation that an erased person had: who comes back gets no id of before.

    Out: label, person_id, person_no, role, seed_identifier_no, generation, first_seen_at.
    """
    known = registry.groupBy(F.col("seed_identifier_no").alias("identifier_no")).agg(F.max("generation").alias("last"))
    # claimed may hold a label twice, hence the anti join; known is unique on its key.
    new = seeded.join(claimed.select("label"), on="label", how="left_anti").join(known, on="identifier_no", how="left")
    generation = F.greatest(F.coalesce("last", F.lit(0)), F.lit(past)) + 1
    # A seed identifier and generation, never the identifier alone: a person can be split off its member number.
    name = F.concat_ws("/", F.lit("seed"), "type", "scope", F.lower(F.hex("token")), "generation")
    named = new.withColumn("generation", generation).withColumn("person_id", uuid5_column(MASTER_ID_NAMESPACE, name))
    placed = numbered(named, "person_no", moment="first_seen_at", ties=("person_id",), after=after)
    return placed.select(
        "label",
        "person_id",
        "person_no",
        F.lit(MINTED).alias("role"),
        F.col("identifier_no").alias("seed_identifier_no"),
        "generation",
        "first_seen_at",
    )


def assigned(claimed: DataFrame, new: DataFrame) -> DataFrame:
    """All claims and new persons in one frame; of each label exactly one row has a role other than `merged`."""
    nothing = F.lit(None)
    return claimed.select(
        "*",
        nothing.cast("bigint").alias("seed_identifier_no"),
        nothing.cast("int").alias("generation"),
        nothing.cast("timestamp").alias("first_seen_at"),
    ).unionByName(new)


def owners(assignment: DataFrame) -> DataFrame:
    """label, person_id, person_no: the one person of each component."""
    return assignment.where(F.col("role") != MERGED).select("label", "person_id", "person_no")


def registry_changes(assignment: DataFrame, registry: DataFrame, *, at_us: int, snapshot_id: str) -> DataFrame:
    """Rows of `core.persons` to add: the new, and who resolves to somebody else now; every id resolves in one step.

    In:  rows of `assigned`; the newest row of each person; the moment since when it is known, microseconds.
    """
    survivors = owners(assignment).select("label", F.col("person_id").alias("survivor_id"))
    # A label has one owner, so this join cannot add rows.
    resolved = assignment.join(survivors, on="label", how="inner")
    new = resolved.where(F.col("role") == MINTED)
    now = resolved.where(F.col("role") != MINTED).select("person_id", F.col("survivor_id").alias("own"))
    # Who holds nothing by itself resolves to whom its survivor resolves to.
    of_survivor = now.select(F.col("person_id").alias("survivor_id"), F.col("own").alias("inherited"))
    # A person is awarded once, so neither join can add rows.
    known = registry.join(now, on="person_id", how="left").join(of_survivor, on="survivor_id", how="left")
    survivor = F.coalesce("own", "inherited", "survivor_id")
    moved = known.withColumn("before", F.col("survivor_id")).withColumn("survivor_id", survivor)
    rows = moved.where(F.col("before") != F.col("survivor_id")).select(*REGISTERED).unionByName(new.select(*REGISTERED))
    return rows.withColumns({"system_from": moment(at_us), "snapshot_id": F.lit(snapshot_id)})


def with_changes(registry: DataFrame, changed: DataFrame) -> DataFrame:
    """person_id, survivor_id of everybody, once the changes stand in the registry."""
    columns = ("person_id", "survivor_id")
    rest = registry.join(changed, on="person_id", how="left_anti").select(*columns)
    return rest.unionByName(changed.select(*columns))
