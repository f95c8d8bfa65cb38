"""Silent and dormant at their edges: one person per case, all in one run of the shipped catalogue."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from spark_jobs.contracts.derived import PERSON_TAGS
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import job
from tests.tag_histories import Life, Order, local
from tests.tag_tables import settings_of, write_lives

BASE = "2018-01-01T00:00"
LONG_AGO = local("2017-02-01T12:00")
DEVICE_SINCE = local("2017-03-01T00:00")  # before it, the devices of this test belong to nobody
OTHERWISE = {"silent": "false", "dormant": "false", "dormant_produce": "false"}


@dataclass(frozen=True)
class Case:
    """One person, and the answers that are not plain `false`."""

    life: Life
    wanted: dict[str, str]


def member(*orders: Order, registered: datetime | None = LONG_AGO, **wanted: str) -> Case:
    return Case(Life(registered, list(orders)), wanted)


def bought(text: str, **changed: object) -> Order:
    return Order(local(text), **changed)  # type: ignore[arg-type]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


PRODUCE = (("PRODUCE", 100),)
CASES = {
    "exactly T ago": member(bought("2017-10-03T00:00")),
    "a microsecond more than T ago": member(bought("2017-10-02T23:59:59.999999"), dormant="true"),
    "a microsecond less than T ago": member(bought("2017-10-03T00:00:00.000001")),
    "ninety times 24 hours are over but not ninety days": member(bought("2017-10-03T00:30")),
    "late evening in the zone, next day in UTC": member(Order(utc("2017-10-03T03:59:59")), dormant="true"),
    "midnight of the zone": member(Order(utc("2017-10-03T04:00:00"))),
    "never bought": member(silent="true"),
    "never bought, registered as history begins": member(registered=local("2017-01-01T00:00"), silent="true"),
    "never bought, registered a microsecond before history": member(
        registered=local("2016-12-31T23:59:59.999999"), silent="unknown", dormant="unknown", dormant_produce="unknown"
    ),
    "bought long ago, registered before history": member(
        bought("2017-03-05T10:00"), registered=local("2014-05-01T00:00"), dormant="true", dormant_produce="unknown"
    ),
    "bought lately, registered before history": member(
        bought("2017-12-05T10:00"), registered=local("2014-05-01T00:00"), dormant_produce="unknown"
    ),
    "the only order is refunded": member(bought("2017-05-01T10:00", status="refunded"), silent="true"),
    "the only order is paid back in full": member(bought("2017-05-01T10:00", cents=500, refunded=500), silent="true"),
    "the only order is paid back in part": member(bought("2017-05-01T10:00", cents=500, refunded=499), dormant="true"),
    "the only order cost nothing": member(bought("2017-05-01T10:00", cents=0), dormant="true"),
    "the only order is not paid": member(bought("2017-12-01T10:00", status="unpaid"), silent="true"),
    "the last order is refunded, the one before is old": member(
        bought("2017-05-01T10:00"), bought("2017-12-01T10:00", status="refunded"), dormant="true"
    ),
    "an old order is refunded, a later one is not": member(
        bought("2017-05-01T10:00", status="refunded"), bought("2017-12-01T10:00")
    ),
    "ordered before registering": member(
        bought("2017-03-05T10:00"), registered=local("2017-04-01T00:00"), dormant="true"
    ),
    "a guest's order, joined by device": member(bought("2017-12-05T10:00", by="device")),
    "an old guest's order, joined by device": member(bought("2017-05-05T10:00", by="device"), dormant="true"),
    "an order by the device before it was the person's": member(bought("2017-02-20T10:00", by="device"), silent="true"),
    # Nobody knows since when a guest is a customer: something may have been bought before history begins.
    "a guest who never registered": Case(
        Life(None, [bought("2017-05-05T10:00", by="device")]), {"dormant": "true", "dormant_produce": "unknown"}
    ),
    "at the base time exactly": member(bought(BASE), silent="true"),
    "a microsecond before the base time": member(bought("2017-12-31T23:59:59.999999")),
    "only after the base time": member(bought("2018-01-01T10:00"), silent="true"),
    "old, and again after the base time": member(
        bought("2017-05-01T10:00"), bought("2018-01-01T10:00"), dormant="true"
    ),
    "registered after the base time": member(registered=local("2018-01-02T00:00")),
    "registered at the base time exactly": member(registered=local(BASE)),
    "registered a microsecond before the base time": member(
        registered=local("2017-12-31T23:59:59.999999"), silent="true"
    ),
    "bought in another workspace": member(bought("2017-12-05T10:00", workspace="toys"), silent="true"),
    "split over two stores, one part refunded": member(
        bought("2017-12-05T10:00", store="1", status="refunded"), bought("2017-12-05T10:00", store="2")
    ),
    "on another line": member(
        bought("2017-06-05T10:00", lines=PRODUCE),
        bought("2017-12-05T10:00", lines=(("MEAT", 5),)),
        dormant_produce="true",
    ),
    "exactly T of the line, over a change of the clocks": member(bought("2017-11-02T00:00", lines=PRODUCE)),
    "a microsecond more than T of the line": member(
        bought("2017-11-01T23:59:59.999999", lines=PRODUCE), dormant_produce="true"
    ),
    "the last order of the line is refunded": member(
        bought("2017-06-05T10:00", lines=PRODUCE),
        bought("2017-12-05T10:00", lines=PRODUCE, status="refunded"),
        bought("2017-12-06T10:00", lines=(("MEAT", 5),)),
        dormant_produce="true",
    ),
    "never on the line": member(bought("2017-12-05T10:00", lines=(("MEAT", 5),))),
}


@pytest.fixture(scope="module")
def found(spark, tmp_path_factory) -> Iterator[dict[int, dict[str, str]]]:
    lake = Lake(spark, str(tmp_path_factory.mktemp("boundaries") / "lake"))
    write_lives(lake, {n: case.life for n, case in enumerate(CASES.values())}, device_since=DEVICE_SINCE)
    args = argparse.Namespace(workspace="grocery", base=BASE, day=None, as_of=None, catalogue=None)
    job.run(spark, settings_of(lake), args)
    answers: dict[int, dict[str, str]] = {n: dict(OTHERWISE) for n in range(len(CASES))}
    for row in delta.read(lake, PERSON_TAGS).where(f"tag IN {tuple(OTHERWISE)}").collect():
        answers[row["person_no"]][row["tag"]] = row["value"]
    yield answers
    spark.catalog.clearCache()


@pytest.mark.parametrize(("number", "name"), list(enumerate(CASES)), ids=list(CASES))
def test_silent_and_dormant(found, number: int, name: str) -> None:
    assert found[number] == {**OTHERWISE, **CASES[name].wanted}


def test_nobody_is_silent_and_dormant(found) -> None:
    assert len(CASES) >= 20
    assert not any(answer["silent"] == answer["dormant"] == "true" for answer in found.values())
