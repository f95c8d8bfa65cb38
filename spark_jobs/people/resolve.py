"""Rows with a subject get the person who held that identifier at that moment."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def with_person(rows: DataFrame, identity_map: DataFrame, *, at: str = "occurred_at") -> DataFrame:
    """Add `person_id` and `person_no`; both are null where nobody held the identifier at that moment.

    In:  rows with subject_type, subject_scope, subject_token and the UTC instant `at`; rows of `core.identity_map`
         as one snapshot holds them.
    Out: the same rows, no more and no fewer. Null means: no subject, an identifier that no run has seen yet, or a
         shared device at a moment outside every slice (nobody is guessed).
    """
    held = identity_map.where(F.col("system_to").isNull()).select(
        F.col("type").alias("subject_type"),
        F.col("scope").alias("subject_scope"),
        F.col("token").alias("subject_token"),
        "valid_from",
        "valid_to",
        "person_id",
        "person_no",
    )
    subject = ["subject_type", "subject_scope", "subject_token"]
    same_subject = [rows[name] == held[name] for name in subject]
    is_held = (rows[at] >= held["valid_from"]) & (rows[at] < held["valid_to"])
    # The verifier refuses a map in which two open spans of one identifier overlap, so no row can match twice.
    joined = rows.join(held, [*same_subject, is_held], "left")
    return joined.select(*[rows[name] for name in rows.columns], held["person_id"], held["person_no"])
