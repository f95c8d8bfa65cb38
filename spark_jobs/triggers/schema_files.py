"""The JSON Schema of triggers, for editors: made of the tables of keys that the reader goes by.

`python -m spark_jobs.triggers.schema_files` writes it anew. What only the reader can know (that `expires` is later than
`after`, that the file has the trigger's name) is left to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spark_jobs.documents import DRAFT, Schema, object_of, text_of
from spark_jobs.triggers.reading import (
    CAP_KEYS,
    CLOCK,
    CONTROL_KEYS,
    FILE_KEYS,
    MOST_CAP,
    MOST_CAP_DAYS,
    MOST_EVENTS,
    NAME,
    QUIET_KEYS,
    SOURCES,
    SPAN,
    TITLE_KEYS,
    TOPICS,
)

FOLDER = Path(__file__).with_name("schemas")
_TEXT: Schema = {"type": "string", "minLength": 1}
_NAME: Schema = {"type": "string", "pattern": f"^{NAME}$"}
_SPAN: Schema = {"type": "string", "pattern": f"^{SPAN}$"}
_CLOCK: Schema = {"type": "string", "pattern": f"^({CLOCK})$", "description": "quoted, such as '21:00'"}
_TEXTS: Schema = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_EVENTS, "uniqueItems": True}

TRIGGER_NOTES: dict[str, Schema] = {
    "trigger": {**_NAME, "description": "name, also of the file"},
    "title": object_of(TITLE_KEYS, {"en": _TEXT, "zh": _TEXT}),
    "owner": {**_NAME, "description": "who answers for it"},
    "class": {"const": "none", "description": "a trigger of a sensitive class is refused"},
    "source": {"enum": list(SOURCES), "description": "what waits"},
    "events": {**_TEXTS, "description": "names of events that put something into a cart"},
    "cart_id": {**_NAME, "description": "property that says which cart; without it a visit is a cart"},
    "cancelled_by": {**_TEXTS, "description": "events, of unpaid orders steps, that end it; orders end every cart"},
    "after": {**_SPAN, "description": "how long it waits, such as 24 hours"},
    "expires": {**_SPAN, "description": "from when on it is too late to tell of it"},
    "cap": {
        **object_of(
            CAP_KEYS,
            {
                "most": {"type": "integer", "minimum": 1, "maximum": MOST_CAP},
                "days": {"type": "integer", "minimum": 1, "maximum": MOST_CAP_DAYS},
            },
        ),
        "description": "a person is told of so many at most, of whatever trigger",
    },
    "quiet": {
        **object_of(QUIET_KEYS, {"since": _CLOCK, "until": _CLOCK}),
        "description": "when nobody is told, on the workspace's clocks",
    },
    "control": {
        **object_of(CONTROL_KEYS, {"share": {"type": "number", "minimum": 0, "maximum": 1}, "salt": _TEXT}),
        "description": "the share of persons who are never told, and what chooses them",
    },
    "topic": {"enum": list(TOPICS)},
    "webhook": {"type": "boolean", "description": "post it as well, to [triggers] webhook_url of the settings"},
}


def trigger_schema() -> Schema:
    """The schema of a trigger's file."""
    of_carts = {"properties": {"source": {"const": "carts"}}}
    return {
        "$schema": DRAFT,
        "title": "Trigger",
        **object_of(FILE_KEYS, TRIGGER_NOTES),
        "if": of_carts,
        "then": {"required": ["events"]},
        "else": {"not": {"anyOf": [{"required": ["events"]}, {"required": ["cart_id"]}]}},
    }


SCHEMAS = {"trigger.json": trigger_schema}


def main() -> int:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
