"""`verify` goes red where a table was changed behind its back; `quality` says what is covered, hub and bridge."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_LINK_STATES
from spark_jobs.errors import TerminalError
from spark_jobs.identity import quality_job, verify_job
from spark_jobs.identity.measuring import LEAST_PART
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction
from tests.identity_rules import changed, rules_at
from tests.spark.identity_rows import event, identifier, put, resolve, settings

pytestmark = pytest.mark.thorough

# Two big parts on one link: a login with its phones, and a member with others.
PHONES = [event(f"l{n}", n, "login:big", f"phone:l{n}") for n in range(LEAST_PART - 1)] + [
    event(f"m{n}", 20 + n, "member_no:9", f"phone:m{n}") for n in range(LEAST_PART - 1)
]
STORIES = [
    *PHONES,
    event("bridge", 50, "member_no:9", "login:big"),
    event("nobody", 51),
    event("of a form", 52, "cookie:c", authenticated=False, source="form"),
    *[event(f"k{n}", 60 + n, f"member_no:1{n}", "phone:hotline") for n in range(5)],
    event("t1", 70, "login:t1", "device:tv"),
    event("t2", 71, "login:t2", "device:tv"),
]


def by_token(name: str) -> str:
    kind, scope, token, _ = identifier(name)
    return f"{kind}@{scope}:token:{token.hex()}"


@pytest.fixture(scope="module")
def sound(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(spark, str(tmp_path_factory.mktemp("quality") / "lake"))
    put(lake, STORIES, [])
    resolve(lake)
    return lake


@pytest.fixture(scope="module")
def measured(sound: Lake) -> dict[str, Any]:
    return quality_job.run(sound.spark, settings(sound), Namespace(known_at=None))


def verified(lake: Lake, **given: Any) -> dict[str, Any]:
    return verify_job.run(lake.spark, settings(lake), Namespace(**{"rules": None, **given}))


def test_coverage_is_told_per_source_and_type(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured)) == measured
    web, form = measured["sources"][1], measured["sources"][0]
    assert (form["source"], form["events"], form["with_person"], form["links"]) == ("form", 1, 1, 0)
    assert (web["events"], web["with_identifier"], web["with_person"]) == (
        len(STORIES) - 1,
        len(STORIES) - 2,
        len(STORIES) - 2,
    )
    types = {row["type"]: row for row in measured["types"]}
    assert (types["device"]["identifiers"], types["device"]["held"]) == (1, 0)
    assert (types["cookie"]["held"], types["cookie"]["alone"]) == (1, 1)
    assert sum(row["persons"] for row in measured["sizes"]) == 1 + 1 + 6 + 2


def test_hubs_largest_persons_and_bridges_are_listed(measured: dict[str, Any]) -> None:
    assert measured["hubs"][0] == {"identifier": by_token("phone:hotline"), "links": 5}
    assert measured["largest"][0]["identifiers"] == 2 * LEAST_PART
    (bridge,) = measured["bridges"]
    assert {bridge["from"], bridge["to"]} == {by_token("member_no:9"), by_token("login:big")}
    assert (bridge["part"], bridge["whole"]) == (LEAST_PART, 2 * LEAST_PART)
    assert bridge["person_id"] == measured["largest"][0]["person_id"]


def test_a_sound_snapshot_is_verified_as_it_was_certified(sound: Lake) -> None:
    told = verified(sound)
    assert told["as_certified"] is True
    assert told["links not judged yet"] == 0


def test_other_rules_are_no_measure_of_a_snapshot(sound: Lake, tmp_path_factory: pytest.TempPathFactory) -> None:
    rules = rules_at(tmp_path_factory.mktemp("rules"), changed("types.phone.owner_limit", 7))
    with pytest.raises(TerminalError, match="was made by rules"):
        verified(sound, rules=rules)


def test_a_changed_table_is_found(lake: Lake) -> None:
    put(lake, STORIES[-2:], [])
    resolve(lake)
    assert verified(lake)["as_certified"] is True
    states = delta.read(lake, IDENTITY_LINK_STATES).limit(1)
    twice = states.withColumn("system_from", F.lit(datetime(2020, 1, 1, tzinfo=UTC)))
    delta.append(twice.withColumn("state", F.lit("used")), lake, IDENTITY_LINK_STATES, once=Transaction("damage", 1))
    with pytest.raises(TerminalError, match="1 links without exactly one state"):
        verified(lake)
