"""The map from identifiers to persons in valid time, and what of it a run changes in system time."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.ledger import VALUE
from spark_jobs.identity.rules import ALWAYS, FOR_EVER
from spark_jobs.people.system_time import moment

MAPPED = ("identifier_no", *VALUE, "person_id", "person_no", "valid_from", "valid_to")
# What makes two rows say the same: an identifier has no two spans that begin alike, a link no two states.
SAME_SPAN = ("identifier_no", "valid_from", "valid_to", "person_id")
SAME_STATE = ("identifier_a", "identifier_b", "state", "reason")


def lasting(members: DataFrame, owners: DataFrame) -> DataFrame:
    """Identifiers that belong to one person for ever.

    In:  identifier_no, type, scope, token, label (null where nobody holds it for good); label, person_id, person_no.
    Out: the columns of MAPPED.
    """
    # owners is unique on label, so this join cannot add rows.
    held = members.join(owners, on="label", how="inner")
    spans = {"valid_from": F.expr(ALWAYS), "valid_to": F.expr(FOR_EVER)}
    return held.withColumns(spans).select(*MAPPED)


def changes(wanted: DataFrame, known: DataFrame, *, same: Sequence[str], at_us: int, snapshot_id: str) -> DataFrame:
    """Rows of a table with system time to close and to open, so that what it holds known says what `wanted` says.

    In:  rows as they should be and as they are known now (`system_to` null), both unique on the columns `same`; the
         moment since when the change is known, microseconds.
    Out: rows with their contract key: closed ones have system_to, opened ones are new. Unchanged rows are not in it.
    """
    at = moment(at_us)
    closed = known.join(wanted.select(*same), on=list(same), how="left_anti").withColumn("system_to", at)
    news = {"system_from": at, "system_to": F.lit(None).cast("timestamp"), "snapshot_id": F.lit(snapshot_id)}
    opened = wanted.join(known.select(*same), on=list(same), how="left_anti").withColumns(news)
    return closed.select(*opened.columns).unionByName(opened)
