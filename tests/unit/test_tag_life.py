"""Drafts, deprecated tags, and tags that something goes by."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from spark_jobs.errors import TerminalError
from spark_jobs.settings import ProfileSettings, Settings
from spark_jobs.tagging import check, job
from spark_jobs.tagging.in_use import all_uses, refuse_removal, uses_of
from spark_jobs.tagging.versions import state_from, state_of
from tests.tag_histories import catalogue_of, definition, local, moment, write_catalogue
from tests.unit.test_tag_check import settings

USER = {"measures": {"t": {"tag": "used"}}, "levels": [{"value": "y", "when": {"t": {"equals": "true"}}}]}
WIN_BACK = {
    "export": "win_back",
    "workspace": "grocery",
    "columns": ["dormant", "line"],
    "only": [{"tag": "silent", "is": ["true"]}],
}


def with_exports(folder: Path, **files: object) -> Settings:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return replace(settings(), exports_dir=folder)


def checked(folder: Path, given: Settings) -> dict[str, Any]:
    found = check.preflight(given, Namespace(workspace="grocery", catalogue=folder, in_force=False))
    assert found is not None
    return found


def test_a_tag_is_published_unless_it_says_otherwise(tmp_path: Path) -> None:
    tags = [definition("a"), definition("b", state="draft"), definition("c", state="deprecated")]
    found = catalogue_of(tmp_path, *tags)
    assert {tag.name: tag.state for tag in found.tags} == {"a": "published", "b": "draft", "c": "deprecated"}
    assert [tag.name for tag in found.without_drafts.tags] == ["a", "c"]
    assert len({tag.rule_hash for tag in found.tags}) == 1, "it is no part of the rule"
    with pytest.raises(TerminalError, match="unknown state 'retired'; those that exist: deprecated, draft, published"):
        catalogue_of(tmp_path / "bad", definition("a", state="retired"))


def test_what_is_published_looks_at_no_draft(tmp_path: Path) -> None:
    draft = definition("used", state="draft")
    with pytest.raises(TerminalError, match="'user': it is published, and looks at drafts: used"):
        catalogue_of(tmp_path / "published", draft, definition("user", **USER))
    assert catalogue_of(tmp_path / "both", draft, definition("user", state="draft", **USER)).tags


def test_drafts_alone_are_not_run(tmp_path: Path) -> None:
    write_catalogue(tmp_path, definition("a", state="draft"))
    given = Namespace(workspace="grocery", catalogue=tmp_path, base="2018-01-01T00:00", day=None, as_of=None)
    with pytest.raises(TerminalError, match="all definitions are drafts"):
        job.preflight(settings(), given)
    assert [tag["state"] for tag in checked(tmp_path, settings())["tags"]] == ["draft"]


def test_a_check_notes_who_goes_by_what_goes(tmp_path: Path) -> None:
    tags = tmp_path / "tags"
    write_catalogue(tags, definition("used", state="deprecated"), definition("user", **USER), definition("line"))
    notes = checked(tags, with_exports(tmp_path / "exports", win_back=WIN_BACK))["notes"]
    assert "user: looks at what is deprecated: used" in notes
    assert [note for note in notes if "published by no definition" in note] == [
        "dormant: used by export win_back, and published by no definition",
        "silent: used by export win_back, and published by no definition",
    ]


def test_a_publication_says_what_is_deprecated_and_only_that(tmp_path: Path) -> None:
    found = catalogue_of(tmp_path, definition("a"), definition("c", state="deprecated"))
    at, stamps = moment(local("2018-01-01T00:00"), found), {"core.members": "1@a", "core.orders": "2@b"}
    state = state_of(found, at, snapshot_id="s", stamps=stamps)
    facts = state.as_facts()
    assert {name: told.get("state") for name, told in facts["tags"].items()} == {"a": None, "c": "deprecated"}
    assert state_from(facts) == state


def test_who_goes_by_a_tag(tmp_path: Path) -> None:
    other = {**WIN_BACK, "workspace": "toys"}
    given = with_exports(
        tmp_path, win_back=WIN_BACK, weekly={**WIN_BACK, "only": None, "columns": ["line"]}, toys=other
    )
    given = replace(given, profiles=ProfileSettings("", "", "no_profiling"))
    assert uses_of(given, "grocery") == {
        "no_profiling": ("refusal_tag of [profiles]",),
        "line": ("export weekly", "export win_back"),
        "dormant": ("export win_back",),
        "silent": ("export win_back",),
    }
    assert uses_of(replace(settings(), exports_dir=tmp_path / "none"), "grocery") == {}
    assert uses_of(settings(), "grocery") == {}
    with pytest.raises(TerminalError, match="nobody can tell which tags it goes by"):
        uses_of(with_exports(tmp_path, broken=["a"]), "grocery")


def test_a_tag_in_use_is_not_removed() -> None:
    uses = all_uses({"a": ("export x",)}, {"b": ("export y",), "a": ("audience z",)})
    assert uses == {"a": ("export x", "audience z"), "b": ("export y",)}
    refuse_removal({"a", "c"}, {"a"}, uses, workspace="grocery")
    with pytest.raises(TerminalError, match=r"(?s)nothing is published.*'a' is used by audience z, export x\n"):
        refuse_removal({"a", "c"}, {"b"}, uses, workspace="grocery")
