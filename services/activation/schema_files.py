"""The JSON Schema of campaigns, for editors: made of the tables of keys that the reader goes by.

`python -m services.activation.schema_files` writes it anew. What only the reader can know (whether the words of a
message are declared, that the file has the campaign's name) is left to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from services.activation.campaigns import (
    ADAPTERS,
    CHANGE_KEYS,
    CHANNELS,
    CONTROL_KEYS,
    FIELDS,
    FILE_KEYS,
    KINDS,
    MOST_PERSONS,
    NAME,
    TAG_KEYS,
    TRIGGER_KEYS,
)
from spark_jobs.documents import DRAFT, Schema, object_of, text_of

FOLDER = Path(__file__).with_name("schemas")

_TEXT: Schema = {"type": "string", "minLength": 1}
_NAME: Schema = {"type": "string", "pattern": f"^{NAME}$"}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_OF_TAG: Schema = {
    **object_of(TAG_KEYS, {"tag": _NAME, "is": {"type": "array", "items": _TEXT, "minItems": 1}}),
    "description": "persons with one of these values of a tag",
}
_OF_TRIGGER: Schema = {**object_of(TRIGGER_KEYS, {"trigger": _NAME}), "description": "of whom a trigger tells"}
_VALUES: dict[str, Schema] = {
    "text": {**_TEXT, "description": "the same for everybody"},
    "tag": {**_NAME, "description": "the person's value of a tag"},
    "field": {"enum": list(FIELDS), "description": "a field of the trigger"},
}


def _variables(kinds: Iterable[str]) -> Schema:
    return {
        "type": "object",
        "propertyNames": _NAME,
        "additionalProperties": {"oneOf": [object_of({kind: True}, _VALUES) for kind in kinds]},
        "description": "what stands for each $name of the message",
    }


CAMPAIGN_NOTES: dict[str, Schema] = {
    "campaign": {**_NAME, "description": "name, also of the file"},
    "owner": {**_NAME, "description": "who answers for it"},
    "purpose": {**_TEXT, "description": "what it is for"},
    "receiver": {**_NAME, "description": "whose ids the persons have there, as in exports"},
    "audience": {"oneOf": [{**_NAME, "description": "members of a published audience"}, _OF_TAG, _OF_TRIGGER]},
    "control": {
        **object_of(CONTROL_KEYS, {"share": _SHARE, "salt": _TEXT}),
        "description": "the share of persons who are told nothing, and what chooses them; a trigger has its own",
    },
    "largest_change": {
        **object_of(
            CHANGE_KEYS, {"persons": {"type": "integer", "minimum": 1, "maximum": MOST_PERSONS}, "share": _SHARE}
        ),
        "description": "it stops where more would enter at once: so many, or such a share of the wave before",
    },
    "channel": {"enum": list(CHANNELS)},
    "adapter": {"enum": list(ADAPTERS), "description": "what reaches the receiver"},
    "message": {"type": "object", "description": "the parts that the channel takes, with $name for variables"},
    "variables": _variables(KINDS),
}


def campaign_schema() -> Schema:
    """The schema of a campaign's file."""
    of_trigger = {"properties": {"audience": {"type": "object", "required": ["trigger"]}}, "required": ["audience"]}
    fixed = [kind for kind in KINDS if kind != "field"]
    return {
        "$schema": DRAFT,
        "title": "Campaign",
        **object_of(FILE_KEYS, CAMPAIGN_NOTES),
        "if": of_trigger,
        "then": {"not": {"required": ["control"]}},
        "else": {"required": ["control"], "properties": {"variables": _variables(fixed)}},
        "allOf": [_message_of(channel, contract.parts) for channel, contract in CHANNELS.items()],
    }


def _message_of(channel: str, parts: Sequence[str]) -> Schema:
    message = object_of(dict.fromkeys(parts, True), dict.fromkeys(parts, _TEXT))
    is_its = {"properties": {"channel": {"const": channel}}, "required": ["channel"]}
    return {"if": is_its, "then": {"properties": {"message": message}}}


SCHEMAS = {"campaign.json": campaign_schema}


def main() -> int:
    """Write the schema."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
