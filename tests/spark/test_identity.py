"""Rules of One-ID, each by the test that proves it, through the whole job.

A run costs seconds whatever it reads, so the stories share one lake: their identifiers have nothing in common, and what
a run left is read once, before the next one changes it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_HOMES,
    IDENTITY_LINK_STATES,
    IDENTITY_LINKS,
    IDENTITY_MAP,
    PERSONS,
)
from spark_jobs.contracts.operations import RUNS
from spark_jobs.errors import TerminalError
from spark_jobs.identity import mapping
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint
from tests.spark.identity_found import Found, found, named, numbers
from tests.spark.identity_rows import decide_apart, identifier, put, resolve
from tests.spark.identity_stories import AT_FIRST, KIOSK, LATER, MEMBERS_AT_FIRST, put_kiosk

HONEST = mapping.lasting
TABLES = (IDENTIFIERS, IDENTITY_LINKS, PERSONS, IDENTITY_HOMES, IDENTITY_MAP, IDENTITY_LINK_STATES)


def published(lake: Lake) -> dict[str, Any]:
    """Fingerprints of everything that a run may change."""
    return {table.name: fingerprint(delta.read(lake, table), table) for table in TABLES}


@pytest.fixture(scope="module")
def shared_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(spark, str(tmp_path_factory.mktemp("identity") / "lake"))


@pytest.fixture(scope="module")
def first(shared_lake: Lake) -> Found:
    put(shared_lake, AT_FIRST, MEMBERS_AT_FIRST)
    put_kiosk(shared_lake)
    return found(shared_lake, resolve(shared_lake))


@pytest.fixture(scope="module")
def refused(shared_lake: Lake, first: Found) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What is said where a row of the map was corrupted; the fingerprints before and after."""
    before = published(shared_lake)
    put(shared_lake, LATER)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mapping, "lasting", corrupt)
        with pytest.raises(TerminalError) as raised:
            resolve(shared_lake)
    return str(raised.value), before, published(shared_lake)


def corrupt(members: DataFrame, owners: DataFrame) -> DataFrame:
    rows, other = HONEST(members, owners), owners.agg(F.max("person_id").alias("p"), F.max("person_no").alias("n"))
    is_given_away = F.col("type") == "member_no"
    moved = rows.crossJoin(other).withColumn(
        "person_id", F.when(is_given_away, F.col("p")).otherwise(F.col("person_id"))
    )
    return moved.select(*rows.columns)


@pytest.fixture(scope="module")
def merged(shared_lake: Lake, refused: object) -> Found:
    return found(shared_lake, resolve(shared_lake))


@pytest.fixture(scope="module")
def separated(shared_lake: Lake, merged: Found) -> Found:
    decide_apart(shared_lake, ("login:fay", "phone:fay"), ("login:hal", "unionid:hal"))
    return found(shared_lake, resolve(shared_lake))


def test_a_login_joins_what_was_done_before(first: Found) -> None:
    ann = first.holder("member_no:1")
    assert ann
    assert first.holder("phone:1") == first.holder("login:ann") == first.holder("device:d1") == ann
    assert first.holder("cookie:c1") not in {ann, ""}
    assert first.attributed["anonymous"] == ann
    # ann, cat and a cookie; two people, a device and a cookie alone; six of the hotline; two of the shared phone; two
    # before the television; 5,000 of the kiosk; twice two who are one; hal.
    assert first.facts["persons"] == 3 + 4 + 6 + 2 + 2 + 5000 + 4 + 1
    assert (first.facts["persons with a member number"], first.facts["changed"]) == (9, True)


def test_values_count_within_their_scope_and_guards_take_what_names_nobody(first: Found) -> None:
    holder = first.holder
    assert holder("openid@app1:same") == holder("login:sue") != holder("login:bob")
    assert holder("openid@app2:same") == holder("login:bob")
    assert len({holder(f"member_no:1{n}") for n in range(5)} | {holder("phone:hotline")}) == 6
    assert holder("phone:shared") == holder("member_no:71") != holder("member_no:72")
    assert first.states_of("login:sue", "login:bob", "device:d9", "phone:hotline", "phone:shared") == {
        "used: joins": 3,
        "parked: super-node": 5,
        "parked: unique value taken": 1,
        "parked: names nobody: no exclusive identifier": 1,
    }


def test_a_shared_device_is_whose_it_was_and_nobodys_between_two_logins(first: Found, shared_lake: Lake) -> None:
    ann, bob = first.holder("login:tv-ann"), first.holder("login:tv-bob")
    assert ann != bob
    assert first.holder("device:tv") == ""
    assert {name: first.attributed[name] for name in ("early", "between", "late")} == dict.fromkeys(
        ("early", "between", "late")
    )
    assert {first.attributed[name] for name in ("a1", "anns", "a2")} == {ann}
    assert {first.attributed[name] for name in ("b1", "bobs", "b2")} == {bob}
    of_tv = F.col("token") == F.lit(identifier("device:tv")[2])
    spans = delta.read(shared_lake, IDENTITY_MAP).where(of_tv).orderBy("valid_from").collect()
    # createDataFrame and collect speak the machine's zone: only the distance matters here.
    assert [(row.valid_to - row.valid_from) for row in spans] == [timedelta(minutes=10, microseconds=1)] * 2


