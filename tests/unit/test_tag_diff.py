"""Definitions between two states: which came, went, or say something else, and in which parts."""

from __future__ import annotations

from pathlib import Path

from spark_jobs.tagging.asking import Kept
from spark_jobs.tagging.diff_job import definitions_between
from spark_jobs.tagging.publications import Publication
from spark_jobs.tagging.versions import definition_text, state_of
from tests.tag_histories import catalogue_of, definition, local, moment

STAMPS = {"core.members": "1@a", "core.orders": "2@b"}


def published(folder: Path, *tags: dict[str, object]) -> tuple[Publication, dict[str, Kept]]:
    found = catalogue_of(folder, *tags)
    state = state_of(found, moment(local("2018-01-01T00:00"), found), snapshot_id="s", stamps=STAMPS)
    kept = {tag.name: Kept(definition_text(tag), None, STAMPS) for tag in found.tags}
    return Publication("g", 1, "current", state, {}, {}, persons=1, rows=1, changes=1), kept


def test_definitions_that_changed_are_told_by_their_parts(tmp_path: Path) -> None:
    twice = [{"value": "true", "when": {"orders": {"at_least": 2}}}]
    same, gone, moved = definition("same"), definition("gone"), definition("moved")
    a, before = published(
        tmp_path / "a", same, gone, moved, definition("ruled"), definition("secret"), definition("old")
    )
    b, after = published(
        tmp_path / "b",
        same,
        definition("came"),
        definition("moved", owner="care", expect={"true": [0, 1]}),
        definition("ruled", levels=twice),
        definition("secret", **{"class": "health"}),
        definition("old", state="deprecated"),
    )
    told = list(definitions_between(a, b, (before, after)))
    assert {(one["tag"], one["change"], *one.get("parts", ())) for one in told} == {
        ("came", "added"),
        ("gone", "removed"),
        ("moved", "changed", "expect", "owner"),
        ("ruled", "changed", "rule.levels"),
        ("secret", "changed", "classes"),
        ("old", "changed", "state"),
    }
    rules = {one["tag"]: (one["rule_before"], one["rule_after"]) for one in told}
    assert rules["came"] == (None, after_rule := b.state.tags["came"].rule)
    assert after_rule
    assert rules["ruled"] == (a.state.tags["ruled"].rule, b.state.tags["ruled"].rule)
    assert list(definitions_between(a, a, (before, before))) == []
