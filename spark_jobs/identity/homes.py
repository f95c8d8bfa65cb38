"""Homes: the person to whom an identifier belongs when every merge is undone.

An identifier's home is who held it first, and a person who was minted for it later, when it was split off. Homes say
who may claim what: a person that merges into another keeps its homes, so that a split gives each its own id back.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.persons import MERGED, MINTED
from spark_jobs.identity.rules import ALWAYS
from spark_jobs.people.system_time import moment

HOME = ("identifier_no", "person_id")


def of_history(identity_map: DataFrame) -> DataFrame:
    """The homes that a map tells of which was made before homes were written down: rows of HOME, one an identifier.

    In: all rows of `core.identity_map`, closed ones too.
    """
    lasting = identity_map.where(F.col("valid_from") == F.expr(ALWAYS)).select(*HOME, "system_from")
    minted = lasting.groupBy("person_id").agg(F.min("system_from").alias("minted_at"))
    # A person was minted once, so this join adds no rows.
    held = lasting.join(minted, on="person_id", how="inner").withColumn("at", F.unix_micros("system_from"))
    is_own = F.col("system_from") == F.col("minted_at")
    # The last person who was minted with it; where all were there before it came, the first who got it.
    rank = F.struct(is_own, F.when(is_own, F.col("at")).otherwise(-F.col("at")), "person_id")
    return held.groupBy("identifier_no").agg(F.max_by("person_id", rank).alias("person_id"))


def home_changes(
    members: DataFrame, assignment: DataFrame, homes: DataFrame, *, at_us: int, snapshot_id: str
) -> DataFrame:
    """Rows of `core.identity_homes` to add: those that are not written yet, and those that a new person was minted for.

    In:  identifier_no, label (null where nobody holds it for good); rows of `persons.assigned`; rows of HOME, and
         `is_written`: false where a home is known from the map alone.
    """
    owners = assignment.where(F.col("role") != MERGED).select("label", "person_id", "role")
    before = homes.select("identifier_no", F.col("person_id").alias("home"), "is_written")
    # A label has one owner and an identifier one home, so neither join can add rows.
    held = members.join(owners, on="label", how="left").join(before, on="identifier_no", how="left")
    is_minted = F.coalesce((F.col("role") == MINTED) & (F.col("home") != F.col("person_id")), F.lit(False))
    home = F.when(is_minted, F.col("person_id")).otherwise(F.coalesce("home", "person_id"))
    is_new = home.isNotNull() & (is_minted | ~F.coalesce("is_written", F.lit(False)))
    signed = {"system_from": moment(at_us), "snapshot_id": F.lit(snapshot_id)}
    return held.where(is_new).select("identifier_no", home.alias("person_id")).withColumns(signed)
