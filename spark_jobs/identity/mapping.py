"""The map from identifiers to persons in valid time, and what of it a run changes in system time."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.ledger import VALUE
from spark_jobs.identity.rules import ALWAYS, FOR_EVER

MAPPED = ("identifier_no", *VALUE, "person_id", "person_no", "valid_from", "valid_to")


def lasting(members: DataFrame, owners: DataFrame) -> DataFrame:
    """Identifiers that belong to one person for ever.

    In:  identifier_no, type, scope, token, label (null where nobody holds it for good); label, person_id, person_no.
    Out: the columns of MAPPED.
    """
    # owners is unique on label, so this join cannot add rows.
    held = members.join(owners, on="label", how="inner")
    spans = {"valid_from": F.expr(ALWAYS), "valid_to": F.expr(FOR_EVER)}
    return held.withColumns(spans).select(*MAPPED)


def open_rows(identity_map: DataFrame) -> DataFrame:
    """What the map holds true now."""
    return identity_map.where(F.col("system_to").isNull())


def lasting_holdings(identity_map: DataFrame) -> DataFrame:
    """identifier_no, person_id of what the map holds for ever: the overlap with persons is counted over these."""
    is_lasting = F.col("valid_from") == F.expr(ALWAYS)
    return open_rows(identity_map).where(is_lasting).select("identifier_no", "person_id")


def map_changes(wanted: DataFrame, identity_map: DataFrame, *, known_at: datetime, snapshot_id: str) -> DataFrame:
    """Rows of `core.identity_map` to close and to open, so that its open rows say what `wanted` says.

    In:  the columns of MAPPED; rows of `core.identity_map`; the run's moment of knowledge, UTC.
    Out: rows with their contract key: closed ones have system_to, opened ones are new. Unchanged rows are not in it.
    """
    same = ["identifier_no", "valid_from", "valid_to", "person_id"]
    current = open_rows(identity_map)
    # wanted and current are unique on `same`: an identifier has no two spans that begin alike.
    closed = current.join(wanted.select(*same), on=same, how="left_anti").withColumn("system_to", F.lit(known_at))
    opened = (
        wanted.join(current.select(*same), on=same, how="left_anti")
        .withColumn("system_from", F.lit(known_at))
        .withColumn("system_to", F.lit(None).cast("timestamp"))
        .withColumn("snapshot_id", F.lit(snapshot_id))
    )
    return closed.select(*opened.columns).unionByName(opened)
