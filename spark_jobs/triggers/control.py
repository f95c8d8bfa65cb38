"""The control group: persons who are never told, chosen by a hash of salt and master id, so always the same.

A master id outlives merges: of persons who become one, the eldest keeps its id and with it its group, and a split gives
the others theirs back (`identity/persons.py`). What was recorded of somebody before a merge keeps the group of then.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

# 52 bits: hexadecimal digits that a bigint, and a double, hold exactly.
_DIGITS = 13


def threshold(share: Decimal) -> int:
    """The numbers below which a person is in the group."""
    return int(share * 16**_DIGITS)


def number_of(salt: str, person_id: str) -> int:
    """The number of a person, spread evenly from 0 to 16^13."""
    return int(hashlib.sha256(f"{salt}/{person_id}".encode()).hexdigest()[:_DIGITS], 16)


def number_column(salt: Column, person_id: Column) -> Column:
    """The Spark twin of `number_of`."""
    digest = F.sha2(F.concat_ws("/", salt, person_id), 256)
    return F.conv(F.substring(digest, 1, _DIGITS), 16, 10).cast("bigint")
