"""JSON Schemas of tag files and of a catalogue's head, for editors: made of the tables of keys that the readers go by.

`python -m spark_jobs.tagging.schema_files` writes them anew. What only a reader can know (whether a name is declared,
whether a comparison fits its measure) is left to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from spark_jobs.documents import DRAFT, Schema, object_of, text_of
from spark_jobs.tagging import reading, reading_conditions, reading_head, reading_measures, reading_where
from spark_jobs.tagging.expanding import EACH, VARIABLE
from spark_jobs.tagging.reading_measures import KINDS
from spark_jobs.tagging.vocabulary import SOURCES, counted

FOLDER = Path(__file__).with_name("schemas")

TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
# Where a file has `each`, any value may be a name behind a $.
FILLED: Schema = {"type": "string", "pattern": r"\$"}
_SPAN: Schema = {"type": "string", "pattern": f"^{reading_where.SPAN}$", "description": "such as 90 days"}
_WITHIN: Schema = {"type": "string", "pattern": r"^(\d{1,5}) (hour|day)s?$", "description": "such as 24 hours"}
_NAME: Schema = {"type": "string", "pattern": f"^{reading_head.NAME}$"}
_SOURCE: Schema = {"enum": sorted(counted(SOURCES)), "description": "rows of what"}
_FIELD: Schema = {"type": "string", "pattern": r"^[a-z_]+\..+$", "description": "SOURCE.FIELD"}


def either(*choices: Schema) -> Schema:
    """One of these, or a name that `each` fills in."""
    return {"anyOf": [*choices, FILLED]}


def list_of(item: Schema, *, least: int = 1, most: int | None = None) -> Schema:
    """A list of so many."""
    return {"type": "array", "items": item, "minItems": least} | ({} if most is None else {"maxItems": most})


def named(item: Schema) -> Schema:
    """A mapping from names to such values, at least one."""
    return {"type": "object", "minProperties": 1, "additionalProperties": item}


_TEXTS = either(TEXT, list_of(either(TEXT)))
_CLASS = {"enum": list(reading_head.SENSITIVITIES)}
TAG_NOTES: dict[str, Schema] = {
    "tag": {**TEXT, "description": "name, also of the file; with `each`, names behind a $ make it several"},
    "title": object_of(reading.TITLE_KEYS, {"en": TEXT, "zh": TEXT}),
    "folder": TEXT,
    "owner": {**TEXT, "description": "who answers for it"},
    "class": {
        **either(_CLASS, list_of(_CLASS)),
        "description": "what it is protected as, beside what it inherits",
    },
    "among": either({"enum": list(reading.AMONG)}),
    "missing": object_of(reading.MISSING_KEYS, {"answer": {"enum": list(reading.MISSING_ANSWERS)}, "because": TEXT}),
    "measures": named(either({"$ref": "#/$defs/measure"})),
    "otherwise": {**TEXT, "description": "the answer where no level holds"},
    "levels": either(
        list_of(object_of(reading_conditions.LEVEL_KEYS, {"value": TEXT, "when": {"$ref": "#/$defs/condition"}}))
    ),
    "value": {**TEXT, "description": "the measure that is the answer, instead of levels"},
    "expect": {
        **named(either(list_of(either(SHARE), least=2, most=2))),
        "description": "value to least and largest share of persons; outside of it nothing is published",
    },
    "state": {
        **either({"enum": list(reading.STATES)}),
        "description": "drafts are checked and estimated only; deprecated tags are published, and said to go",
    },
    "most_change": {
        **either(SHARE),
        "description": "by how much no value's share may differ from the state before",
    },
}
HEAD_NOTES: dict[str, Schema] = {
    "workspace": TEXT,
    "attributes": {"$ref": "#/$defs/names"},
    "history": {
        "type": ["object", "null"],
        "propertyNames": {"enum": sorted(SOURCES)},
        "additionalProperties": {"type": "string", "pattern": r"^(\d{4}-\d{2}-\d{2}|none)$"},
    },
    "imported": {"$ref": "#/$defs/names"},
    "manual": {"$ref": "#/$defs/names"},
    "scores": {"$ref": "#/$defs/names"},
    "properties": {
        "type": ["object", "null"],
        "propertyNames": _NAME,
        "additionalProperties": object_of(
            reading_head.PROPERTY_KEYS,
            {
                "type": {"enum": list(reading_head.PROPERTY_TYPES)},
                "decimals": {"type": "integer", "minimum": 0, "maximum": reading_head.MOST_PROPERTY_DECIMALS},
                "class": _CLASS,
            },
        ),
    },
}
SELECTING_NOTES: dict[str, Schema] = {
    "window": {**either(_SPAN), "description": "[base - window, base); all history without one"},
    "where": named({"$ref": "#/$defs/filter"}),
}
MEASURE_NOTES: dict[str, dict[str, Schema]] = {
    **{kind: {kind: either(_SOURCE), **SELECTING_NOTES} for kind in reading_measures.PLAIN},
    "sum": {"sum": either(_FIELD), **SELECTING_NOTES},
    "preference": {"preference": either(_FIELD), "by": TEXT, "at_least_share": either(SHARE), **SELECTING_NOTES},
    "distribution": {
        "distribution": either(_FIELD),
        "by": TEXT,
        "most": either({"type": "integer", "minimum": 1, "maximum": reading_measures.MOST_SHARES}),
        **SELECTING_NOTES,
    },
    **{kind: {kind: either(_NAME)} for kind in ("attribute", "imported", "manual", "score")},
    "tag": {"tag": TEXT},
    "sequence": {
        "sequence": {
            **object_of(
                reading_measures.SEQUENCE_KEYS,
                {side: {"$ref": "#/$defs/side"} for side in ("first", "without", "then")} | {"within": either(_WITHIN)},
            ),
            "oneOf": [{"required": ["then"]}, {"required": ["without"]}],
        },
        "window": SELECTING_NOTES["window"],
    },
    "ratio": {"ratio": list_of(TEXT, least=2, most=2)},
    "quantile": {
        "quantile": TEXT,
        "bands": either({"type": "integer", "minimum": 2, "maximum": reading_measures.MOST_BANDS}),
    },
}


def tag_schema() -> Schema:
    """The schema of tag files."""
    one = object_of(reading.FILE_KEYS, {**TAG_NOTES, EACH: _each()})
    comparisons = dict(_comparisons())
    return {
        "$schema": DRAFT,
        "title": "Tag",
        **one,
        "oneOf": [{"required": ["levels"]}, {"required": ["value"]}],
        "$defs": {
            "measure": {"oneOf": [object_of(keys, MEASURE_NOTES[kind]) for kind, keys in KINDS.items()]},
            "side": object_of(
                reading_measures.SIDE_KEYS, {"source": either(_SOURCE), "where": SELECTING_NOTES["where"]}
            ),
            "filter": {"anyOf": [*_TEXTS["anyOf"], named_filters()]},
            "condition": _condition(),
            "comparisons": object_of(dict.fromkeys(comparisons, False), comparisons) | {"minProperties": 1},
        },
    }


def named_filters() -> Schema:
    """Filters of a field, of texts and of numbers."""
    texts: dict[str, Schema] = {kind: FLAG if kind == "present" else _TEXTS for kind in reading_where.TEXT_FILTERS}
    numbers: dict[str, Schema] = {
        kind: FLAG if kind == "present" else either(NUMBER) for kind in reading_where.NUMBER_FILTERS
    }
    return {
        "type": "object",
        "properties": texts | numbers,
        "additionalProperties": False,
        "minProperties": 1,
    }


def head_schema() -> Schema:
    """The schema of `_catalogue.yaml`."""
    classed = {"type": "object", "propertyNames": _NAME, "additionalProperties": _CLASS}
    return {
        "$schema": DRAFT,
        "title": "Catalogue of tags",
        **object_of(reading_head.HEAD_KEYS, HEAD_NOTES),
        "$defs": {"names": {"anyOf": [list_of(_NAME, least=0), classed]}},
    }


def _each() -> Schema:
    entry = {"type": "object", "minProperties": 1, "propertyNames": {"pattern": f"^{VARIABLE}$"}}
    return {**list_of(entry), "description": "one tag for each entry: $name stands for the entry's value"}


def _condition() -> Schema:
    """all, any or not alone; else measures with their comparisons."""
    here: Schema = {"$ref": "#/$defs/condition"}
    inner = {"all": list_of(here), "any": list_of(here), "not": here}
    combined = [object_of({key: True}, {key: inner[key]}) for key in reading_conditions.COMBINATIONS]
    plain = {
        **named({"$ref": "#/$defs/comparisons"}),
        "propertyNames": {"not": {"enum": list(reading_conditions.COMBINATIONS)}},
    }
    return {"oneOf": [*combined, plain]}


def _comparisons() -> Iterator[tuple[str, Schema]]:
    times = object_of(
        reading_conditions.TIMES_KEYS, {"times": either({"type": "number", "exclusiveMinimum": 0}), "measure": TEXT}
    )
    numbers: dict[str, Schema] = {kind: either(NUMBER) for kind in reading_conditions.NUMBER}
    shares = {"value": _TEXTS, **numbers}
    known: dict[str, Schema] = {
        **numbers,
        "present": FLAG,
        "within": either(_SPAN),
        "older_than": {"anyOf": [_SPAN, FILLED, times]},
        "equals": either(TEXT),
        "in": either(list_of(either(TEXT))),
        "share_of": object_of(reading_conditions.SHARE_KEYS, shares) | {"minProperties": 2},
    }
    for kind in dict.fromkeys(one for kinds in reading_conditions.KINDS_OF.values() for one in kinds):
        yield kind, known[kind]


SCHEMAS = {"tag.json": tag_schema, "catalogue.json": head_schema}


def main() -> int:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(make()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
