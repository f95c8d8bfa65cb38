"""What `tags.versions` keeps of a definition gives the definition back, of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.tagging.check import SHIPPED
from spark_jobs.tagging.reading import read_catalogue
from spark_jobs.tagging.recalling import catalogue_from, head_from, tag_from
from spark_jobs.tagging.versions import definition_text
from tests.tag_histories import HEAD, catalogue_of, definition

RARE = {
    "orders": {"count": "purchases", "where": {"store_id": {"not_in": ["2"]}}},
    "spent": {"sum": "purchases.net_value"},
    "share": {"ratio": ["spent", "orders"]},
    "band": {"quantile": "spent", "bands": 4},
    "last": {"last": "purchases"},
    "rhythm": {"rhythm": "purchases"},
    "store": {"preference": "purchases.store_id", "at_least_share": 0.5},
    "said": {"manual": "care"},
}
LEVELS = [
    {"value": "a", "when": {"all": [{"share": {"at_least": 33.33}}, {"not": {"share": {"present": False}}}]}},
    {"value": "b", "when": {"any": [{"band": {"above": 2}}, {"store": {"in": ["1", "2"]}}]}},
    {"value": "c", "when": {"last": {"older_than": {"times": 1.5, "measure": "rhythm"}}}},
    {"value": "d", "when": {"said": {"equals": "0.5"}}},
]


def test_every_shipped_definition_comes_back_as_it_was() -> None:
    for folder in ("grocery", "retail"):
        found = read_catalogue(SHIPPED / folder)
        assert head_from(definition_text(found.head)) == found.head
        for tag in found.tags:
            again = tag_from(definition_text(tag))
            assert (again, again.rule_hash) == (tag, tag.rule_hash)


def test_decimals_and_texts_that_look_alike_stay_apart(tmp_path: Path) -> None:
    head = {**HEAD, "manual": ["care"], "history": {"shares": "none"}, "properties": {"price": {"type": "number"}}}
    guarded: dict[str, object] = {"expect": {"a": [0.1, 0.5]}, "most_change": 0.25}
    found = catalogue_of(tmp_path, definition("a", measures=RARE, levels=LEVELS, **guarded), head=head)
    assert tag_from(definition_text(found.tags[0])) == found.tags[0]
    assert head_from(definition_text(found.head)) == found.head


def test_a_tag_comes_with_those_that_it_uses_and_no_others(tmp_path: Path) -> None:
    def looks_at(name: str, other: str) -> dict[str, object]:
        when = {"other": {"equals": "true"}}
        return definition(name, measures={"other": {"tag": other}}, levels=[{"value": "true", "when": when}])

    found = catalogue_of(tmp_path, looks_at("a", "b"), looks_at("b", "z"), definition("z"), definition("c"))
    texts = {tag.name: definition_text(tag) for tag in found.tags}
    again = catalogue_from(definition_text(found.head), texts, "a")
    assert [tag.name for tag in again.tags] == ["z", "b", "a"]
    assert again.head == found.head


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"Tag": {"colour": "red"}}', id="unknown field"),
        pytest.param('{"Label": {}}', id="unknown kind"),
        pytest.param('"a"', id="no definition"),
        pytest.param("{", id="no JSON"),
    ],
)
def test_what_another_release_wrote_is_said_so(text: str) -> None:
    with pytest.raises(TerminalError, match="another release wrote it"):
        tag_from(text)


def test_a_definition_of_an_earlier_release_lacks_what_came_later(tmp_path: Path) -> None:
    """Fields that were added since have the value that they had without being written."""
    tag = catalogue_of(tmp_path, definition("a")).tags[0]
    content = json.loads(definition_text(tag))
    for field in ("uses", "most_change"):
        content["Tag"].pop(field)
    assert tag_from(json.dumps(content)) == tag
