"""What erased persons sent is kept out: their messages, and their identifiers in messages of others."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.protection.tombstones import ERASED, Stones, mark

# What stands in a raw message in place of a token.
REMOVED = "erased"


def kept_out(parsed: DataFrame, stones: Stones, *, key_file: Path) -> DataFrame:
    """Parsed messages as `without_erased` leaves them; they are not touched where nobody was ever erased."""
    if not stones:
        return parsed
    return without_erased(mark(parsed, stones, key_file=key_file, moment="occurred_at"))


def without_erased(marked: DataFrame) -> DataFrame:
    """Refuse the messages of erased persons, and take their identifiers out of those of others.

    In:  parsed messages with `erased` (`protection.tombstones.mark`).
    Out: parsed messages. Where the subject is erased, the reason is ERASED; of a refused message with any erased
         token, whatever its reason, no bytes are kept.
    """
    # A row without a subject has no token, and then it is nobody's.
    is_theirs = F.coalesce(F.array_contains("erased", F.col("subject_token")), F.lit(False))
    has_any = F.size("erased") > 0
    # Tokens are 32 lower-case hex digits in a message: `parse_messages` refuses others.
    body = F.aggregate(
        "erased",
        F.col("body"),
        lambda so_far, token: F.replace(so_far, F.lower(F.hex(token)), F.lit(REMOVED)),
    )
    others = F.filter(
        "identifiers",
        lambda one: ~F.coalesce(F.array_contains(F.col("erased"), one.getField("token")), F.lit(False)),
    )
    return marked.withColumns(
        {
            "reason": F.when(is_theirs, F.lit(ERASED)).otherwise(F.col("reason")),
            "value": F.when(~has_any, F.col("value")),
            "body": F.when(has_any, body).otherwise(F.col("body")),
            "identifiers": F.when(has_any, others).otherwise(F.col("identifiers")),
        }
    ).drop("erased")
