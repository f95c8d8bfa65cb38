"""JSON Schemas for editors: today's, true for what is shipped, and of one mind with the readers."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from spark_jobs.documents import text_of
from spark_jobs.findings import Findings
from spark_jobs.tagging import reading, reading_head, schema_files
from spark_jobs.tagging.check import SHIPPED
from spark_jobs.tagging.definitions import Head as Names
from spark_jobs.tagging.reading_head import HEAD_FILE, read_head
from spark_jobs.tagging.reading_measures import KINDS
from spark_jobs.tagging.schema_files import FOLDER, MEASURE_NOTES, SCHEMAS, head_schema, tag_schema
from tests.tag_histories import definition

TAG = Draft202012Validator(tag_schema())
HEAD = Draft202012Validator(head_schema())
TAG_FILES = sorted(path for path in SHIPPED.glob("*/*.yaml") if path.name != HEAD_FILE)


def as_json(content: object) -> object:
    """The content as an editor sees it: days are texts."""
    return json.loads(json.dumps(content, default=str))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_files_are_todays(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name]())
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == text_of(SCHEMAS[name]()), "run: python -m spark_jobs.tagging.schema_files"


def test_the_shipped_catalogues_are_valid() -> None:
    for path in TAG_FILES:
        assert list(TAG.iter_errors(as_json(yaml.safe_load(path.read_text())))) == [], path
    for head in SHIPPED.glob(f"*/{HEAD_FILE}"):
        assert list(HEAD.iter_errors(as_json(yaml.safe_load(head.read_text())))) == [], head


def test_editors_are_told_where_the_schema_is() -> None:
    for path in SHIPPED.glob("retail/*.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve() == FOLDER / ("catalogue.json" if path.name == HEAD_FILE else "tag.json")


@pytest.mark.parametrize(
    ("keys", "notes"),
    [
        (reading.FILE_KEYS, schema_files.TAG_NOTES),
        (reading_head.HEAD_KEYS, schema_files.HEAD_NOTES),
        *((KINDS[kind], MEASURE_NOTES[kind]) for kind in KINDS),
    ],
)
def test_every_key_is_described_and_nothing_else(keys: dict[str, bool], notes: dict[str, object]) -> None:
    assert set(notes) <= set(keys)
    assert set(keys) - set(notes) <= {"each"}


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of the document with another value at a path; `None` takes it away."""
    content = copy.deepcopy(document)
    *parents, last = path.split(".")
    place: Any = content
    for parent in parents:
        place = place[int(parent) if parent.isdigit() else parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


SEQUENCE = {"first": {"source": "events"}, "then": {"source": "purchases"}, "within": "24 hours"}
WHOLE = definition(
    "a",
    measures={
        "orders": {"count": "purchases", "window": "90 days", "where": {"store_id": "1", "quantity": {"above": 2}}},
        "last": {"last": "purchases"},
        "mix": {"distribution": "purchases.store_id", "most": 3},
        "share": {"ratio": ["orders", "orders"]},
        "band": {"quantile": "orders", "bands": 5},
        "seq": {"sequence": SEQUENCE, "window": "7 days"},
    },
    levels=[
        {"value": "x", "when": {"all": [{"orders": {"at_least": 1}}, {"not": {"last": {"within": "3 days"}}}]}},
        {"value": "y", "when": {"mix": {"share_of": {"value": ["1"], "at_least": 0.5}}, "band": {"above": 2}}},
    ],
    expect={"x": [0.1, 0.5]},
)


def problems_of(document: dict[str, Any]) -> list[str]:
    findings = Findings("a.yaml")
    list(reading.read_tag(document, Names(workspace="w"), findings))
    return findings.problems


def test_a_definition_with_a_bit_of_everything_is_valid() -> None:
    assert problems_of(WHOLE) == []
    assert list(TAG.iter_errors(WHOLE)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("colour", "red"),
        ("owner", None),
        ("owner", True),
        ("title.zh", None),
        ("class", "secret"),
        ("among", "robots"),
        ("missing.answer", "maybe"),
        ("measures", {}),
        ("measures.orders.count", "visits"),
        ("measures.orders.windwo", "1 days"),
        ("measures.orders.window", "90"),
        ("measures.orders.window", 90),
        ("measures.orders.where", {}),
        ("measures.orders.where.store_id", []),
        ("measures.orders.where.store_id", 1),
        ("measures.orders.where.quantity", {"like": 3}),
        ("measures.orders.where.quantity", {"above": "many"}),
        ("measures.orders.where.quantity", {}),
        ("measures.orders.sum", "purchases.quantity"),
        ("measures.last", {"latest": "purchases"}),
        ("measures.last", "purchases"),
        ("measures.mix.most", 0),
        ("measures.mix.most", 100),
        ("measures.mix.distribution", "purchases"),
        ("measures.share.ratio", ["orders"]),
        ("measures.band.bands", 1),
        ("measures.band.bands", None),
        ("measures.seq.window", None),
        ("measures.seq.sequence.then", None),
        ("measures.seq.sequence.without", {"source": "events"}),
        ("measures.seq.sequence.first", "events"),
        ("measures.seq.sequence.within", "2 months"),
        ("levels", []),
        ("levels", None),
        ("value", "orders"),
        ("levels.0.value", None),
        ("levels.0.when", {}),
        ("levels.0.when.all", []),
        ("levels.0.when.all.1.not.last.within", "soon"),
        ("levels.0.when.all.1.not.last.like", "soon"),
        ("levels.1.when.mix.share_of", {"value": "1"}),
        ("levels.1.when.mix.share_of", {"at_least": 1}),
        ("levels.1.when.band", {"above": "high"}),
        ("levels.1.when.band", 3),
        ("expect.x", [0.1]),
        ("expect.x", [0.1, 7]),
    ],
)
def test_what_the_reader_refuses_an_editor_marks(path: str, value: object) -> None:
    document = changed(WHOLE, path, value)
    assert problems_of(document) != []
    assert list(TAG.iter_errors(document)) != []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sauce", 1),
        ("workspace", None),
        ("attributes", "age"),
        ("attributes", ["a.b"]),
        ("scores", {"churn": "secret"}),
        ("history.visits", "2017-01-01"),
        ("history.events", "always"),
        ("properties.price.type", "money"),
        ("properties.price.type", None),
        ("properties.price.decimals", 9),
    ],
)
def test_what_the_reader_of_a_head_refuses_an_editor_marks(path: str, value: object) -> None:
    prices = {"price": {"type": "number", "decimals": 2}}
    sound = {"workspace": "w", "attributes": ["age"], "history": {"shares": "none"}, "properties": prices}
    document = changed(sound, path, value)
    problems: list[str] = []
    read_head(document, problems)
    assert problems != []
    assert list(HEAD.iter_errors(document)) != []
    assert list(HEAD.iter_errors(sound)) == []


def test_the_schemas_lie_beside_the_catalogue() -> None:
    assert Path(FOLDER).parent == SHIPPED.parent
