"""Rules of One-ID, each by the test that proves it, through the whole job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS
from spark_jobs.contracts.identity import IDENTIFIERS, IDENTITY_LINK_STATES, IDENTITY_LINKS, IDENTITY_MAP, PERSONS
from spark_jobs.contracts.operations import RUNS
from spark_jobs.errors import TerminalError
from spark_jobs.people.resolve import with_person
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint
from tests.spark.identity_rows import NOON, event, identifier, member, put, resolve


def people(lake: Lake) -> dict[str, set[str]]:
    """person_id: identifiers that it holds for ever, as `type@scope/token`."""
    found: dict[str, set[str]] = {}
    for row in (
        delta.read(lake, IDENTITY_MAP).where("system_to IS NULL AND valid_from = TIMESTAMP '1900-01-01'").collect()
    ):
        found.setdefault(row.person_id, set()).add(f"{row.type}@{row.scope}/{row.token.hex()}")
    return found


def holder(lake: Lake, name: str) -> str | None:
    """The person that holds `type:value` for ever."""
    kind, scope, value, _ = identifier(name)
    wanted = f"{kind}@{scope}/{value.hex()}"
    return next((person for person, held in people(lake).items() if wanted in held), None)


def states(lake: Lake) -> dict[str, int]:
    rows = delta.read(lake, IDENTITY_LINK_STATES).groupBy("state", "reason").count().collect()
    return {f"{row['state']}: {row['reason']}": row["count"] for row in rows}


def attributed(lake: Lake) -> dict[str, str | None]:
    """event_id: person."""
    rows = with_person(delta.read(lake, EVENTS), delta.read(lake, IDENTITY_MAP)).collect()
    assert len(rows) == delta.read(lake, EVENTS).count()
    return {row.event_id: row.person_id for row in rows}


def published(lake: Lake) -> dict[str, Any]:
    """Fingerprints of everything that a run may change."""
    tables = (IDENTIFIERS, IDENTITY_LINKS, PERSONS, IDENTITY_MAP, IDENTITY_LINK_STATES)
    return {table.name: fingerprint(delta.read(lake, table), table) for table in tables}


def test_a_login_joins_what_was_done_before_and_a_rerun_changes_nothing(lake: Lake) -> None:
    before = [event("anonymous", 0, "device:d1", "cookie:c1", authenticated=False)]
    put(lake, [*before, event("login", 5, "login:ann", "device:d1")], [member("1", -60, "phone:1", "login:ann")])
    facts = resolve(lake)
    ann = holder(lake, "member_no:1")
    assert holder(lake, "phone:1") == holder(lake, "login:ann") == holder(lake, "device:d1") == ann
    assert holder(lake, "cookie:c1") not in {ann, None}
    assert attributed(lake)["anonymous"] == ann
    assert (facts["persons"], facts["persons with a member number"], facts["changed"]) == (2, 1, True)
    first = published(lake)
    assert resolve(lake)["changed"] is False
    again = resolve(lake, rebuild=True)
    assert (again["map rows opened"], again["map rows closed"], again["registry rows changed"]) == (0, 0, 0)
    assert published(lake) == first


def test_values_count_within_their_scope_and_guards_take_what_names_nobody(lake: Lake) -> None:
    put(
        lake,
        [
            # The same OpenID text in two apps is two identifiers.
            event("a", 0, "login:ann", "openid@app1:same"),
            event("b", 1, "login:bob", "openid@app2:same"),
            # An event that only carries devices does not say who was authenticated.
            event("c", 2, "device:d9", "cookie:c9"),
            # Five members on one phone: above its limit of three.
            *[event(f"p{n}", n, f"member_no:{n}", "phone:hotline") for n in range(5)],
            # Two members on one phone: within the limit, but one person cannot be both.
            event("x", 1, "member_no:71", "phone:shared"),
            event("y", 2, "member_no:72", "phone:shared"),
            # Company without authentication is no link.
            event("z", 3, "login:ann", "login:bob", authenticated=False),
        ],
    )
    facts = resolve(lake)
    assert holder(lake, "openid@app1:same") == holder(lake, "login:ann") != holder(lake, "login:bob")
    assert holder(lake, "openid@app2:same") == holder(lake, "login:bob")
    assert len({holder(lake, f"member_no:{n}") for n in range(5)} | {holder(lake, "phone:hotline")}) == 6
    assert holder(lake, "phone:shared") == holder(lake, "member_no:71") != holder(lake, "member_no:72")
    assert states(lake) == {
        "used: joins": 3,
        "parked: super-node": 5,
        "parked: unique value taken": 1,
        "parked: names nobody: no exclusive identifier": 1,
    }
    assert facts["links parked: super-node"] == 5


def test_a_shared_device_is_whose_it_was_and_nobodys_between_two_logins(lake: Lake) -> None:
    def seen(event_id: str, minutes: float, *names: str) -> tuple[Any, ...]:
        return event(event_id, minutes, "device:tv", *names, authenticated=bool(names))

    put(
        lake,
        [
            seen("early", 0),
            seen("a1", 10, "login:ann"),
            seen("anns", 15),
            seen("a2", 20, "login:ann"),
            seen("between", 30),
            seen("b1", 40, "login:bob"),
            seen("bobs", 45),
            seen("b2", 50, "login:bob"),
            seen("late", 60),
        ],
    )
    resolve(lake)
    ann, bob = holder(lake, "login:ann"), holder(lake, "login:bob")
    assert ann != bob
    assert holder(lake, "device:tv") is None
    assert attributed(lake) == {
        **dict.fromkeys(("early", "between", "late")),
        **dict.fromkeys(("a1", "anns", "a2"), ann),
        **dict.fromkeys(("b1", "bobs", "b2"), bob),
    }
    spans = delta.read(lake, IDENTITY_MAP).where("type = 'device'").orderBy("valid_from").collect()
    # createDataFrame and collect speak the machine's zone: only the distance matters here.
    assert [(row.valid_to - row.valid_from) for row in spans] == [timedelta(minutes=10, microseconds=1)] * 2


def test_a_kiosk_of_5000_logins_leaves_5000_persons(lake: Lake) -> None:
    numbers = lake.spark.range(5000).select(F.col("id").cast("string").alias("n"))
    template = lake.spark.createDataFrame([event("x", 0, "login:x")], EVENTS.ddl)
    device = F.struct(F.lit("device"), F.lit("web"), F.unhex(F.lit("00" * 15 + "07")), F.lit("k1"))
    login = F.struct(F.lit("login"), F.lit("shop"), F.unhex(F.substring(F.sha2("n", 256), 1, 32)), F.lit("k1"))
    kiosk = numbers.crossJoin(template).withColumns({"event_id": F.col("n"), "identifiers": F.array(device, login)})
    put(lake, [])
    delta.append(
        kiosk.withColumn("subject_token", F.col("identifiers")[1]["col3"]),
        lake,
        EVENTS,
        once=delta.Transaction("kiosk", 1),
    )
    facts = resolve(lake)
    assert (facts["identifiers"], facts["persons"]) == (5001, 5000)
    assert facts["links parked: super-node"] == 5000
    # Far above the limit of owners there are no slices either.
    assert delta.read(lake, IDENTITY_MAP).where("type = 'device'").count() == 0


def test_a_late_link_merges_and_the_older_id_survives_and_both_resolve(lake: Lake) -> None:
    put(lake, [event("a", 0, "login:ann", "device:d1"), event("b", 5, "phone:1", "openid:o1")])
    resolve(lake)
    older, younger = holder(lake, "login:ann"), holder(lake, "phone:1")
    assert older != younger
    put(lake, [event("c", -30 * 24 * 60, "login:ann", "phone:1")])
    facts = resolve(lake)
    assert holder(lake, "login:ann") == holder(lake, "phone:1") == holder(lake, "openid:o1") == older
    assert (facts["map rows opened"], facts["map rows closed"], facts["registry rows changed"]) == (2, 2, 1)
    registry = {row.person_id: row for row in delta.read(lake, PERSONS).collect()}
    assert registry[younger].survivor_id == older == registry[older].survivor_id
    assert len({row.person_no for row in registry.values()}) == len(registry)
    past = delta.read(lake, IDENTITY_MAP).where("system_to IS NOT NULL")
    assert {row.person_id for row in past.collect()} == {younger}
    first_seen = delta.read(lake, IDENTIFIERS).groupBy("type").agg(F.min("first_seen_at")).collect()
    first = {row[0]: row[1] for row in first_seen}
    assert first["login"] == first["phone"] < first["openid"]


def test_a_decision_keeps_two_identifiers_apart_and_gives_former_ids_back(lake: Lake) -> None:
    put(lake, [event("a", 0, "login:ann", "device:d1"), event("b", 5, "phone:1", "openid:o1")])
    resolve(lake)
    ann, phone = holder(lake, "login:ann"), holder(lake, "phone:1")
    put(lake, [event("c", 9, "login:ann", "phone:1")])
    resolve(lake)
    assert holder(lake, "phone:1") == ann
    link = delta.read(lake, IDENTITY_LINKS).where("event_id = 'c'")
    negative = {"kind": "negative", "link_id": "n", "author": "x", "reason": "two people", "run_id": "manual"}
    apart = link.withColumns({name: F.lit(value) for name, value in negative.items()})
    delta.append(apart, lake, IDENTITY_LINKS, once=delta.Transaction("manual", 1))
    facts = resolve(lake)
    assert facts["links blocked: separated by decision"] == 1
    assert (holder(lake, "login:ann"), holder(lake, "phone:1"), holder(lake, "openid:o1")) == (ann, phone, phone)
    assert {row.survivor_id for row in delta.read(lake, PERSONS).collect()} == {ann, phone}


def test_a_corrupted_row_stops_publication(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_jobs.identity import mapping

    put(lake, [event("a", 0, "login:ann", "device:d1"), event("b", 5, "login:bob")])
    resolve(lake)
    before = published(lake)
    put(lake, [event("c", 6, "login:bob", "phone:1")])
    honest = mapping.lasting

    def corrupt(members: DataFrame, owners: DataFrame) -> DataFrame:
        rows, other = honest(members, owners), owners.agg(F.max("person_id").alias("p"), F.max("person_no").alias("n"))
        moved = rows.crossJoin(other).withColumn(
            "person_id", F.when(F.col("type") == "login", F.col("p")).otherwise(F.col("person_id"))
        )
        return moved.select(*rows.columns)

    monkeypatch.setattr(mapping, "lasting", corrupt)
    with pytest.raises(TerminalError, match=r"not published.*1 persons with two values of a unique type"):
        resolve(lake)
    after = published(lake)
    for table in (PERSONS, IDENTITY_MAP, IDENTITY_LINK_STATES):
        assert after[table.name] == before[table.name]
    assert [row.state for row in delta.read(lake, RUNS).orderBy("ended_at").collect()] == ["succeeded", "failed"]


def test_ids_and_numbers_follow_from_the_input_alone(lake: Lake, tmp_path) -> None:
    events = [event(f"e{n}", n, f"login:{n % 7}", f"device:{n % 5}", f"cookie:{n % 3}") for n in range(40)]
    members = [member(str(n), -n, f"login:{n}", f"phone:{n % 4}") for n in range(7)]
    put(lake, events, members)
    resolve(lake)
    other = Lake(lake.spark, str(tmp_path / "other"))
    put(other, events[::-1][:25], members[::-1])
    put(other, events[::-1][25:])
    resolve(other)
    of = [
        (table, [n for n in table.column_names if n not in ("run_id", "system_from")])
        for table in (IDENTIFIERS, PERSONS, IDENTITY_MAP)
    ]
    for table, columns in of:
        rows = [{tuple(row) for row in delta.read(where, table).select(*columns).collect()} for where in (lake, other)]
        assert rows[0] == rows[1], table.name
    assert NOON.tzinfo is not None
