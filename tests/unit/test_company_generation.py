"""The synthetic company: deterministic, independent person by person, and true to its own truth."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.company import people, places, truth
from bench.company.__main__ import main
from bench.company.events import Event
from bench.company.generation import Plan, generate, people_of
from bench.company.households import ATTRIBUTES, SCHEMA, Household, read_households
from bench.company.register import identifiers_on_record, write_members
from bench.company.visits import events_of
from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, NOBODY, normalise, refusal
from spark_jobs.errors import TerminalError

SEED = 7
FIRST = datetime(2017, 2, 3, 15, 30, tzinfo=UTC)
LIVE = tuple((places.SINCE + timedelta(days=day, hours=13), str(1_000_000 + day)) for day in range(2, 60, 6))
PHONE = re.compile(r"\+861[3-9]\d{9}")


def house(number: int) -> Household:
    return Household(number, FIRST, {"age": "35-44"} if number % 3 == 0 else {}, LIVE if number % 4 else ())


def houses(count: int = 120) -> Iterator[Household]:
    return (house(number) for number in range(1, count + 1))


def test_same_seed_same_bytes_another_seed_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate(Plan(seed, 0.05), houses(30), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 6
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert (tmp_path / "a/export/members.csv").read_bytes() != (tmp_path / "c/export/members.csv").read_bytes()


def test_a_person_is_the_same_whoever_else_is_made() -> None:
    alone = people_of(Plan(SEED, 0.01), [house(17)])
    among = people_of(Plan(SEED), houses())
    assert alone.entries[0] == next(entry for entry in among.entries if entry[0].number == 17)
    person = alone.entries[0][0]
    assert list(events_of(SEED, person, LIVE)) == list(events_of(SEED, person, LIVE))


def test_phones_are_valid_distinct_and_nobody_s_constant() -> None:
    phones = [people.phone(SEED, number, which) for number in range(1, 20_000) for which in (0, 1)]
    assert len(set(phones)) == len(phones)
    assert all(PHONE.fullmatch(phone) and refusal("phone", phone) is None for phone in phones)
    assert not {phone.removeprefix("+86") for phone in phones} & NOBODY


def test_every_own_identifier_is_good_and_declared(company_events: list[Event]) -> None:
    own = {identifier for event in company_events for identifier in event.identifiers}
    assert {kind for kind, _, _ in own} == set(IDENTIFIER_TYPES)
    assert all(refusal(kind, value) is None for kind, _, value in own)


def test_every_junk_identifier_is_refused(company_events: list[Event]) -> None:
    junk = {identifier for event in company_events for identifier in event.junk}
    assert junk
    assert all(refusal(kind, value) is not None for kind, _, value in junk)


def test_registration_is_before_the_first_purchase_but_for_boundary_cases() -> None:
    members = [people.member(SEED, n, "household", first_purchase_at=FIRST) for n in range(1, 2_000)]
    moments = [member.registered_at for member in members if member.registered_at]
    late = sum(moment > FIRST for moment in moments)
    assert len(moments) == len(members)
    assert 0 < late < 40
    assert min(moments) >= people.FIRST_REGISTRATION
    assert max(moments) <= people.LAST_REGISTRATION


@pytest.fixture(scope="module")
def company_events() -> list[Event]:
    company = people_of(Plan(SEED, 0.4), houses(300))
    return [e for p in company.persons for e in events_of(SEED, p, company.purchases.get(p.number, ()))]


def test_events_stay_in_the_live_months_and_have_ids_of_their_own(company_events: list[Event]) -> None:
    assert all(places.SINCE <= event.occurred_at < places.UNTIL for event in company_events)
    assert len({event.event_id for event in company_events}) == len(company_events)


def test_people_log_in_after_they_were_anonymous(company_events: list[Event]) -> None:
    stages = Counter(truth.stages(company_events))
    assert set(stages) == {"authenticated", "before_login", "after_login", "never_logged_in", "shared"}
    assert stages["before_login"] > 0.1 * len(company_events)
    logins = [event for event in company_events if event.name == "login"]
    assert all(event.is_authenticated and len(event.identifiers) > 1 for event in logins)


def test_an_anonymous_event_shows_no_account(company_events: list[Event]) -> None:
    shown = {kind for event in company_events if not event.is_authenticated for kind, _, _ in event.identifiers}
    assert shown == {"device", "cookie", "openid"}


def test_the_kiosk_is_a_super_node_and_families_share_a_device(company_events: list[Event]) -> None:
    users: dict[str, set[str]] = {}
    for event in company_events:
        kind, _, value = truth.carrier_of(event)
        if kind == "device":
            users.setdefault(value, set()).add(event.person)
    assert len(users.pop(places.KIOSK)) > IDENTIFIER_TYPES["device"].owner_limit * 5
    assert Counter(len(persons) for persons in users.values())[2] > 0
    assert max(len(persons) for persons in users.values()) == 2


def test_some_openid_texts_are_used_in_both_apps_by_two_people() -> None:
    mini = {people.openid(SEED, places.MINI_PROGRAM, n): n for n in range(1, 500)}
    official = {people.openid(SEED, places.OFFICIAL_ACCOUNT, n): n for n in range(1, 500)}
    both = mini.keys() & official.keys()
    assert both
    assert all(mini[text] == official[text] + 1 for text in both)


def test_phones_in_the_members_file_are_those_of_the_truth_however_they_are_written(tmp_path: Path) -> None:
    company = people_of(Plan(SEED), houses(300))
    write_members(tmp_path / "members.csv", company.entries, seed=SEED)
    rows = (tmp_path / "members.csv").read_text().splitlines()[1:]
    written = {row.split(",")[0]: row.split(",")[2] for row in rows}
    true = {
        person.number: value
        for person, _ in company.entries
        for kind, _, value in identifiers_on_record(SEED, person)
        if kind == "phone"
    }
    assert len(rows) == 600
    assert len(set(map(len, written.values()))) > 3
    assert all(normalise("phone", written[str(number)]) == phone for number, phone in true.items())


def test_evidence_joins_what_one_record_shows_and_never_two_persons() -> None:
    evidence = truth.Evidence()
    a, b, c = ("phone", "", "a"), ("login", "", "b"), ("device", "web", "c")
    evidence.add("1", [a, b], joins=True)
    evidence.add("1", [c], joins=False)
    evidence.add("2", [c, b], joins=True)
    groups = evidence.groups()
    assert groups["1", a] == groups["1", b] != groups["1", c]
    assert groups["2", c] == groups["2", b] != groups["1", b]
    assert evidence.owners()[c] == {"1", "2"}


def test_the_command_reads_households_and_says_what_it_made(tmp_path: Path, capsys) -> None:
    purchases = [{"occurred_at": moment.replace(tzinfo=None), "product_id": product} for moment, product in LIVE]
    nothing = dict.fromkeys(ATTRIBUTES)
    row = {"household_id": 5, "first_purchase_at": FIRST.replace(tzinfo=None), **nothing, "purchases": purchases}
    pq.write_table(pa.Table.from_pylist([row], SCHEMA), tmp_path / "households.parquet")
    assert next(read_households(tmp_path / "households.parquet")).purchases == LIVE
    arguments = ["generate", "--households", str(tmp_path / "households.parquet"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--seed", "7", "--sample", "0.01"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["persons"] == {"household": 1, "silent": 3, "visitor": 4}
    assert counts["events"] == len((tmp_path / "out/live/behaviour.jsonl").read_text().splitlines())
    assert sum(counts["events_by_stage"].values()) == counts["events"]


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"household_id": [1]}), tmp_path / "households.parquet")
    with pytest.raises(TerminalError, match="missing columns"):
        next(read_households(tmp_path / "households.parquet"))
    with pytest.raises(TerminalError, match="cannot be read"):
        next(read_households(tmp_path / "nowhere.parquet"))
