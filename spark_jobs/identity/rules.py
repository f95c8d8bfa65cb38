"""What the rules say of a column of types, and the words in which links are judged."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_jobs.identity.declared import Rules

# Random, fixed for ever: another value would give every person another id.
MASTER_ID_NAMESPACE = uuid.UUID("0f4b8a2e-6c1d-4b0a-9a55-7c8f2e9d3b16")

CO_OCCURRENCE, REGISTRATION, ALIAS, NEGATIVE = "co_occurrence", "registration", "alias", "negative"
# Of decisions: two that were joined, two of a person that was locked.
JOINED, FROZEN = "join", "lock"
DECIDED_KINDS = (JOINED, FROZEN)
JOINING_KINDS = (CO_OCCURRENCE, REGISTRATION, ALIAS, *DECIDED_KINDS)

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
BLOCKLISTED = "value on the blocklist"
UNDECLARED = "undeclared identifier type"
HINT_ONLY = "only a hint"
LOCKED = "person is locked"

# Before every event, and a moment that every client can hold; year 1 is out of Python's range in some zones.
ALWAYS = "TIMESTAMP '1900-01-01 00:00:00'"
FOR_EVER = "TIMESTAMP '9999-12-31 00:00:00'"


def priority(type_name: Column, rules: Rules) -> Column:
    """1 for the strongest type; null for an undeclared one."""
    return _by_type("priority", type_name, rules)


def owner_limit(type_name: Column, rules: Rules) -> Column:
    """Owners above which an identifier is a super-node."""
    return _by_type("owner_limit", type_name, rules)


def is_declared(type_name: Column, rules: Rules) -> Column:
    """True for types that the rules name."""
    return type_name.isin(*rules.names)


def is_sliced(type_name: Column, rules: Rules) -> Column:
    """True for types that pass from person to person in time."""
    return _is_one_of(type_name, [kind.name for kind in rules.types if kind.sharing == "sliced"])


def is_hint(type_name: Column, rules: Rules) -> Column:
    """True for types whose links join nobody."""
    return _is_one_of(type_name, [kind.name for kind in rules.types if kind.trust == "hint"])


def unique_key(type_name: Column, scope: Column, rules: Rules) -> Column:
    """A number for (type, scope) of which a person may hold one value; 0 for types without that rule."""
    unique = _is_one_of(type_name, [kind.name for kind in rules.types if kind.unique_per_person])
    return F.when(unique, F.xxhash64(type_name, scope)).otherwise(F.lit(0))


def _is_one_of(type_name: Column, names: Sequence[str]) -> Column:
    return type_name.isin(*names) if names else F.lit(False)


def _by_type(attribute: str, type_name: Column, rules: Rules) -> Column:
    pairs = [F.lit(part) for kind in rules.types for part in (kind.name, getattr(kind, attribute))]
    return F.create_map(*pairs)[type_name]
