"""The rules of One-ID as people declare them: identifier types and values that are nobody; no Spark here."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Literal, get_args

from spark_jobs.contracts.identifiers import Sharing

# `proof`: who was logged in with it is this person. `hint`: it is recorded, and joins nobody by itself.
Trust = Literal["proof", "hint"]
TRUSTS: tuple[Trust, ...] = get_args(Trust)

# Raised by hand when code changes what follows from the same links.
REVISION = 3
VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class TypeRule:
    """What identity does with the values of one type.

    scope: within what a value counts, such as `app`; `none` where it counts everywhere.
    owner_limit: persons above which a value is parked as a super-node.
    unique_per_person: no person may hold two values of one scope.
    priority: 1 is the strongest; it decides conflicts.
    sharing: `exclusive` values belong to one person; `sliced` ones (devices) pass from person to person in time.
    """

    name: str
    scope: str
    normaliser: str
    validator: str
    owner_limit: int
    unique_per_person: bool
    priority: int
    sharing: Sharing
    trust: Trust


@dataclass(frozen=True, slots=True)
class Blocked:
    """One value that is nobody, in clear or as its token; of every type, and in every scope, where none is named."""

    value: str | None
    token: bytes | None
    type: str | None
    scope: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that one file declares."""

    types: tuple[TypeRule, ...]
    blocked: tuple[Blocked, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The declared types."""
        return tuple(kind.name for kind in self.types)

    @property
    def holds_clear_values(self) -> bool:
        """True where a value is blocked in clear: then the rules' version is made with a key."""
        return any(one.value is not None for one in self.blocked)


def version_of_rules(rules: Rules, secret: bytes = b"") -> str:
    """16 hex digits that change when a rule does, or the code's revision; wording and order do not count.

    `secret` is for rules that hold clear values: without it a phone number could be found by trying all of them.
    """
    declared = [
        [kind.name, kind.owner_limit, kind.unique_per_person, kind.priority, kind.sharing, kind.trust]
        for kind in sorted(rules.types, key=lambda kind: kind.name)
    ]
    blocked = sorted(
        [one.type or "", one.scope is not None, one.scope or "", one.value or "", (one.token or b"").hex()]
        for one in rules.blocked
    )
    text = json.dumps([REVISION, declared, blocked])
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:VERSION_DIGITS]
