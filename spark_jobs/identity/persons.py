"""The registry of master ids: who keeps an id, who resolves to another, who gets a new one."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.identity.numbering import numbered
from spark_jobs.identity.rules import MASTER_ID_NAMESPACE
from spark_jobs.people.uuids import uuid5_column

KEPT, MERGED, REVIVED, MINTED = "kept", "merged", "revived", "minted"


def seeds(members: DataFrame) -> DataFrame:
    """One row per component: label, and its seed, the member seen first (then by token).

    In:  identifier_no, type, scope, token, first_seen_at, label; rows without a label belong to nobody for good.
    """
    first = F.min(F.struct("first_seen_at", "token", "type", "scope", "identifier_no"))
    grouped = members.where(F.col("label").isNotNull()).groupBy("label").agg(first.alias("seed"))
    return grouped.select("label", "seed.*")


def claims(members: DataFrame, seeded: DataFrame, held: DataFrame, registry: DataFrame) -> DataFrame:
    """Which persons of the registry claim which component.

    A person goes where most of its identifiers went (ties: the older, then the smaller seed); of several in one
    component the oldest survives. A component nobody came to takes back a person that was seeded by one of its
    identifiers and holds nothing now.

    In:  members and rows of `seeds`; identifier_no, person_id of the open map; rows of `core.persons`.
    Out: label, person_id, person_no, role (kept, merged or revived).
    """
    ages = registry.select("person_id", "person_no", F.col("first_seen_at").alias("born_at"), "seed_identifier_no")
    mine = members.where(F.col("label").isNotNull()).select("identifier_no", "label")
    # A map holds an exclusive identifier once, so a row of the overlap is one identifier.
    overlap = mine.join(held, on="identifier_no", how="inner").groupBy("person_id", "label")
    sized = overlap.agg(F.count(F.lit(1)).alias("size"))
    ranked = sized.join(seeded.select("label", "first_seen_at", "token"), on="label", how="inner")
    best = Window.partitionBy("person_id").orderBy(F.desc("size"), "first_seen_at", "token")
    awarded = ranked.withColumn("place", F.row_number().over(best)).where("place = 1").select("person_id", "label")
    eldest = Window.partitionBy("label").orderBy("born_at", "person_id")
    role = F.when(F.row_number().over(eldest) == 1, F.lit(KEPT)).otherwise(F.lit(MERGED))
    claimed = awarded.join(ages, on="person_id", how="inner").withColumn("role", role)
    idle = ages.join(held.select("person_id"), on="person_id", how="left_anti")
    seeded_here = idle.join(mine.withColumnRenamed("identifier_no", "seed_identifier_no"), on="seed_identifier_no")
    free = seeded_here.join(claimed.select("label"), on="label", how="left_anti")
    revived = (
        free.withColumn("place", F.row_number().over(eldest)).where("place = 1").withColumn("role", F.lit(REVIVED))
    )
    columns = ("label", "person_id", "person_no", "role")
    return claimed.select(*columns).unionByName(revived.select(*columns))


def no_claims(seeded: DataFrame) -> DataFrame:
    """What `claims` gives while the registry is empty."""
    nobody = {"person_id": F.lit(""), "person_no": F.lit(0).cast("bigint"), "role": F.lit(KEPT)}
    return seeded.where(F.lit(False)).select("label").withColumns(nobody)


def minted(seeded: DataFrame, claimed: DataFrame, registry: DataFrame, *, after: int) -> DataFrame:
    """New persons for components that nobody claims, numbered by first seen, then id.

    Out: label, person_id, person_no, role, seed_identifier_no, generation, first_seen_at.
    """
    past = registry.groupBy(F.col("seed_identifier_no").alias("identifier_no")).agg(F.max("generation").alias("last"))
    # claimed may hold a label twice, hence the anti join; past is unique on its key.
    new = seeded.join(claimed.select("label"), on="label", how="left_anti").join(past, on="identifier_no", how="left")
    generation = F.coalesce("last", F.lit(0)) + 1
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


def living(assignment: DataFrame, registry: DataFrame) -> DataFrame:
    """person_id of all persons that will resolve to themselves once the assignment stands in the registry."""
    lost = assignment.where(F.col("role") == MERGED).select("person_id")
    alive = registry.where(F.col("survivor_id") == F.col("person_id")).select("person_id")
    risen = assignment.where(F.col("role").isin(MINTED, REVIVED)).select("person_id")
    # Someone who lived and held nothing is revived as well: the same id twice.
    return alive.join(lost, on="person_id", how="left_anti").unionByName(risen).dropDuplicates()


def registry_changes(assignment: DataFrame, registry: DataFrame, snapshot_id: str) -> DataFrame:
    """Rows of `core.persons` to insert or to point elsewhere; every id resolves in one step, for ever."""
    new = assignment.where(F.col("role") == MINTED).withColumn("survivor_id", F.col("person_id"))
    survivors = owners(assignment).select("label", F.col("person_id").alias("new_survivor"))
    lost = assignment.where(F.col("role") == MERGED).select("label", F.col("person_id").alias("survivor_id"))
    back = assignment.where(F.col("role") == REVIVED).select("person_id", F.col("person_id").alias("new_survivor"))
    # A person is awarded once and a label has one owner, so `lost` is unique and these joins cannot add rows.
    redirected = registry.join(lost.join(survivors, on="label"), on="survivor_id", how="inner").join(
        back.select("person_id"), on="person_id", how="left_anti"
    )
    returned = registry.join(back, on="person_id", how="inner").where(F.col("survivor_id") != F.col("person_id"))
    columns = [name for name in registry.columns if name not in ("survivor_id", "snapshot_id")]
    changed = redirected.select(*columns, "new_survivor").unionByName(returned.select(*columns, "new_survivor"))
    rows = changed.withColumnRenamed("new_survivor", "survivor_id").unionByName(new.select(*columns, "survivor_id"))
    return rows.withColumn("snapshot_id", F.lit(snapshot_id))
