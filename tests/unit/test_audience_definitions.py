"""Definitions of audiences: what is refused and where, what is inherited, and schemas of one mind with the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from spark_jobs.audiences import reading
from spark_jobs.audiences.check import tags_of
from spark_jobs.audiences.definitions import KnownTag
from spark_jobs.audiences.reading import SHIPPED, read_audience, read_audiences
from spark_jobs.audiences.schema_files import FOLDER, FORM_NOTES, SCHEMAS, audience_schema
from spark_jobs.documents import text_of
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings
from spark_jobs.tagging.check import SHIPPED as SHIPPED_TAGS
from spark_jobs.tagging.reading import read_catalogue

SCHEMA = Draft202012Validator(audience_schema())
TAGS = {
    "dormant": KnownTag("dormant", "false", ("true", "false")),
    "orders": KnownTag("orders", "none", None),
    "kids": KnownTag("kids", "false", ("true", "false"), ("minors",)),
}
DORMANT: dict[str, Any] = {"tag": "dormant", "is": "true"}


def definition(name: str = "a", **changed: Any) -> dict[str, Any]:
    given = {
        "audience": name,
        "title": {"en": name, "zh": "人群"},
        "owner": "tests",
        "class": "none",
        "members": DORMANT,
    }
    return {key: value for key, value in {**given, **changed}.items() if value is not None}


def write(folder: Path, *definitions: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for one in definitions:
        (folder / f"{one['audience']}.yaml").write_text(yaml.safe_dump(one, allow_unicode=True), encoding="utf-8")
    return folder


def problems_of(content: dict[str, Any]) -> list[str]:
    findings = Findings("a.yaml")
    read_audience(content, findings)
    return findings.problems


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("dormant", "members: found 'dormant', wanted a mapping with one of tag, audience"),
        ({}, "members: found {}"),
        ({"sum": []}, "wanted a mapping with one of"),
        ({"tag": "dormant"}, "members: wanted one of `is`, `known`, or bounds"),
        ({"tag": "dormant", "is": "true", "known": True}, "wanted one of `is`, `known`, or bounds"),
        ({"tag": "dormant", "is": True}, "members.is: found True (bool), wanted text (quote it)"),
        ({"tag": "dormant", "is": []}, "members.is: found nothing"),
        ({"tag": "dormant", "is": ["true", "true"]}, "members.is: something stands twice"),
        ({"tag": "dormant", "is": "unknown"}, "say `known: false`"),
        ({"tag": "dormant", "known": "yes"}, "members.known: found 'yes', wanted true or false"),
        ({"tag": "orders", "at_least": "many"}, "members.at_least: found 'many', wanted a number"),
        ({"tag": "orders", "at_least": 3, "below": 3}, "members: no number can meet these bounds"),
        ({"all": []}, "members.all: found [] (list), wanted a list of expressions, one at least"),
        ({"all": [DORMANT], "any": [DORMANT]}, "members: unknown key 'any'"),
        ({"any": [DORMANT, {"not": 1}]}, "members.any.1.not: found 1 (int)"),
        ({"of": [DORMANT]}, "members: missing key 'at_least'"),
        ({"at_least": 2, "of": [DORMANT]}, "members.at_least: found 2 (int), wanted a whole number from 1 to 1"),
        ({"audience": None}, "members.audience: found None, wanted text"),
    ],
)
def test_what_is_wrong_in_an_expression_is_named_with_its_place(members: object, said: str) -> None:
    content = definition(members=members)
    assert any(said in problem for problem in problems_of(content)), problems_of(content)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"owner": None}, "missing key 'owner'"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"class": "secret"}, "unknown class 'secret'"),
        ({"title": {"en": "a"}}, "title: missing key 'zh'"),
        ({"audience": "_persons"}, "wanted a name of letters"),
        ({"audience": "everyone"}, "and not 'everyone'"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(changed: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in problems_of(definition(**changed)))
    assert list(SCHEMA.iter_errors(definition(**changed)))


def test_an_expression_that_never_ends_is_refused() -> None:
    members: dict[str, Any] = DORMANT
    for _ in range(reading.MOST_DEPTH + 1):
        members = {"not": members}
    assert "nested no deeper than 30" in problems_of(definition(members=members))[0]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"tag": "dorment", "is": "true"}, "unknown tags dorment; those that exist: dormant, kids, orders"),
        ({"tag": "dormant", "is": ["true", "yes"]}, "tag 'dormant' is never yes; its values: false, true"),
        ({"tag": "dormant", "at_least": 3}, "tag 'dormant' has no numbers"),
        ({"not": {"audience": "c"}}, "unknown audiences c; those that exist: a, b"),
        ({"any": [DORMANT, {"audience": "b"}]}, "audiences use each other in a circle"),
    ],
)
def test_what_does_not_fit_the_tags_or_other_audiences_is_refused(tmp_path: Path, members: object, said: str) -> None:
    folder = write(tmp_path, definition("a", members=members), definition("b", members={"audience": "a"}))
    with pytest.raises(TerminalError) as raised:
        read_audiences(folder, TAGS)
    assert said in str(raised.value)


def test_classes_tags_and_rules_are_inherited(tmp_path: Path) -> None:
    kids = definition("kids_home", members={"tag": "kids", "is": "true"})
    user = definition("b", members={"all": [{"tag": "orders", "above": 2}, {"not": {"audience": "kids_home"}}]})
    first = {one.name: one for one in read_audiences(write(tmp_path, user, kids), TAGS)}
    assert list(first) == ["kids_home", "b"], "each behind those that it uses"
    assert (first["b"].classes, first["b"].tags) == (("minors",), ("kids", "orders"))
    reworded = definition("kids_home", members={"tag": "kids", "is": ["true"]}, title={"en": "other", "zh": "其他"})
    same = {one.name: one.rule for one in read_audiences(write(tmp_path, reworded), TAGS)}
    assert same == {name: one.rule for name, one in first.items()}, "titles are no part of the rule"
    other = definition("kids_home", members={"tag": "kids", "is": "false"})
    changed = {one.name: one.rule for one in read_audiences(write(tmp_path, other), TAGS)}
    assert not set(changed.values()) & set(same.values()), "the rule follows that of what it uses"


def test_a_file_is_named_like_its_audience_and_a_folder_holds_some(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="put definitions of audiences there"):
        read_audiences(tmp_path, TAGS)
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(definition("a")), encoding="utf-8")
    with pytest.raises(TerminalError, match="found 'a', wanted the name of the file"):
        read_audiences(tmp_path, TAGS)
    with pytest.raises(TerminalError, match="found no folder"):
        read_audiences(tmp_path / "nothing", TAGS)


@pytest.mark.parametrize("workspace", ["grocery", "retail"])
def test_the_shipped_audiences_fit_the_shipped_tags_and_the_schema(workspace: str) -> None:
    tags = tags_of(read_catalogue(SHIPPED_TAGS / workspace))
    assert len(read_audiences(SHIPPED / workspace, tags)) >= 5
    for path in (SHIPPED / workspace).glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert list(SCHEMA.iter_errors(yaml.safe_load(text))) == [], path
        schema = path.parent / text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve() == FOLDER / "audience.json"


def test_the_schema_is_todays_and_describes_every_key() -> None:
    for name, make in SCHEMAS.items():
        Draft202012Validator.check_schema(make())
        written = (FOLDER / name).read_text(encoding="utf-8")
        assert written == text_of(make()), "run: python -m spark_jobs.audiences.schema_files"
    assert {form: set(notes) for form, notes in FORM_NOTES.items()} == {
        form: set(keys) for form, keys in reading.FORMS.items()
    }


@pytest.mark.parametrize(
    "members",
    [
        {"tag": "dormant"},
        {"tag": "dormant", "is": True},
        {"tag": "dormant", "is": "true", "known": True},
        {"tag": "dormant", "is": "unknown"},
        {"tag": "orders", "at_least": 1, "known": False},
        {"all": []},
        {"of": [DORMANT]},
        {"not": "dormant"},
        {"all": [DORMANT], "any": [DORMANT]},
        {"any": [{"tag": "dormant", "iss": "true"}]},
    ],
)
def test_what_the_reader_refuses_an_editor_marks(members: object) -> None:
    content = definition(members=members)
    assert problems_of(content)
    assert list(SCHEMA.iter_errors(content))


def test_a_bit_of_everything_is_valid() -> None:
    parts = [
        DORMANT,
        {"tag": "orders", "at_least": 2, "below": 10},
        {"tag": "orders", "known": True},
        {"certain": {"audience": "b"}},
        {"possible": {"any": [DORMANT, {"not": DORMANT}]}},
    ]
    content = definition(members={"all": [{"at_least": 2, "of": parts}, {"tag": "kids", "is": ["true", "false"]}]})
    assert problems_of(content) == []
    assert list(SCHEMA.iter_errors(content)) == []
