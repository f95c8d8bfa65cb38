"""Campaigns of audiences: their members enter by one publication, held to the same guards as tags."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.activation.adapters import FileAdapter
from services.activation.campaigns import Campaign
from services.activation.waves import Refusals, run
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from tests.activation_lake import OF_AUDIENCE, campaign_of, doors, people, write_audiences
from tests.profile_lake import WORKSPACE, LakeWriter, phone

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FAR = (1 << 20) + 5  # of the second chunk
PERSONS = (*range(1, 11), FAR)
REGULARS = (1, 2, 3, FAR)
NOBODY = Refusals("", ())
NO_CONTROL = {"control": {"share": 0, "salt": "s"}}


@pytest.fixture
def lake(tmp_path: Path, key_file: Path) -> LakeWriter:
    """Everybody is dormant; some are regulars."""
    writer = LakeWriter(tmp_path / "lake", key_file)
    writer.next()
    people(writer, *PERSONS)
    writer.publish({person: {"dormant": "true", "basket": f"b{person}"} for person in PERSONS})
    write_audiences(writer, 1, {"regulars": REGULARS, "others": (9, 10)})
    return writer


def start(
    lake: LakeWriter, campaign: Campaign, *, refusals: Refusals = NOBODY, accept: int | None = None
) -> dict[str, Any]:
    folder = lake.root.parent
    with doors(lake, folder, FileAdapter(folder / "out")) as opened:
        return dict(run(opened, campaign, WORKSPACE, refusals, now=NOW, accept=accept))


def told(lake: LakeWriter, campaign: Campaign, wave: int) -> set[str]:
    path = lake.root.parent / "out" / campaign.name / f"{wave:06d}.jsonl"
    return {json.loads(line)["message"]["text"] for line in path.read_text(encoding="utf-8").splitlines()}


def test_members_enter_once_and_no_one_else(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, OF_AUDIENCE, **NO_CONTROL)
    facts = start(lake, campaign)
    assert (facts["audience"], facts["entering"], facts["sent"]) == (4, 4, 4)
    assert told(lake, campaign, 1) == {f'店: b{person} "$5"' for person in REGULARS}
    assert start(lake, campaign)["sent"] == 0
    write_audiences(lake, 2, {"regulars": (2, 3, 4, FAR)})
    facts = start(lake, campaign)
    assert (facts["audience"], facts["known"], facts["entering"]) == (4, 3, 1)
    assert told(lake, campaign, 2) == {'店: b4 "$5"'}


def test_the_control_group_is_that_of_the_salt(lake: LakeWriter, tmp_path: Path) -> None:
    half = campaign_of(tmp_path, OF_AUDIENCE, control={"share": 1, "salt": "all"})
    facts = start(lake, half)
    assert (facts["entering"], facts["control"], facts["sent"]) == (4, 4, 0)


def test_a_change_that_is_too_large_stops(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, OF_AUDIENCE, largest_change={"persons": 3, "share": 0.5})
    with pytest.raises(TerminalError, match=r"4 would enter, more than 3 persons; .*--accept 4"):
        start(lake, campaign)
    assert not (tmp_path / "out").exists()
    assert start(lake, campaign, accept=4)["wave"] == 1
    write_audiences(lake, 2, {"regulars": (*REGULARS, 4, 5, 6)})
    with pytest.raises(TerminalError, match=r"3 would enter, more than 0\.5 of the 4 of the wave before"):
        start(lake, campaign)


def test_audiences_of_other_tags_than_those_in_force_are_waited_for(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, OF_AUDIENCE, **NO_CONTROL)
    lake.next()
    lake.publish({1: {"dormant": "true"}})
    with pytest.raises(RetryableError, match=r"stand on publication 1 of tags, in force is 2; .*audience build"):
        start(lake, campaign)
    write_audiences(lake, 2, {"regulars": (1,)})
    assert start(lake, campaign)["entering"] == 1


def test_members_that_are_not_all_there_are_no_audience(lake: LakeWriter, tmp_path: Path) -> None:
    write_audiences(lake, 2, {"regulars": (1, 2)}, regulars={"persons": 3})
    with pytest.raises(RetryableError, match="regulars of publication 2 has 2 members, wanted 3"):
        start(lake, campaign_of(tmp_path, OF_AUDIENCE))


@pytest.mark.parametrize(
    ("audience", "said"),
    [
        ("zealots", "no audience 'zealots' is published; wanted: one of regulars"),
        ("parents", "audience 'parents' is of a sensitive class"),
        ("of_kids", "audience 'of_kids' is of a sensitive class, or made of a tag that is"),
    ],
)
def test_an_audience_must_be_published_and_not_sensitive(
    lake: LakeWriter, tmp_path: Path, audience: str, said: str
) -> None:
    lake.next()
    lake.tags["kids"] = {"classes": "minors"}
    lake.publish({1: {"dormant": "true"}})
    sensitive: dict[str, dict[str, Any]] = {"parents": {"classes": "minors"}, "of_kids": {"tags": ["kids"]}}
    write_audiences(lake, 2, {"regulars": (1,), "parents": (1,), "of_kids": (1,)}, **sensitive)
    with pytest.raises(TerminalError) as raised:
        start(lake, campaign_of(tmp_path, OF_AUDIENCE, audience=audience))
    assert said in str(raised.value)


def test_who_refused_since_the_build_is_left_alone(lake: LakeWriter, tmp_path: Path) -> None:
    token = Tokeniser(load_root_keys(lake.key_file)).token("phone", "", phone(FAR))
    campaign = campaign_of(tmp_path, OF_AUDIENCE, **NO_CONTROL)
    facts = start(lake, campaign, refusals=Refusals("", [("token", token)]))
    assert (facts["audience"], facts["refused"], facts["entering"]) == (4, 1, 3)


def test_a_name_that_is_none_and_fields_of_triggers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="audience: found 'Regular ones', wanted a letter"):
        campaign_of(tmp_path, OF_AUDIENCE, audience="Regular ones")
    with pytest.raises(TerminalError, match="only a trigger has fields"):
        campaign_of(tmp_path, OF_AUDIENCE, message={"text": "$a"}, variables={"a": {"field": "object_id"}})
    with pytest.raises(TerminalError, match="wanted a mapping with salt, share"):
        campaign_of(tmp_path, OF_AUDIENCE, control=None)
