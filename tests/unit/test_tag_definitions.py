"""Definitions: refused whole with every problem, hashed by what they mean, checked for overlaps and gaps."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.tagging.check import SHIPPED
from spark_jobs.tagging.checking import check_catalogue
from spark_jobs.tagging.reading import HEAD_FILE, read_catalogue
from tests.tag_histories import HEAD, catalogue_of, definition, local, moment, write_catalogue

BASE = local("2018-01-01T00:00")
AGE_LEVELS = [{"value": "old", "when": {"age": {"equals": "65+"}}}]


def measures(**given: object) -> dict[str, object]:
    return {"measures": given, "levels": [{"value": "true", "when": {next(iter(given)): {"at_least": 1}}}]}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param(
            {"colour": "red"}, "unknown key 'colour'; keys that exist: among, class, expect, folder", id="unknown key"
        ),
        pytest.param({"owner": None}, "missing key 'owner'", id="no owner"),
        pytest.param({"owner": True}, r"owner: found True \(bool\), wanted text \(quote it\)", id="owner is a boolean"),
        pytest.param({"tag": "other"}, "wanted the file's name 'orders'", id="not the file's name"),
        pytest.param({"title": {"en": "x"}}, "title: missing key 'zh'", id="no Chinese title"),
        pytest.param({"class": "secret"}, "unknown class 'secret'; those that exist: finance, health", id="class"),
        pytest.param({"among": "robots"}, "unknown group of persons 'robots'", id="group"),
        pytest.param({"missing": {"answer": "no", "because": "x"}}, "unknown answer 'no'", id="missing answers"),
        pytest.param({"otherwise": "unknown"}, "'unknown' is an answer of its own", id="otherwise is unknown"),
        pytest.param({"value": "orders"}, "found both or neither of levels and value", id="levels and value"),
        pytest.param(measures(x={"tally": "purchases"}), "wanted exactly one kind of: attribute, count", id="kind"),
        pytest.param(measures(x={"count": "visits"}), "unknown source 'visits'; those that exist:", id="source"),
        pytest.param(
            measures(x={"sum": "purchases.profit"}), "unknown number field 'profit' of purchases", id="number field"
        ),
        pytest.param(
            measures(x={"count": "events", "where": {"page": "a"}}), "unknown field of events 'page'", id="text field"
        ),
        pytest.param(measures(x={"count": "events", "windwo": "1 day"}), "unknown key 'windwo'", id="typing error"),
        pytest.param(measures(x={"count": "events", "window": "90"}), "wanted a number above 0 and one", id="window"),
        pytest.param(measures(x={"count": "events", "window": "2 weeks"}), "one of days, hours, months", id="weeks"),
        pytest.param(measures(x={"ratio": ["a", "b"]}), "wanted a measure that stands above: none", id="ratio of none"),
        pytest.param(measures(x={"attribute": "shoe_size"}), "unknown attribute 'shoe_size'", id="attribute"),
        pytest.param(
            {"measures": {"age": {"attribute": "age"}}, "levels": [{"value": "a", "when": {"age": {"above": 3}}}]},
            "unknown comparison 'above' of a text; those that exist: equals, in, present",
            id="comparison of another type",
        ),
        pytest.param(
            {"levels": [{"value": "a", "when": {"basket": {"above": 3}}}]},
            "unknown measure 'basket'; those that exist: orders",
            id="measure",
        ),
        pytest.param(
            {"levels": [{"value": "a", "when": {"orders": {"above": 1.5}}}]}, "at most 0 decimals", id="half an order"
        ),
        pytest.param(
            {"levels": [{"value": "a", "when": {"orders": {"above": n}}} for n in (2, 1)]},
            "'a' is taken",
            id="one value twice",
        ),
    ],
)
def test_a_wrong_definition_is_refused(tmp_path: Path, changed: dict[str, object], problem: str) -> None:
    write_catalogue(tmp_path, definition("orders", **changed) | {"tag": changed.get("tag", "orders")})
    (tmp_path / f"{changed.get('tag', 'orders')}.yaml").rename(tmp_path / "orders.yaml")
    with pytest.raises(TerminalError, match=problem):
        read_catalogue(tmp_path)


def test_all_problems_of_all_files_come_in_one_message(tmp_path: Path) -> None:
    write_catalogue(tmp_path, definition("a", owner=None, folder=None), definition("b", among="robots"))
    (tmp_path / "c.yaml").write_text("tag: [", encoding="utf-8")
    with pytest.raises(TerminalError) as refused:
        read_catalogue(tmp_path)
    text = str(refused.value)
    assert "4 problems, nothing was computed" in text
    for part in (
        "a.yaml: missing key 'folder'",
        "a.yaml: missing key 'owner'",
        "b.yaml: among",
        "c.yaml: not valid YAML",
    ):
        assert part in text


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    write_catalogue(tmp_path, definition("a"))
    with (tmp_path / "a.yaml").open("a", encoding="utf-8") as file:
        file.write("owner: somebody else\n")
    with pytest.raises(TerminalError, match="key stands twice: owner"):
        read_catalogue(tmp_path)


def test_an_empty_folder_and_a_missing_head_are_named(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="found no tag files"):
        read_catalogue(tmp_path / "nowhere")
    write_catalogue(tmp_path, definition("a"))
    (tmp_path / HEAD_FILE).unlink()
    with pytest.raises(TerminalError, match=f"{HEAD_FILE}: cannot be read"):
        read_catalogue(tmp_path)


def test_a_history_of_an_unknown_source_is_refused(tmp_path: Path) -> None:
    write_catalogue(tmp_path, definition("a"), head={**HEAD, "history": {"visits": "2017-01-01"}})
    with pytest.raises(TerminalError, match=r"_catalogue\.yaml: history: unknown source 'visits'"):
        read_catalogue(tmp_path)


def test_the_rule_hash_follows_the_meaning_alone(tmp_path: Path) -> None:
    def hash_of(name: str, **changed: object) -> str:
        return catalogue_of(tmp_path / name, definition("a", **changed)).tags[0].rule_hash

    plain = hash_of("plain")
    assert hash_of("reworded", title={"en": "Other", "zh": "别"}, owner="else", folder="else") == plain
    renamed = {"n": {"count": "purchases"}}
    assert hash_of("renamed", measures=renamed, levels=[{"value": "true", "when": {"n": {"at_least": 1}}}]) == plain
    assert hash_of("window", measures={"orders": {"count": "purchases", "window": "90 days"}}) != plain
    assert hash_of("otherwise", otherwise="no") != plain
    assert hash_of("group", among="customers") != plain


def test_overlaps_and_gaps_are_reported(tmp_path: Path) -> None:
    levels = [
        {"value": "some", "when": {"orders": {"at_least": 3}}},
        {"value": "many", "when": {"orders": {"above": 5}}},
    ]
    levels[0]["when"] = {"orders": {"at_least": 3, "at_most": 6}}
    found = catalogue_of(tmp_path, definition("a", levels=levels))
    notes = check_catalogue(found, moment(BASE, found))
    assert notes == (
        "a: 'some' and 'many' overlap, as where count of purchases is 6; 'some' wins",
        "a: no level covers count of purchases is 2: the answer there is 'false'",
    )


def test_a_level_that_can_never_win_is_refused(tmp_path: Path) -> None:
    levels = [{"value": value, "when": {"orders": {"at_least": n}}} for value, n in (("some", 1), ("many", 5))]
    found = catalogue_of(tmp_path, definition("a", levels=levels))
    with pytest.raises(TerminalError, match="a: level 'many' can never be an answer"):
        check_catalogue(found, moment(BASE, found))


def test_levels_that_touch_neither_overlap_nor_leave_a_gap(tmp_path: Path) -> None:
    levels = [{"value": v, "when": {"orders": {k: 3}}} for v, k in (("few", "below"), ("many", "at_least"))]
    found = catalogue_of(tmp_path, definition("a", levels=levels))
    assert check_catalogue(found, moment(BASE, found)) == ()


def test_a_tag_that_would_know_something_of_nobody_is_refused(tmp_path: Path) -> None:
    never = [{"value": "true", "when": {"orders": {"below": 1}}}]
    found = catalogue_of(tmp_path, definition("a", among="everyone", levels=never))
    with pytest.raises(TerminalError, match="persons of whom nothing is known would be"):
        check_catalogue(found, moment(BASE, found))


def test_the_shipped_catalogue_is_sound() -> None:
    found = read_catalogue(SHIPPED / "grocery")
    check_catalogue(found, moment(BASE, found))
    tags = {tag.name: tag for tag in found.tags}
    assert len(tags) >= 15
    assert {"silent", "dormant", "lifecycle_stage", "at_risk", "cart_abandoned_24h", "cart_abandoned_48h"} <= set(tags)
    assert tags["household_with_kids"].classes == ("minors",)
    assert all(any("一" <= letter <= "鿿" for letter in tag.title_zh) for tag in found.tags)
