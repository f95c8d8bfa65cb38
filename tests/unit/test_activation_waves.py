"""Campaigns: who enters and once, what stops them, whom they leave alone, what a run that died leaves to the next."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.activation.adapters import Adapter, FileAdapter, MockAdapter, Wave
from services.activation.campaigns import Campaign
from services.activation.store import Standing
from services.activation.waves import Refusals, run
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.triggers.control import number_of, threshold
from tests.activation_lake import REMINDER, WIN_BACK, campaign_of, doors, people, write_triggers
from tests.profile_lake import WORKSPACE, LakeWriter, master_id, phone

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOBODY = Refusals("", ())
PERSONS = range(1, 21)


@pytest.fixture
def lake(tmp_path: Path, key_file: Path) -> LakeWriter:
    writer = LakeWriter(tmp_path / "lake", key_file)
    writer.next()
    people(writer, *PERSONS)
    writer.publish({person: {"dormant": "true", "basket": f"b{person}"} for person in PERSONS if person != 20})
    return writer


def start(
    lake: LakeWriter,
    campaign: Campaign,
    *,
    adapter: Adapter | None = None,
    refusals: Refusals = NOBODY,
    accept: int | None = None,
) -> dict[str, Any]:
    folder = lake.root.parent
    with doors(lake, folder, adapter or FileAdapter(folder / "out")) as opened:
        return dict(run(opened, campaign, WORKSPACE, refusals, now=NOW, accept=accept))


def lines(lake: LakeWriter, campaign: Campaign, wave: int) -> list[dict[str, Any]]:
    path = lake.root.parent / "out" / campaign.name / f"{wave:06d}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def in_control(campaign: Campaign, person: int) -> bool:
    return number_of(campaign.salt, master_id(person)) < threshold(campaign.share)


def test_who_enters_is_told_once_in_words_of_its_own_and_the_control_group_is_not(
    lake: LakeWriter, tmp_path: Path
) -> None:
    campaign = campaign_of(tmp_path, WIN_BACK)
    facts = start(lake, campaign)
    told = [person for person in PERSONS if person != 20 and not in_control(campaign, person)]
    assert 0 < len(told) < 19
    assert (facts["audience"], facts["entering"], facts["control"]) == (19, 19, 19 - len(told))
    found = lines(lake, campaign, 1)
    assert {one["message"]["text"] for one in found} == {f'店: b{person} "$5"' for person in told}
    assert {(one["type"], one["scope"], one["campaign"], one["channel"]) for one in found} == {
        ("phone", "", "win_back", "sms")
    }
    assert len({one["key"] for one in found}) == len({one["id"] for one in found}) == len(told)
    tokens = {Tokeniser(load_root_keys(lake.key_file)).token("phone", "", phone(person)).hex() for person in told}
    assert not tokens & {one["id"] for one in found}, "the receiver's ids are not the platform's"

    assert start(lake, campaign)["sent"] == 0, "nobody is told twice"
    lake.next()
    lake.publish({person: {"dormant": "true"} for person in PERSONS})
    facts = start(lake, campaign)
    assert (facts["known"], facts["entering"]) == (19, 1)
    if not in_control(campaign, 20):
        assert [one["message"]["text"] for one in lines(lake, campaign, 2)] == ['店: none "$5"']


def test_a_change_that_is_too_large_stops_until_just_that_is_accepted(lake: LakeWriter, tmp_path: Path) -> None:
    small = campaign_of(tmp_path, WIN_BACK, largest_change={"persons": 18, "share": 0.5})
    with pytest.raises(TerminalError, match=r"19 would enter, more than 18 persons; .*--accept 19"):
        start(lake, small)
    with pytest.raises(TerminalError):
        start(lake, small, accept=18)
    assert not (tmp_path / "out").exists()
    assert start(lake, small, accept=19)["wave"] == 1
    lake.next()
    people(lake, *range(30, 41))
    lake.publish({person: {"dormant": "true"} for person in (*PERSONS, *range(30, 41))})
    with pytest.raises(TerminalError, match=r"12 would enter, more than 0.5 of the 19 of the wave before"):
        start(lake, small)
    assert start(lake, replace(small, most_share=small.most_share * 2))["entering"] == 12


def test_who_refuses_or_is_out_of_reach_is_left_alone(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, WIN_BACK, control={"share": 0, "salt": "s"})
    token = Tokeniser(load_root_keys(lake.key_file)).token("phone", "", phone(3))
    lake.next()
    lake.tags["refuses"] = {}
    lake.person(50)
    values = {person: {"dormant": "true"} for person in (1, 2, 3, 50)}
    lake.publish({**values, 2: {"dormant": "true", "refuses": "true"}})
    facts = start(lake, campaign, refusals=Refusals("refuses", [("token", token)]))
    assert (facts["refused"], facts["unreachable"], facts["entering"], facts["sent"]) == (2, 1, 1, 1)
    with pytest.raises(TerminalError, match="nobody's refusal"):
        start(lake, campaign, refusals=Refusals("no_such_tag", ()))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"audience": {"tag": "zeal", "is": ["true"]}}, "tag 'zeal' is not published"),
        ({"audience": {"tag": "dormant", "is": ["none"]}}, "persons without a row have"),
        ({"variables": {"shop": {"text": "s"}, "basket": {"tag": "kids"}}}, "sensitive class"),
    ],
)
def test_what_a_campaign_goes_by_must_be_published_and_not_sensitive(
    lake: LakeWriter, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    lake.next()
    lake.tags["kids"] = {"classes": "minors"}
    lake.publish({1: {"dormant": "true", "kids": "2"}})
    with pytest.raises(TerminalError, match=said):
        start(lake, campaign_of(tmp_path, WIN_BACK, **changed))


def test_a_run_that_died_is_finished_with_the_words_that_it_had(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, WIN_BACK)

    class Dies(MockAdapter):
        def send(self, wave: Wave, messages: Iterable[pa.RecordBatch]) -> int:
            super().send(wave, messages)
            raise KeyboardInterrupt

    mock = Dies()
    with pytest.raises(KeyboardInterrupt):
        start(lake, campaign, adapter=mock)
    before = dict(mock.sent)
    assert before
    lake.next()
    lake.publish({person: {"dormant": "true", "basket": "other"} for person in PERSONS})
    facts = start(lake, campaign)
    assert (facts["wave"], facts["sent"]) == (1, len(before))
    assert {one["key"]: json.dumps(one, ensure_ascii=False) for one in lines(lake, campaign, 1)} == {
        key: json.dumps(json.loads(line), ensure_ascii=False) for key, line in before.items()
    }
    assert start(lake, campaign)["wave"] == 2
    with doors(lake, tmp_path, mock) as opened:
        assert {row["payload"] for batch in opened.store.messages("win_back", 1) for row in batch.to_pylist()} == {None}


def test_who_refuses_while_a_wave_waits_is_told_nothing(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, WIN_BACK, control={"share": 0, "salt": "s"})

    class Down(MockAdapter):
        def send(self, wave: Wave, messages: Iterable[pa.RecordBatch]) -> int:
            raise RetryableError("down")

    with pytest.raises(RetryableError):
        start(lake, campaign, adapter=Down())
    # 3 has become one with 4, who refuses; 5 refuses by a token.
    lake.next()
    lake.person(3, resolves_to=4)
    lake.publish({})
    token = Tokeniser(load_root_keys(lake.key_file)).token("phone", "", phone(5))
    notes = [("person_id", uuid.UUID(master_id(4)).bytes), ("token", token)]
    facts = start(lake, campaign, refusals=Refusals("", notes))
    assert (facts["wave"], facts["sent"], facts["withheld"]) == (1, 16, 3)
    told = {one["message"]["text"] for one in lines(lake, campaign, 1)}
    assert told == {f'店: b{person} "$5"' for person in PERSONS if person not in (3, 4, 5, 20)}


def test_a_note_of_an_id_means_whom_it_resolves_to(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, WIN_BACK, control={"share": 0, "salt": "s"})
    lake.next()
    lake.person(3, resolves_to=4)
    lake.publish({person: {"dormant": "true"} for person in (1, 4)})
    facts = start(lake, campaign, refusals=Refusals("", [("person_id", uuid.UUID(master_id(3)).bytes)]))
    assert (facts["audience"], facts["refused"], facts["entering"]) == (2, 1, 1)


def test_of_two_runs_at_once_one_begins_the_wave(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, WIN_BACK)
    with doors(lake, tmp_path, FileAdapter(tmp_path / "out")) as opened:
        newest = opened.store.newest

        def after_another(name: str) -> Standing | None:
            found = newest(name)
            start(lake, campaign)
            return found

        opened.store.newest = after_another  # type: ignore[method-assign]
        known = opened.store.units
        opened.store.units = lambda name: iter(())  # type: ignore[method-assign] # as it was before the other
        with pytest.raises(RetryableError, match="another run began wave 1"):
            run(opened, campaign, WORKSPACE, NOBODY, now=NOW, accept=None)
        assert sum(batch.num_rows for batch in known("win_back")) == 19


def test_a_trigger_brings_its_own_control_group_and_only_fresh_news(lake: LakeWriter, tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, REMINDER)
    write_triggers(lake, 4, NOW - timedelta(hours=24), {1: "sent"})
    write_triggers(lake, 5, NOW - timedelta(hours=1), {2: "sent", 3: "control", 4: "cancelled", 5: "due"})
    facts = start(lake, campaign)
    assert (facts["audience"], facts["entering"], facts["control"], facts["sent"]) == (2, 2, 1, 1)
    assert [one["message"] for one in lines(lake, campaign, 1)] == [{"text": "cart/2"}]
    write_triggers(lake, 6, NOW, {6: "sent"})
    assert start(lake, campaign)["entering"] == 1
