"""What the language says beside measures and levels: filters, names, templates, classes, tags of tags."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.tagging.check import SHIPPED
from spark_jobs.tagging.checking import check_catalogue
from spark_jobs.tagging.dependencies import measures_of
from spark_jobs.tagging.plan import compile_plan
from spark_jobs.tagging.reading import read_catalogue
from tests.tag_histories import HEAD, catalogue_of, definition, local, moment, write_catalogue

BASE = local("2018-01-01T00:00")
WIDE = {
    **HEAD,
    "attributes": {"age": "none", "kids_count": "minors"},
    "imported": ["tier"],
    "manual": ["care"],
    "scores": {"credit": "finance"},
    "properties": {"amount": {"type": "number", "decimals": 2}, "page": {"type": "text", "class": "health"}},
}


def measured(**given: object) -> dict[str, object]:
    return {"measures": given, "levels": [{"value": "true", "when": {next(iter(given)): {"at_least": 1}}}]}


def counted(**where: object) -> dict[str, object]:
    return measured(x={"count": "events", "where": where})


def present(**given: object) -> dict[str, object]:
    return {"measures": given, "levels": [{"value": "true", "when": {next(iter(given)): {"present": True}}}]}


def looks_at(tag: str, value: str = "true") -> dict[str, object]:
    return {"measures": {"other": {"tag": tag}}, "levels": [{"value": "true", "when": {"other": {"equals": value}}}]}


PURCHASES, EVENTS = {"source": "purchases"}, {"source": "events", "where": {"name": "search"}}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param(counted(amount=5), "wanted comparisons of a number: above, at_least", id="a number as a text"),
        pytest.param(counted(amount={"like": 5}), "unknown filter of a number 'like'", id="no filter of numbers"),
        pytest.param(counted(amount={"above": "much"}), "found 'much', wanted a number", id="no number"),
        pytest.param(counted(amount={"above": 0.001}), "wanted at most 2 decimals", id="a third decimal"),
        pytest.param(counted(amount={"above": 1e30}), "wanted a number", id="a number that cannot be"),
        pytest.param(counted(name={"above": "a"}), "unknown filter of a text 'above'", id="no filter of texts"),
        pytest.param(counted(name={"not_in": []}), "found an empty list", id="not in nothing"),
        pytest.param(counted(name={"present": "yes"}), "wanted true or false", id="present is a text"),
        pytest.param(counted(price="a"), "unknown field of events 'price'", id="a property nobody declared"),
        pytest.param(
            present(x={"imported": "rank"}), "unknown imported value 'rank'; those that exist: tier", id="name"
        ),
        pytest.param(
            present(x={"manual": "tier"}), "unknown manual value 'tier'; those that exist: care", id="by hand"
        ),
        pytest.param(measured(x={"score": "churn"}), "unknown model 'churn'; those that exist: credit", id="model"),
        pytest.param(
            measured(x={"score": "credit", "window": "9 days"}), "unknown key 'window'", id="score in a window"
        ),
        pytest.param(measured(x={"count": "given_values"}), "unknown source 'given_values'", id="what is not counted"),
        pytest.param(
            present(x={"sequence": {"first": PURCHASES, "within": "1 days"}, "window": "9 days"}),
            "found both or neither of then and without",
            id="a sequence of one",
        ),
        pytest.param(
            present(x={"sequence": {"first": EVENTS, "without": EVENTS, "within": "1 days"}, "window": "9 days"}),
            "first and without are the same rows",
            id="without itself",
        ),
        pytest.param(
            present(x={"sequence": {"first": EVENTS, "then": EVENTS, "within": "1 months"}, "window": "9 days"}),
            "one of days, hours",
            id="within months",
        ),
        pytest.param(
            {
                "measures": {"x": {"distribution": "events.name"}},
                "levels": [{"value": "a", "when": {"x": {"share_of": {"value": "a"}}}}],
            },
            "found no comparison, wanted one of: above",
            id="a share without a limit",
        ),
        pytest.param(
            measured(x={"distribution": "events.name"}), "of a shares; those that exist: share_of", id="shares"
        ),
        pytest.param(looks_at("nobody"), "unknown tags nobody; those that exist: a, base", id="tag nobody has"),
        pytest.param(looks_at("a"), "tags use each other in a circle: a -> a", id="a circle"),
        pytest.param(looks_at("base", "blue"), "'base' is never blue; its answers: false, true", id="never an answer"),
        pytest.param(
            looks_at("base", "unknown"), "what follows from an unknown answer is unknown by itself", id="unknown"
        ),
        pytest.param(
            {"expect": {"blue": [0, 1]}}, "unknown value 'blue'; those that exist: false, true", id="expected"
        ),
        pytest.param({"expect": {"true": [0.5, 0.1]}}, "wanted the smaller share first", id="band upside down"),
        pytest.param({"expect": {"true": [0, 2]}}, "wanted a share from 0 to 1", id="more than all"),
        pytest.param({"class": ["minors", "secret"]}, "unknown class 'secret'", id="one of two classes"),
    ],
)
def test_a_wrong_definition_is_refused(tmp_path: Path, changed: dict[str, object], problem: str) -> None:
    write_catalogue(tmp_path, definition("base"), definition("a", **changed), head=WIDE)
    with pytest.raises(TerminalError, match=problem):
        read_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"attributes": ["a.b"]}, r"attributes: found 'a\.b', wanted a name of letters", id="a path"),
        pytest.param({"attributes": ["o'x"]}, r"found 'o'x', wanted a name of letters", id="a quote"),
        pytest.param({"attributes": ["a", "a"]}, "'a' stands twice", id="twice"),
        pytest.param({"attributes": {"a": "secret"}}, "unknown class 'secret'", id="class of an attribute"),
        pytest.param({"properties": {"name": {"type": "text"}}}, "have a field of this name already", id="own field"),
        pytest.param({"properties": {"a": {"type": "text", "decimals": 2}}}, "a text has no decimals", id="decimals"),
        pytest.param({"properties": {"a": {"type": "number", "decimals": 9}}}, "from 0 to 6", id="nine decimals"),
        pytest.param({"history": {"purchases": "none"}}, "no tag can do without it", id="no purchases at all"),
        pytest.param({"history": {"events": "always"}}, "wanted a day such as 2017-01-01, or none", id="no day"),
    ],
)
def test_a_wrong_head_is_refused(tmp_path: Path, changed: dict[str, object], problem: str) -> None:
    write_catalogue(tmp_path, definition("a"), head={**HEAD, **changed})
    with pytest.raises(TerminalError, match=problem):
        read_catalogue(tmp_path)


TEMPLATE = definition(
    "dormant_$line",
    title={"en": "Dormant in $line, $$", "zh": "$line"},
    measures={"last": {"last": "purchase_lines", "where": {"product_line": "$names"}}},
    levels=[{"value": "true", "when": {"last": {"older_than": "$after"}}}],
)
ENTRIES: list[dict[str, Any]] = [
    {"line": "fresh", "names": ["FRUIT", "MEAT"], "after": "45 days"},
    {"line": "tools", "names": "TOOLS", "after": "1 months"},
]


def write_template(folder: Path, entries: object, **changed: object) -> Path:
    write_catalogue(folder, {**TEMPLATE, **changed, "each": entries})
    (folder / "dormant_$line.yaml").rename(folder / "dormant_line.yaml")
    return folder


def test_one_file_makes_a_tag_of_every_entry(tmp_path: Path) -> None:
    found = read_catalogue(write_template(tmp_path / "each", ENTRIES))
    by_hand = []
    for entry in ENTRIES:
        last = {"last": "purchase_lines", "where": {"product_line": entry["names"]}}
        levels = [{"value": "true", "when": {"last": {"older_than": entry["after"]}}}]
        by_hand.append(definition(f"dormant_{entry['line']}", measures={"last": last}, levels=levels))
    assert [(tag.name, tag.rule_hash) for tag in found.tags] == [
        (tag.name, tag.rule_hash) for tag in catalogue_of(tmp_path / "by_hand", *by_hand).tags
    ]
    assert found.tags[0].title_en == "Dormant in fresh, $"


@pytest.mark.parametrize(
    ("entries", "changed", "problem"),
    [
        pytest.param([], {}, "each: found .*, wanted a list of mappings", id="nothing"),
        pytest.param([{"line": "a"}], {}, r"each\[1\]: found '\$names', wanted behind each \$ one of", id="no value"),
        pytest.param([{**ENTRIES[0], "more": 1}], {}, "each: more: nothing stands for it", id="a value for nothing"),
        pytest.param([ENTRIES[0], {"line": "b"}], {}, r"each\[2\]: found names line, wanted those of", id="uneven"),
        pytest.param([{**ENTRIES[0], "line": "A b"}], {}, r"each\[1\]: tag: found 'dormant_A b'", id="no name"),
        pytest.param([ENTRIES[0]] * 2, {}, "tag 'dormant_fresh' is defined twice", id="the same twice"),
        pytest.param([{**ENTRIES[0], "after": "soon"}], {}, r"each\[1\]: levels\[1\].when.last.older_than", id="place"),
        pytest.param(ENTRIES, {"tag": "sleepy_$line"}, "wanted the file's name 'dormant_line'", id="file's name"),
    ],
)
def test_a_wrong_template_is_refused(tmp_path: Path, entries: object, changed: dict[str, object], problem: str) -> None:
    write_template(tmp_path, entries)
    if changed:
        write_catalogue(tmp_path, {**TEMPLATE, **changed, "each": entries})
        (tmp_path / f"{changed['tag']}.yaml").rename(tmp_path / "dormant_line.yaml")
    with pytest.raises(TerminalError, match=problem):
        read_catalogue(tmp_path)


def test_a_class_is_inherited_from_what_a_tag_is_derived_from(tmp_path: Path) -> None:
    found = catalogue_of(
        tmp_path,
        definition("kids", **present(x={"attribute": "kids_count"})),
        definition("age", **present(x={"attribute": "age"})),
        definition("pages", **counted(page="/clinic")),
        definition("credit", **measured(x={"score": "credit"})),
        definition("both", **looks_at("kids"), **{"class": ["finance"]}),
        definition("third", **looks_at("both")),
        head=WIDE,
    )
    assert {tag.name: tag.classes for tag in found.tags} == {
        "age": (),
        "kids": ("minors",),
        "pages": ("health",),
        "credit": ("finance",),
        "both": ("finance", "minors"),
        "third": ("finance", "minors"),
    }


def test_tags_stand_behind_those_they_use_and_follow_their_rules(tmp_path: Path) -> None:
    def found(name: str, least: int) -> list[tuple[str, str]]:
        base = definition("z_base", levels=[{"value": "true", "when": {"orders": {"at_least": least}}}])
        users = (definition("a", **looks_at("m")), definition("m", **looks_at("z_base")))
        return [(tag.name, tag.rule_hash) for tag in catalogue_of(tmp_path / name, base, *users).tags]

    one, other = found("one", 1), found("other", 2)
    assert [name for name, _ in one] == ["z_base", "m", "a"]
    assert not set(one) & set(other), "a rule is another where one that it uses is"


def test_a_circle_of_tags_is_refused(tmp_path: Path) -> None:
    write_catalogue(tmp_path, *(definition(name, **looks_at(other)) for name, other in ("ab", "bc", "ca")))
    with pytest.raises(TerminalError, match="tags use each other in a circle"):
        read_catalogue(tmp_path)


def test_what_a_share_should_be_is_no_part_of_the_rule(tmp_path: Path) -> None:
    plain = catalogue_of(tmp_path / "plain", definition("a")).tags[0]
    tag = catalogue_of(tmp_path / "expected", definition("a", expect={"true": [0.02, 0.2]})).tags[0]
    assert tag.expect == (("true", Decimal("0.02"), Decimal("0.2")),)
    assert tag.rule_hash == plain.rule_hash


def test_the_order_of_filters_does_not_matter(tmp_path: Path) -> None:
    one = {"name": {"not_in": ["b", "a"]}, "amount": {"above": 1, "below": 5}}
    other = {"amount": {"below": 5.00, "above": "1.0"}, "name": {"not_in": ["a", "b"]}}
    hashes = {
        catalogue_of(tmp_path / str(n), definition("a", **counted(**where)), head=WIDE).tags[0].rule_hash
        for n, where in enumerate((one, other))
    }
    assert len(hashes) == 1


def test_tags_that_ask_for_the_same_share_one_feature(tmp_path: Path) -> None:
    found = catalogue_of(
        tmp_path, definition("a", **counted(name="x")), definition("b", **counted(name=["x"])), head=WIDE
    )
    assert len(compile_plan(found).numbers) == 2, "registered, and the one count"


def test_the_retail_catalogue_is_sound() -> None:
    found = read_catalogue(SHIPPED / "retail")
    notes = check_catalogue(found, moment(BASE, found))
    kinds = {type(measure).__name__ for tag in found.tags for measure in measures_of(tag.rule)}
    assert len(found.tags) >= 40
    assert len(kinds) >= 12
    folders = {
        "members",
        "lifecycle",
        "orders",
        "value",
        "behaviour",
        "channels",
        "coupons",
        "carts",
        "stores",
        "shares",
    }
    assert folders <= {tag.folder for tag in found.tags}
    asleep = {tag.name for tag in found.tags if tag.name.startswith("dormant_")}
    assert asleep == {"dormant_fresh", "dormant_grocery", "dormant_household", "dormant_beauty"}
    assert "sharer: shares: not recorded here, so what depends on it is unknown" in notes
