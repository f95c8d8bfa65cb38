"""The rules that a snapshot depends on besides its input, and the words in which it is judged."""

from __future__ import annotations

import hashlib
import json
import uuid

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES

# Random, fixed for ever: another value would give every person another id.
MASTER_ID_NAMESPACE = uuid.UUID("0f4b8a2e-6c1d-4b0a-9a55-7c8f2e9d3b16")

# Raised by hand when code changes what follows from the same links.
REVISION = 2

CO_OCCURRENCE, REGISTRATION, ALIAS, NEGATIVE = "co_occurrence", "registration", "alias", "negative"
JOINING_KINDS = (CO_OCCURRENCE, REGISTRATION, ALIAS)

USED, REDUNDANT, PARKED, BLOCKED = "used", "redundant", "parked", "blocked"

# Reasons beside the states; facts are counted by them.
SPANNING = "joins"
ALREADY_JOINED = "joined by stronger links"
SUPER_NODE = "super-node"
SHARED = "shared by several persons"
NAMES_NOBODY = "names nobody: no exclusive identifier"
UNIQUENESS = "unique value taken"
SEPARATED = "separated by decision"
KEPT_APART = "would join what a decision separates"

# Before every event, and a moment that every client can hold; year 1 is out of Python's range in some zones.
ALWAYS = "TIMESTAMP '1900-01-01 00:00:00'"
FOR_EVER = "TIMESTAMP '9999-12-31 00:00:00'"


def rule_version() -> str:
    """16 hex digits that change when a rule does: limits, priorities, uniqueness, sharing, or the code's revision."""
    declared = [
        [kind.name, kind.owner_limit, kind.unique_per_person, kind.priority, kind.sharing]
        for kind in sorted(IDENTIFIER_TYPES.values(), key=lambda kind: kind.name)
    ]
    return hashlib.sha256(json.dumps([REVISION, declared]).encode()).hexdigest()[:16]


def priority(type_name: Column) -> Column:
    """1 for the strongest type; null for an undeclared one."""
    return _by_type("priority", type_name)


def owner_limit(type_name: Column) -> Column:
    """Owners above which an identifier is a super-node."""
    return _by_type("owner_limit", type_name)


def is_sliced(type_name: Column) -> Column:
    """True for types that pass from person to person in time."""
    return type_name.isin(*[kind.name for kind in IDENTIFIER_TYPES.values() if kind.sharing == "sliced"])


def unique_key(type_name: Column, scope: Column) -> Column:
    """A number for (type, scope) of which a person may hold one value; 0 for types without that rule."""
    unique = [kind.name for kind in IDENTIFIER_TYPES.values() if kind.unique_per_person]
    return F.when(type_name.isin(*unique), F.xxhash64(type_name, scope)).otherwise(F.lit(0))


def _by_type(attribute: str, type_name: Column) -> Column:
    pairs = [F.lit(part) for kind in IDENTIFIER_TYPES.values() for part in (kind.name, getattr(kind, attribute))]
    return F.create_map(*pairs)[type_name]
