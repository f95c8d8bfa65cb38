"""JSON Schema of audience files, for editors: made of the tables of keys that the reader goes by.

`python -m spark_jobs.audiences.schema_files` writes it anew. What only the reader can know (whether a tag or another
audience is there, whether a value is one of the tag's) is left to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spark_jobs.audiences import reading
from spark_jobs.documents import DRAFT, Schema, object_of, text_of

FOLDER = Path(__file__).with_name("schemas")

TEXT: Schema = {"type": "string", "minLength": 1}
_NAME: Schema = {"type": "string", "pattern": f"^{reading.AUDIENCE_NAME}$", "not": {"const": reading.EVERYONE}}
_CLASS: Schema = {"enum": list(reading.SENSITIVITIES)}
_HERE: Schema = {"$ref": "#/$defs/expression"}
_PARTS: Schema = {"type": "array", "items": _HERE, "minItems": 1}
_VALUE: Schema = {**TEXT, "not": {"const": "unknown"}}

FILE_NOTES: dict[str, Schema] = {
    "audience": {**_NAME, "description": "name, also of the file"},
    "title": object_of(reading.TITLE_KEYS, {"en": TEXT, "zh": TEXT}),
    "owner": {**TEXT, "description": "who answers for it"},
    "class": {
        "anyOf": [_CLASS, {"type": "array", "items": _CLASS, "minItems": 1}],
        "description": "what it is protected as, beside what it inherits",
    },
    "members": _HERE,
}
FORM_NOTES: dict[str, dict[str, Schema]] = {
    "tag": {
        "tag": {**TEXT, "description": "name of a tag"},
        "is": {"anyOf": [_VALUE, {"type": "array", "items": _VALUE, "minItems": 1, "uniqueItems": True}]},
        "known": {"type": "boolean"},
        **{bound: {"type": "number"} for bound in reading.BOUNDS},
    },
    "audience": {"audience": {**TEXT, "description": "its members"}},
    "all": {"all": _PARTS},
    "any": {"any": _PARTS},
    "of": {"of": _PARTS, "at_least": {"type": "integer", "minimum": 1}},
    "not": {"not": _HERE},
    "certain": {"certain": {**_HERE, "description": "unknown counts as no"}},
    "possible": {"possible": {**_HERE, "description": "unknown counts as yes"}},
}


def audience_schema() -> Schema:
    """The schema of audience files."""
    forms = {form: object_of(keys, FORM_NOTES[form]) for form, keys in reading.FORMS.items()}
    asked = [{"required": ["is"]}, {"required": ["known"]}]
    bounds: Schema = {"anyOf": [{"required": [bound]} for bound in reading.BOUNDS]}
    forms["tag"] = {**forms["tag"], "oneOf": [*asked, bounds]}
    return {
        "$schema": DRAFT,
        "title": "Audience",
        **object_of(reading.FILE_KEYS, FILE_NOTES),
        "$defs": {"expression": {"oneOf": list(forms.values())}},
    }


SCHEMAS = {"audience.json": audience_schema}


def main() -> int:
    """Write the schema."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
