"""How a person is asked for: a declared identifier, which becomes a token as ingest makes it, or a master id."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.profiles.reading import By
from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, refusal
from spark_jobs.protection.keys import RootKeys
from spark_jobs.protection.tokens import Tokeniser

PERSON_ID = "person_id"
TYPES = (*IDENTIFIER_TYPES, PERSON_ID)
_NOT_AN_ID = "not a master id, which is a UUID such as 5b0fbb30-5b51-5f0a-9c5a-3a4f0f5c1d2e"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: type, scope ('' where the type has none) and value, in clear; never printed, never logged."""

    type: str
    value: str = field(repr=False)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """What the store is asked for, the most likely first; or why the question names nobody."""

    by: By
    keys: tuple[bytes, ...] = ()
    reason: str = ""


class Addressing:
    """Makes tokens under every root key that there is: what was tokenised before a rotation is found as well."""

    def __init__(self, root_keys: RootKeys) -> None:
        """Derive the keys of all types."""
        kids = sorted(root_keys.by_kid, key=lambda kid: kid != root_keys.active)
        self._tokenisers = [Tokeniser(RootKeys(active=kid, by_kid=root_keys.by_kid)) for kid in kids]

    def keys(self, asked: Asked) -> Keys:
        """The store's keys; a reason, which never repeats the value, where it can identify nobody."""
        if asked.type == PERSON_ID:
            return _master_id(asked.value)
        if reason := refusal(asked.type, asked.value):
            return Keys("token", reason=reason)
        tokens = (one.token(asked.type, asked.scope, asked.value) for one in self._tokenisers)
        return Keys("token", tuple(tokens))


def _master_id(value: str) -> Keys:
    try:
        return Keys("person_id", (uuid.UUID(value).bytes,))
    except ValueError:
        return Keys("person_id", reason=_NOT_AN_ID)


def wanted(every: Sequence[Keys]) -> dict[By, list[bytes]]:
    """All keys of several questions, each once."""
    found: dict[By, dict[bytes, None]] = {"token": {}, "person_id": {}}
    for one in every:
        found[one.by].update(dict.fromkeys(one.keys))
    return {by: list(keys) for by, keys in found.items()}
