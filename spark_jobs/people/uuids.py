"""Name-based UUIDs inside Spark, equal to Python's `uuid.uuid5`."""

from __future__ import annotations

import uuid

from pyspark.sql import Column
from pyspark.sql import functions as F


def uuid5_column(namespace: uuid.UUID, name: Column) -> Column:
    """UUIDv5 (RFC 9562) of a text in a namespace, in the usual form of 36 characters; null where the text is."""
    digest = F.sha1(F.concat(F.unhex(F.lit(namespace.hex)), F.encode(name, "UTF-8")))
    # The first digit of the fourth group carries the variant: its upper two bits are 10.
    variant = F.translate(F.substring(digest, 17, 1), "0123456789abcdef", "89ab89ab89ab89ab")
    groups = (
        F.substring(digest, 1, 8),
        F.substring(digest, 9, 4),
        F.concat(F.lit("5"), F.substring(digest, 14, 3)),
        F.concat(variant, F.substring(digest, 18, 3)),
        F.substring(digest, 21, 12),
    )
    return F.when(name.isNotNull(), F.concat_ws("-", *groups))
