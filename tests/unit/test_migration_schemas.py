"""JSON Schemas for editors: today's, true for what is shipped, and of one mind with the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from migration import jobfile, mapping_file, pace, schema_files
from migration.documents import key_problems
from migration.jobfile import load_job
from migration.mapping_file import parse_mapping
from migration.schema_files import FOLDER, SCHEMAS, job_schema, mapping_schema, text_of
from spark_jobs.errors import TerminalError
from tests.migration_files import MAPPINGS

JOB = Draft202012Validator(job_schema())
MAPPING = Draft202012Validator(mapping_schema())
FILES = sorted(path for path in MAPPINGS.glob("*.yaml") if path.name not in ("job.yaml", "shadow.yaml"))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_files_are_todays(name) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name]())
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == text_of(SCHEMAS[name]()), "run: python -m migration.schema_files"


def test_the_shipped_job_is_valid() -> None:
    assert list(JOB.iter_errors(read(MAPPINGS / "job.yaml"))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_shipped_mappings_are_valid(path: Path) -> None:
    assert list(MAPPING.iter_errors(read(path))) == []


@pytest.mark.parametrize("path", [MAPPINGS / "job.yaml", *FILES], ids=lambda path: path.stem)
def test_editors_are_told_where_the_schema_is(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert schema.resolve() == FOLDER / ("job.json" if path.stem == "job" else "mapping.json")


NOTES = [
    (jobfile.JOB_KEYS, schema_files.JOB_NOTES),
    (jobfile.DERIVE_KEYS, schema_files.DERIVE_NOTES),
    (jobfile.CUTOVER_KEYS, schema_files.CUTOVER_NOTES),
    (pace.PACE_KEYS, schema_files.PACE_NOTES),
    (mapping_file.MAPPING_KEYS, schema_files.MAPPING_NOTES),
    (mapping_file.TOKENS_KEYS, schema_files.IDENTIFIER_NOTES),
    *((keys, schema_files.RULE_NOTES.get(kind, {})) for kind, (keys, _) in mapping_file.READERS.items()),
]


@pytest.mark.parametrize(("keys", "notes"), NOTES)
def test_nothing_is_noted_of_a_key_that_there_is_not(keys, notes) -> None:
    assert set(notes) <= set(keys)


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of the document with another value at a path; `None` takes it away."""
    copy = yaml.safe_load(yaml.safe_dump(document))
    *parents, last = path.split(".")
    place = copy
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    assert isinstance(copy, dict)
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("targte", "core.members", id="unknown key"),
        pytest.param("zone", None, id="missing key"),
        pytest.param("accepted_bad_share", "few", id="wrong type"),
        pytest.param("accepted_bad_share", 2, id="too much"),
        pytest.param("format", "xls", id="unknown format"),
        pytest.param("encoding", "utf-16", id="unknown encoding"),
        pytest.param("target", "core.nothing", id="unknown table"),
        pytest.param("columns.order_id", None, id="a column without a rule"),
        pytest.param("columns.color", {"value": "red"}, id="a column that the table has not"),
        pytest.param("columns.order_id", {"from": "a", "value": "b"}, id="two rules"),
        pytest.param("columns.order_id", {"from": "a", "round": 2}, id="a key that the rule has not"),
        pytest.param("columns.subject_token", {"token": "a", "type": "badge", "scope": "x"}, id="unknown identifier"),
        pytest.param("columns.order_id", "a", id="no rule"),
    ],
)
def test_what_a_check_refuses_an_editor_marks(path, value) -> None:
    document = changed(read(MAPPINGS / "order_lines.yaml"), path, value)
    assert list(MAPPING.iter_errors(document)) != []
    with pytest.raises(TerminalError):
        parse_mapping(document, where="x")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("sauce", "x", id="unknown key"),
        pytest.param("workspace", None, id="missing key"),
        pytest.param("derive", {"app": "store"}, id="half a touchpoint"),
        pytest.param("pace", {"windows": ["22:00-06:00"]}, id="windows without a zone"),
        pytest.param("pace", {"windows": ["22-6"], "zone": "UTC"}, id="no window"),
        pytest.param("pace", {"bytes_per_s": "fast"}, id="no rate"),
        pytest.param("pace", {"parallel": 0}, id="nothing at a time"),
        pytest.param("pace", {"order": "random"}, id="no order"),
    ],
)
def test_what_a_check_of_a_job_refuses_an_editor_marks(tmp_path, path, value) -> None:
    document = changed(read(MAPPINGS / "job.yaml"), path, value)
    document["mappings"] = [str(MAPPINGS / name) for name in document["mappings"]]
    assert list(JOB.iter_errors(document)) != []
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(TerminalError):
        load_job(tmp_path / "job.yaml")


def test_keys_of_any_table_of_keys_become_a_schema() -> None:
    keys: dict[str, tuple[type, bool]] = {
        "a": (str, True),
        "b": (float, False),
        "c": (object, False),
        "d": (bool, False),
    }
    schema = Draft202012Validator(schema_files.object_of(keys, {}))
    for given in (
        {"a": "x"},
        {"a": "x", "b": 1, "c": [1], "d": True},
        {"b": 1},
        {"a": 1},
        {"a": "x", "e": 1},
        {"a": "x", "d": 1},
    ):
        assert schema.is_valid(given) is (key_problems("x", given, keys) == [])
