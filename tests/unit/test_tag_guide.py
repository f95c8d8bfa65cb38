"""The examples of docs/tags.md give the answers that stand beside them, and nothing of the language is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from spark_jobs.tagging.reading import TAG_KEYS, read_catalogue
from spark_jobs.tagging.reading_conditions import KINDS_OF
from spark_jobs.tagging.reading_head import HEAD_KEYS
from spark_jobs.tagging.reading_measures import KINDS
from spark_jobs.tagging.reading_where import NUMBER_FILTERS, TEXT_FILTERS
from spark_jobs.tagging.schema_files import tag_schema
from spark_jobs.tagging.vocabulary import SOURCES, counted
from tests.tag_histories import Click, Life, Order, answers, definition, local, moment, write_catalogue

GUIDE = (Path(__file__).parents[2] / "docs" / "tags.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- (.*?) -->\n```yaml\n(.*?)```", GUIDE, re.DOTALL)
SCHEMA = Draft202012Validator(tag_schema())
BASE = local("2018-01-01T00:00")
PEOPLE = {
    "ann": Life(
        local("2017-03-01T00:00"),
        [
            Order(local("2017-03-02T12:00"), "1", 2_000),
            Order(local("2017-12-20T12:00"), "1", 6_000, (("PRODUCE", 6_000),)),
            Order(local("2017-12-22T12:00"), "2", 2_000, (("MEAT", 2_000),)),
        ],
        [
            Click(local("2017-12-30T10:00"), "add_to_cart", "pc", 2_500),
            Click(local("2017-12-30T12:00"), "purchase", "pc"),
        ],
    ),
    "ben": Life(
        local("2017-03-01T00:00"),
        [Order(local("2017-05-10T12:00"), "2", 1_500, (("PRODUCE", 1_500),))],
        [Click(local("2017-12-30T20:00"), "add_to_cart", "mobile", 800)],
        {"age": "65+"},
        {("imported", "tier"): "gold", ("score", "churn"): 8_000},
    ),
    "chen": Life(local("2014-05-01T00:00")),
}


def content(text: str) -> dict[str, object]:
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


HEAD = next(content(text) for told, text in EXAMPLES if told == "head")
# The first definition of the page is whole, and later ones may look at it.
FIRST = next(content(text) for told, text in EXAMPLES if "tag: dormant\n" in text)


def cases() -> Iterator[tuple[str, str, dict[str, dict[str, str]]]]:
    """Name of the file, its text, and tag to person to answer."""
    for number, (told, text) in enumerate(EXAMPLES):
        if told == "head":
            continue
        if told.startswith("file "):
            name, _, rest = told.removeprefix("file ").partition(": ")
            tags = {part.split()[0]: pairs(part.split()[1:]) for part in rest.split("; ")}
            yield name, text, tags
        else:
            name = str(content(text).get("tag", f"example_{number}"))
            yield name, text, {name: pairs(told.split())}


def pairs(told: list[str]) -> dict[str, str]:
    return dict(one.split("=", 1) for one in told)


CASES = list(cases())


@pytest.mark.parametrize(("name", "text", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_an_example_gives_the_answers_beside_it(
    tmp_path: Path, name: str, text: str, wanted: dict[str, dict[str, str]]
) -> None:
    given = content(text)
    whole = given if "tag" in given else definition(name, **{"levels": None, **given})
    assert list(SCHEMA.iter_errors(whole)) == []
    write_catalogue(tmp_path, *([] if name == FIRST["tag"] else [FIRST]), whole, head=HEAD)
    if name != whole["tag"]:
        (tmp_path / f"{whole['tag']}.yaml").rename(tmp_path / f"{name}.yaml")
    catalogue = read_catalogue(tmp_path)
    found = answers(catalogue, list(PEOPLE.values()), moment(BASE, catalogue))
    for tag, told in wanted.items():
        assert {person: found[tag][n][0] for n, person in enumerate(PEOPLE)} == told


def test_every_kind_stands_in_an_example() -> None:
    used = {kind for _, text, _ in CASES for kind in KINDS if re.search(rf"\b{kind}: ", text)}
    assert set(KINDS) - used == {"manual"}, "which is as `imported`"


def test_everything_that_the_language_knows_is_on_the_page() -> None:
    words = [*KINDS, *counted(SOURCES), *TAG_KEYS, *HEAD_KEYS, *NUMBER_FILTERS, *TEXT_FILTERS]
    words += [kind for kinds in KINDS_OF.values() for kind in kinds]
    words += [field for source in counted(SOURCES).values() for field in (*source.texts, *source.numbers)]
    assert [word for word in words if not re.search(rf"\b{word}\b", GUIDE)] == []
