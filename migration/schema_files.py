"""JSON Schemas of job and mapping files, for editors: made of the tables of keys that the checks themselves go by.

`python -m migration.schema_files` writes them anew. What only a check can know (columns of a file, whether a rule
fits its column) is left to it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migration import jobfile, mapping_file, pace
from migration.dialects import ENCODINGS
from migration.mapping_file import FILLED, FORMATS, LEAVE_OUT, QUARANTINE
from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import TABLES

FOLDER = Path(__file__).with_name("schemas")
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES: dict[type, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    list: {"type": "array"},
    dict: {"type": "object"},
    object: {},
}
Keys = Mapping[str, tuple[type, bool]]
Schema = dict[str, Any]

_ZONE = {"description": "zone name, such as Asia/Shanghai"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_TYPE = {"enum": sorted(IDENTIFIER_TYPES), "description": "what kind of identifier it is"}
_SCOPE = {"description": "within which it means one person: a shop, an app, a programme"}
# What the tables of keys do not say of a key; every name must be in its table.
JOB_NOTES: dict[str, Schema] = {
    "job": {"description": "name; one operator at a time works on a job"},
    "workspace": {"description": "business line of the settings that all rows belong to"},
    "source": {"description": "where the old system's data are, relative to this file"},
    "mappings": {**_TEXTS, "minItems": 1, "description": "mapping files, relative to this file; one a table"},
    "shadow": {"description": "file of questions to both sides before readers are switched"},
}
DERIVE_NOTES: dict[str, Schema] = {
    "app": {"description": "touchpoint of the purchase events"},
    "terminal": {"description": "touchpoint of the purchase events: pos, pc, mobile, mini_program"},
}
CUTOVER_NOTES: dict[str, Schema] = {
    "view": {"description": "schema.view that readers use"},
    "new": {"description": "file that defines the view over the new tables"},
    "old": {"description": "file that defines the view over the old system"},
}
PACE_NOTES: dict[str, Schema] = {
    "bytes_per_s": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^{pace.RATE}$"}],
        "description": "on average over chunks, such as 50MB",
    },
    "windows": {
        "items": {"type": "string", "pattern": f"^{pace.WINDOW}$"},
        "description": "hours in which chunks may begin, such as 22:00-06:00; they need a zone",
    },
    "zone": _ZONE,
    "parallel": {"minimum": 1, "description": "chunks at a time"},
    "order": {"enum": list(pace.ORDERS), "description": "by the object's time, or by name"},
}
MAPPING_NOTES: dict[str, Schema] = {
    "target": {"enum": [table.name for table in TABLES], "description": "table of the contracts"},
    "files": {"description": "pattern of the files below the source folder; ** is any number of folders"},
    "format": {"enum": list(FORMATS)},
    "encoding": {"enum": list(ENCODINGS)},
    "delimiter": {"description": "one or more characters"},
    "quote": {"description": "one character, doubled inside quotes, or none"},
    "escape": {"description": "makes a quote, a delimiter or itself plain"},
    "header": {**_TEXTS, "description": "names of the columns of files without a header line"},
    "nulls": {**_TEXTS, "description": "texts that mean null where they stand unquoted"},
    "zone": {"description": "zone of the file's time stamps, such as Asia/Shanghai"},
    "accepted_bad_share": {
        "minimum": 0,
        "maximum": 1,
        "description": "a larger share of refused records stops a chunk",
    },
    "newest_by": {"description": "time or day of the table; of rows with one key the one where it is latest stays"},
    "ignore": {**_TEXTS, "description": "columns of the file that are not wanted"},
}
RULE_NOTES: dict[str, dict[str, Schema]] = {
    "from": {
        "from": {"description": "column of the file; the value is cast, and refused where it does not fit exactly"},
        "format": {"description": "of dates and times, such as yyyy-MM-dd HH:mm:ss"},
        "min": {"description": "smaller values are refused"},
        "since": {"description": "earlier times are refused, UTC"},
        "until": {"description": "times from this one on are refused, UTC"},
    },
    "value": {
        "value": {"type": ["string", "number", "boolean", "null"], "description": "a constant; null leaves it empty"}
    },
    "day_of": {"day_of": {"description": "time column of the table whose UTC day this is"}},
    "json": {"json": {**_TEXTS, "description": "columns of the file that become one JSON object"}},
    "token": {"token": {"description": "column of the file that holds an identifier"}, "type": _TYPE, "scope": _SCOPE},
    "tokens": {"tokens": {"items": {"$ref": "#/$defs/identifier"}}},
}
IDENTIFIER_NOTES: dict[str, Schema] = {
    "from": {"description": "column of the file that holds an identifier"},
    "type": _TYPE,
    "scope": _SCOPE,
    "when_refused": {"enum": [QUARANTINE, LEAVE_OUT], "description": "a value that means nobody"},
}


def job_schema() -> Schema:
    """The schema of job files."""
    schema = object_of(jobfile.JOB_KEYS, JOB_NOTES)
    schema["properties"] |= {
        "derive": object_of(jobfile.DERIVE_KEYS, DERIVE_NOTES),
        "cutover": object_of(jobfile.CUTOVER_KEYS, CUTOVER_NOTES),
        "pace": object_of(pace.PACE_KEYS, PACE_NOTES) | {"dependentRequired": {"windows": ["zone"]}},
    }
    return {"$schema": _DRAFT, "title": "Migration job", **schema}


def mapping_schema() -> Schema:
    """The schema of mapping files: which columns need a rule follows from the target."""
    schema = object_of(mapping_file.MAPPING_KEYS, MAPPING_NOTES)
    rules = [object_of(keys, RULE_NOTES.get(kind, {})) for kind, (keys, _) in mapping_file.READERS.items()]
    return {
        "$schema": _DRAFT,
        "title": "Migration mapping",
        **schema,
        "allOf": [_columns_of(table) for table in TABLES],
        "$defs": {
            "rule": {"oneOf": rules},
            "identifier": object_of(mapping_file.TOKENS_KEYS, IDENTIFIER_NOTES),
        },
    }


def object_of(keys: Keys, notes: Mapping[str, Schema]) -> Schema:
    """An object with exactly these keys; `wanted` of `documents.key_problems`, with what is noted of each."""
    return {
        "type": "object",
        "properties": {key: {**_TYPES[kind], **notes.get(key, {})} for key, (kind, _) in keys.items()},
        "required": [key for key, (_, is_required) in keys.items() if is_required],
        "additionalProperties": False,
    }


def _columns_of(table: Table) -> Schema:
    columns = [column for column in table.columns if column.name not in FILLED]
    properties = {c.name: {"$ref": "#/$defs/rule", "description": f"{c.meaning} ({c.type})"} for c in columns}
    wanted = {"properties": properties, "required": list(properties), "additionalProperties": False}
    return {
        "if": {"properties": {"target": {"const": table.name}}, "required": ["target"]},
        "then": {"properties": {"columns": wanted}},
    }


SCHEMAS = {"job.json": job_schema, "mapping.json": mapping_schema}


def text_of(schema: Schema) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
