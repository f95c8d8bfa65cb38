"""Editors know campaigns: the schema is that of the reader, takes what it takes, and refuses what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from services.activation.campaigns import FILE_KEYS, SHIPPED
from services.activation.schema_files import CAMPAIGN_NOTES, FOLDER, SCHEMAS, campaign_schema
from spark_jobs.documents import text_of
from tests.activation_lake import OF_AUDIENCE, REMINDER, WIN_BACK

SCHEMA = Draft202012Validator(campaign_schema())


def problems(given: dict[str, Any], **changed: Any) -> list[object]:
    content = {key: value for key, value in {**given, **changed}.items() if value is not None}
    return list(SCHEMA.iter_errors(json.loads(json.dumps(content))))


def test_the_schema_file_is_todays_and_describes_every_key() -> None:
    assert set(CAMPAIGN_NOTES) == set(FILE_KEYS)
    for name, make in SCHEMAS.items():
        Draft202012Validator.check_schema(make())
        assert (FOLDER / name).read_text(encoding="utf-8") == text_of(make()), (
            "run: python -m services.activation.schema_files"
        )


def test_the_shipped_campaigns_are_known_to_editors() -> None:
    for path in SHIPPED.glob("*/*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert list(SCHEMA.iter_errors(yaml.safe_load(text))) == [], path
        schema = path.parent / text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve() == FOLDER / "campaign.json"


@pytest.mark.parametrize("given", [WIN_BACK, REMINDER, OF_AUDIENCE], ids=["tag", "trigger", "audience"])
def test_each_kind_of_audience_is_taken(given: dict[str, Any]) -> None:
    assert problems(given) == []


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        (WIN_BACK, {"purpose": None}),
        (WIN_BACK, {"priority": 1}),
        (WIN_BACK, {"control": None}),
        (OF_AUDIENCE, {"control": None}),
        (REMINDER, {"control": {"share": 0.1, "salt": "s"}}),
        (WIN_BACK, {"audience": {"tag": "dormant", "is": [True]}}),
        (WIN_BACK, {"audience": {"tag": "dormant"}}),
        (OF_AUDIENCE, {"audience": "Regular ones"}),
        (WIN_BACK, {"largest_change": {"persons": 0, "share": 1}}),
        (WIN_BACK, {"largest_change": {"persons": 1, "share": 1.5}}),
        (WIN_BACK, {"channel": "pigeon"}),
        (WIN_BACK, {"channel": "official_account"}),
        (WIN_BACK, {"message": {"title": "t", "text": "x"}}),
        (WIN_BACK, {"variables": {"shop": {"field": "object_id"}}}),
        (REMINDER, {"variables": {"cart": {"field": "price"}}}),
        (REMINDER, {"variables": {"cart": {"text": "a", "tag": "b"}}}),
    ],
)
def test_editors_refuse_what_the_reader_refuses(given: dict[str, Any], changed: dict[str, Any]) -> None:
    assert problems(given, **changed)
