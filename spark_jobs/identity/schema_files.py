"""The JSON Schema of `identity.yml`, for editors: made of the tables of keys that the reader goes by.

`python -m spark_jobs.identity.schema_files` writes it anew. What only the reader can know (whether a priority stands
twice, how tokens of a type are made) is left to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, NORMALISERS, SHARINGS, VALIDATORS
from spark_jobs.documents import DRAFT, Schema, object_of, text_of
from spark_jobs.identity.declared import TRUSTS
from spark_jobs.identity.rules_file import (
    BLOCKED_KEYS,
    MOST_BLOCKED,
    MOST_OWNERS,
    MOST_PRIORITY,
    RULES_KEYS,
    TOKEN_DIGITS,
    TYPE_KEYS,
)

FOLDER = Path(__file__).with_name("schemas")
_TEXT: Schema = {"type": "string", "minLength": 1}

TYPE_NOTES: dict[str, Schema] = {
    "scope": {**_TEXT, "description": "within what a value counts, such as app; none where it counts everywhere"},
    "normaliser": {"enum": list(NORMALISERS), "description": "how values are made comparable"},
    "validator": {"enum": list(VALIDATORS), "description": "what a value must look like"},
    "owner_limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_OWNERS,
        "description": "persons above which a value is parked as a super-node",
    },
    "unique_per_person": {"type": "boolean", "description": "no person may hold two values of one scope"},
    "priority": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_PRIORITY,
        "description": "1 is the strongest; it decides conflicts",
    },
    "sharing": {"enum": list(SHARINGS), "description": "of one person for ever, or of one after another"},
    "trust": {"enum": list(TRUSTS), "description": "a hint joins nobody"},
}
BLOCKED_NOTES: dict[str, Schema] = {
    "value": {**_TEXT, "description": "the value in clear"},
    "token": {"type": "string", "pattern": f"^[0-9A-Fa-f]{{{TOKEN_DIGITS}}}$", "description": "or its token"},
    "type": {"enum": sorted(IDENTIFIER_TYPES), "description": "of every type where none is named"},
    "scope": {"type": "string", "description": "in every scope where none is named"},
    "reason": {**_TEXT, "description": "why it is nobody"},
}


def rules_schema() -> Schema:
    """The schema of `identity.yml`."""
    blocked = object_of(BLOCKED_KEYS, BLOCKED_NOTES) | {
        "oneOf": [{"required": ["value"]}, {"required": ["token"]}],
        "dependentRequired": {"scope": ["type"]},
    }
    notes: dict[str, Schema] = {
        "types": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"enum": sorted(IDENTIFIER_TYPES)},
            "additionalProperties": object_of(TYPE_KEYS, TYPE_NOTES),
        },
        "blocked": {"type": "array", "maxItems": MOST_BLOCKED, "items": blocked},
    }
    return {"$schema": DRAFT, "title": "Rules of One-ID", **object_of(RULES_KEYS, notes)}


SCHEMAS = {"rules.json": rules_schema}


def main() -> int:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
