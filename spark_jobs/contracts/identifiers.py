"""Identifier types: how each is compared, refused, limited and trusted, at every door and by default.

What identity does with them (limits, uniqueness, priority, sharing, trust) an installation's `identity.yml` may say.

A value counts as (type, scope, normalised value): an OpenID only within its app, a UnionID within its open-platform
account. Two values are the same identifier when their normalised texts are equal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Sharing = Literal["exclusive", "sliced"]
SHARINGS: tuple[Sharing, ...] = get_args(Sharing)


@dataclass(frozen=True, slots=True)
class IdentifierType:
    """One declared type.

    owner_limit: distinct persons above which a value is parked as a super-node.
    unique_per_person: no person may hold two values of one scope.
    priority: 1 is the strongest; it decides conflicts and which identifier is an event's subject.
    sharing: `exclusive` values belong to one person; `sliced` ones (devices) may pass from person to person in time.
    """

    name: str
    normalise: Callable[[str], str]
    is_valid: Callable[[str], bool]
    owner_limit: int
    unique_per_person: bool
    priority: int
    sharing: Sharing


# What systems write where they know nobody, compared in lower case and without blanks.
NOBODY = frozenset(
    {
        "null", "none", "nil", "0", "-1", "undefined", "nan", "[objectobject]", "anonymous", "guest", "unknown", "n/a",
        "test", "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000", "02:00:00:00:00:00",
        "9774d56d682e549c", "13800138000", "+8613800138000",
    }
)  # fmt: skip
MAX_LENGTH = 1024
MIN_DISTINCT_CHARACTERS = 3
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_CHINA = "+86"


def _trimmed(value: str) -> str:
    # NFKC turns full-width digits and letters into the plain ones; blanks inside an identifier are never meant.
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", value))


def _folded(value: str) -> str:
    return _trimmed(value).lower()


def _phone(value: str) -> str:
    """E.164 with +86 as the default country: digits only behind a plus."""
    text = _trimmed(value)
    digits = re.sub(r"[^\d]", "", text)
    if text.startswith("+"):
        return f"+{digits}"
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    return f"+{digits}" if digits.startswith("86") and len(digits) == 13 else f"{_CHINA}{digits}"


def _is_phone(value: str) -> bool:
    return _PHONE.fullmatch(value) is not None


def _is_anything(value: str) -> bool:
    return bool(value)


# The names under which people declare them.
NORMALISERS: dict[str, Callable[[str], str]] = {"trimmed": _trimmed, "folded": _folded, "phone": _phone}
VALIDATORS: dict[str, Callable[[str], bool]] = {"any": _is_anything, "phone": _is_phone}

IDENTIFIER_TYPES: dict[str, IdentifierType] = {
    kind.name: kind
    for kind in (
        IdentifierType("member_no", _folded, _is_anything, 1, True, 1, "exclusive"),
        IdentifierType("login", _folded, _is_anything, 1, True, 2, "exclusive"),
        IdentifierType("phone", _phone, _is_phone, 3, False, 3, "exclusive"),
        IdentifierType("unionid", _trimmed, _is_anything, 1, True, 4, "exclusive"),
        IdentifierType("openid", _trimmed, _is_anything, 1, True, 5, "exclusive"),
        IdentifierType("device", _folded, _is_anything, 8, False, 6, "sliced"),
        IdentifierType("cookie", _trimmed, _is_anything, 8, False, 7, "sliced"),
    )
}


def normalise(type_name: str, value: str) -> str:
    """The text under which a value is compared; KeyError for an undeclared type."""
    return IDENTIFIER_TYPES[type_name].normalise(value)


def refusal(type_name: str, value: str) -> str | None:
    """Why this value identifies nobody, or None where it is good. The reason never repeats the value."""
    kind = IDENTIFIER_TYPES.get(type_name)
    if kind is None:
        return "undeclared identifier type"
    if len(value) > MAX_LENGTH:
        return f"longer than {MAX_LENGTH} characters"
    text = kind.normalise(value)
    if _folded(value) in NOBODY or text.lower() in NOBODY:
        return "a constant that means nobody"
    # Member numbers may be short; everything else with so few characters is a placeholder such as 1111111.
    if type_name != "member_no" and len(set(text.removeprefix(_CHINA))) < MIN_DISTINCT_CHARACTERS:
        return f"fewer than {MIN_DISTINCT_CHARACTERS} distinct characters"
    return None if kind.is_valid(text) else "not a valid value of its type"
