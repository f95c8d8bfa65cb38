"""Versions: another zone, another calendar, another basis is another version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from spark_jobs.tagging.calendar import DAY_US
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import compile_plan
from spark_jobs.tagging.versions import state_of, tables_read, watermark
from tests.tag_histories import HEAD, catalogue_of, definition, local, moment

STAMPS = {"core.members": "1@a", "core.orders": "2@b"}
BASE = local("2018-01-01T00:00")


def versions(catalogue: Catalogue, at: Moment, stamps: dict[str, str] = STAMPS) -> list[str]:
    return [one.version for one in state_of(catalogue, at, snapshot_id="s", stamps=stamps).tags.values()]


def test_zones_that_agree_today_are_two_versions(tmp_path: Path) -> None:
    """Toronto and New York had the same clocks at every moment that matters, yet answers to come may differ."""
    found = catalogue_of(tmp_path, definition("a"))
    here, there = (moment(BASE, found, ZoneInfo(name)) for name in ("America/New_York", "America/Toronto"))
    assert here.complete_since == there.complete_since
    assert versions(found, here) != versions(found, there)


def test_another_release_of_the_zones_data_is_another_version(tmp_path: Path) -> None:
    found = catalogue_of(tmp_path, definition("a"))
    at = moment(BASE, found)
    changes = at.calendar.changes.copy()
    changes[-1] += DAY_US  # a country moves one change of its clocks
    moved = replace(at, calendar=replace(at.calendar, changes=changes))
    assert versions(found, at) != versions(found, moved)
    assert versions(found, at) == versions(
        found, replace(at, calendar=replace(at.calendar, changes=np.copy(at.calendar.changes)))
    )


def test_a_source_that_is_recorded_from_now_on_is_another_version_and_is_read(tmp_path: Path) -> None:
    tag = definition("a", measures={"n": {"count": "shares"}}, levels=[{"value": "x", "when": {"n": {"above": 1}}}])
    without = catalogue_of(tmp_path / "without", tag, head={**HEAD, "history": {"shares": "none"}})
    recorded = catalogue_of(tmp_path / "recorded", tag)
    stamps = {**STAMPS, "core.shares": "3@c"}
    assert versions(without, moment(BASE, without), stamps) != versions(recorded, moment(BASE, recorded), stamps)
    assert "core.shares" not in watermark(without.tags[0], without, STAMPS)
    assert "core.shares" not in tables_read(compile_plan(without).sources)
    assert "core.shares" in tables_read(compile_plan(recorded).sources)


def test_what_a_used_tag_reads_belongs_to_the_version(tmp_path: Path) -> None:
    used = definition("used", measures={"n": {"count": "shares"}}, levels=[{"value": "x", "when": {"n": {"above": 1}}}])
    user = definition("user", measures={"t": {"tag": "used"}}, levels=[{"value": "y", "when": {"t": {"equals": "x"}}}])
    found = catalogue_of(tmp_path, used, user)
    stamps = {**STAMPS, "core.shares": "3@c"}
    assert watermark(found.tags[1], found, stamps) == {"core.members": "1@a", "core.shares": "3@c"}
    assert not set(versions(found, moment(BASE, found), stamps)) & set(
        versions(found, moment(BASE, found), {**stamps, "core.shares": "4@d"})
    )