def test_a_kiosk_of_5000_logins_leaves_5000_persons(first: Found, shared_lake: Lake) -> None:
    kiosk = f"device@web/{KIOSK}"
    links = [state for ends, state in first.states.items() if kiosk in ends]
    assert links == ["parked: super-node"] * 5000
    assert first.facts["links parked: super-node"] == 5000 + 5
    assert len({first.attributed[str(n)] for n in range(5000)} - {None}) == 5000
    # Far above the limit of owners there are no slices either.
    of_kiosk = F.col("token") == F.unhex(F.lit(KIOSK))
    assert delta.read(shared_lake, IDENTITY_MAP).where(of_kiosk).count() == 0


@pytest.mark.thorough
def test_a_corrupted_row_stops_publication(refused: tuple[str, dict[str, Any], dict[str, Any]], merged: Found) -> None:
    said, before, after = refused
    assert "not published" in said
    assert "1 persons with two values of a unique type" in said
    for table in (PERSONS, IDENTITY_MAP, IDENTITY_LINK_STATES):
        assert after[table.name] == before[table.name]


@pytest.mark.thorough
def test_a_run_that_failed_is_on_record(shared_lake: Lake, merged: Found) -> None:
    states = [row.state for row in delta.read(shared_lake, RUNS).orderBy("ended_at").collect()]
    assert states[:3] == ["succeeded", "failed", "succeeded"]


def test_a_late_link_merges_and_the_older_id_survives_and_both_resolve(
    shared_lake: Lake, first: Found, merged: Found
) -> None:
    older, younger = first.holder("login:eve"), first.holder("phone:eve")
    assert older != younger
    assert {merged.holder(name) for name in ("login:eve", "phone:eve", "openid:eve")} == {older}
    # Of each of the two pairs: phone and OpenID change hands, and one device; one person is merged into another.
    facts = merged.facts
    assert (facts["map rows opened"], facts["map rows closed"], facts["registry rows changed"]) == (5, 5, 2)
    assert merged.survivors[younger] == older == merged.survivors[older]
    numbered = {(row.person_no, row.person_id) for row in delta.read(shared_lake, PERSONS).collect()}
    assert len({number for number, _ in numbered}) == len(numbered) == len(merged.survivors)
    past = delta.read(shared_lake, IDENTITY_MAP).where("system_to IS NOT NULL").collect()
    assert {row.person_id for row in past} >= {younger}
    assert older not in {row.person_id for row in past}
    seen = merged.first_seen
    assert seen[named("login:eve")] == seen[named("phone:eve")] < seen[named("openid:eve")]


@pytest.mark.thorough
def test_a_decision_keeps_two_identifiers_apart_and_gives_former_ids_back(
    first: Found, merged: Found, separated: Found
) -> None:
    login, phone = first.holder("login:fay"), first.holder("phone:fay")
    assert merged.holder("login:fay") == merged.holder("phone:fay") == login
    assert separated.facts["links blocked: separated by decision"] == 1
    assert separated.holder("login:fay") == separated.holder("device:f1") == login
    # The older id does not follow the larger side: every identifier goes home.
    assert {separated.holder(name) for name in ("phone:fay", "openid:fay", "device:f2")} == {phone}
    assert {separated.survivors[login], separated.survivors[phone]} == {login, phone}


@pytest.mark.thorough
def test_a_decision_holds_however_the_two_would_meet(first: Found, separated: Found) -> None:
    # Nothing links the two directly: the weaker of the links between them gives way.
    hal = first.holder("login:hal")
    assert first.holder("unionid:hal") == first.holder("phone:hal") == hal
    assert separated.facts["links parked: would join what a decision separates"] == 1
    assert separated.holder("login:hal") == hal != separated.holder("unionid:hal") != ""
    assert separated.facts["persons"] == first.facts["persons"]  # eve is one now, hal two, fay was merged in between


@pytest.mark.thorough
def test_a_rerun_changes_nothing(shared_lake: Lake, separated: Found) -> None:
    before = published(shared_lake)
    assert resolve(shared_lake)["changed"] is False
    again = resolve(shared_lake, rebuild=True)
    assert (again["map rows opened"], again["map rows closed"], again["registry rows changed"]) == (0, 0, 0)
    assert published(shared_lake) == before


@pytest.mark.thorough
def test_ids_and_numbers_follow_from_the_input_alone(first: Found, lake: Lake) -> None:
    put_kiosk(lake)
    put(lake, AT_FIRST[::-1][:12], MEMBERS_AT_FIRST[::-1])
    put(lake, AT_FIRST[::-1][12:])
    resolve(lake)
    assert numbers(lake) == first.numbers
