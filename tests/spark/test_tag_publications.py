"""Publication: causes of changes, moments that are past, runs beside each other, runs that die."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.contracts.core import MEMBERS, ORDERS
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS, TAG_TIMERS
from spark_jobs.errors import RetryableError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import job
from tests.spark.test_tag_job import DORMANT, SINCE, arguments, causes, folded, state
from tests.tag_histories import Life, Order, definition, local, write_catalogue
from tests.tag_tables import add, member, order_row, settings_of, write_lives

LATELY = local("2017-12-20T10:00")
HALF = {
    "measures": {"spent": {"sum": "purchases.sales_value"}, "half": {"quantile": "spent", "bands": 2}},
    "levels": None,
    "value": "half",
    "otherwise": "none",
}
LIVES = {
    0: Life(SINCE, [Order(local("2017-10-05T10:00"), cents=10_000)]),
    1: Life(SINCE, [Order(LATELY, cents=30_000)]),
    2: Life(SINCE, [Order(LATELY, cents=20_000)]),
    3: Life(SINCE, [Order(LATELY, cents=40_000)]),
    4: Life(SINCE, []),
}


def generations(lake: Lake) -> set[str]:
    tables = (PERSON_TAGS, TAG_TIMERS)
    return {row["generation"] for table in tables for row in delta.read(lake, table).select("generation").collect()}


def published(lake: Lake, kind: str) -> list[str]:
    rows = delta.read(lake, TAG_PUBLICATIONS).where(f"kind = '{kind}'").orderBy("number").collect()
    return [row["generation"] for row in rows]


def test_causes_and_moments_that_are_past(lake: Lake, tmp_path: Path) -> None:
    tags, settings = tmp_path / "tags", settings_of(lake)
    write_catalogue(tags, definition("half", **HALF), definition("dormant", **DORMANT))
    write_lives(lake, LIVES)
    job.run(lake.spark, settings, arguments(tags))
    first = {("half", f"p{person}"): band for person, band in enumerate("1212")}
    assert state(lake) == first == folded(lake)

    # Another's order moves the limit between the halves; meanwhile nothing happened to p0 but that time went by.
    add(lake, ORDERS, [order_row(4, 0, Order(LATELY, cents=100_000))])
    later = job.run(lake.spark, settings, arguments(tags, "2018-01-04T00:00"))
    versions = later["versions"]
    assert causes(lake, versions["half"]) == {("half", "p1"): "limits", ("half", "p4"): "events"}  # type: ignore[index]
    assert causes(lake, versions["dormant"]) == {("dormant", "p0"): "time"}  # type: ignore[index]
    now = state(lake)
    assert now == folded(lake) == {**first, ("half", "p1"): "1", ("half", "p4"): "2", ("dormant", "p0"): "true"}

    past = job.run(lake.spark, settings, arguments(tags, "2018-01-02T00:00"))
    assert (past["kind"], past["changes"]) == ("as_of", 0)
    assert past["populations"]["dormant"] == {"false": 5}  # type: ignore[index]
    repeated = job.run(lake.spark, settings, arguments(tags, "2018-01-02T00:00"))
    assert (repeated["changed"], repeated["generation"]) == (False, past["generation"])
    again = job.run(lake.spark, settings, arguments(tags, "2018-01-04T00:00"))
    assert (again["changed"], again["generation"]) == (False, later["generation"])
    assert state(lake) == now == folded(lake)
    assert generations(lake) == {*published(lake, "current"), past["generation"]}


@pytest.mark.thorough
def test_a_day_before_is_answered_though_a_state_is_published_meanwhile(
    lake: Lake, tmp_path: Path, monkeypatch
) -> None:
    tags, settings = tmp_path / "tags", settings_of(lake)
    write_catalogue(tags, definition("bought"))
    write_lives(lake, {0: Life(SINCE, [Order(LATELY)])})
    job.run(lake.spark, settings, arguments(tags))
    write = job._write

    def beside_another_run(*given: object) -> None:
        monkeypatch.setattr(job, "_write", write)
        write(*given)  # type: ignore[arg-type]
        job.run(lake.spark, settings, arguments(tags, "2018-01-04T00:00"))

    monkeypatch.setattr(job, "_write", beside_another_run)
    past = job.run(lake.spark, settings, arguments(tags, "2017-12-24T00:00"))
    assert past["kind"] == "as_of"
    assert len(published(lake, "current")) == 2
    assert generations(lake) == {*published(lake, "current"), past["generation"]}


@pytest.mark.thorough
def test_of_two_runs_beside_each_other_one_publishes(lake: Lake, tmp_path: Path, monkeypatch) -> None:
    tags, settings = tmp_path / "tags", settings_of(lake)
    write_catalogue(tags, definition("bought"))
    write_lives(lake, {0: Life(SINCE, [Order(LATELY)]), 1: Life(SINCE, [])})
    job.run(lake.spark, settings, arguments(tags))
    add(lake, ORDERS, [order_row(1, 0, Order(LATELY))])
    publish = job._publish

    def after_another_run(*given: object) -> None:
        monkeypatch.setattr(job, "_publish", publish)
        add(lake, MEMBERS, [member(2, Life(SINCE))])  # what the other run sees is not quite what this one saw
        job.run(lake.spark, settings, arguments(tags))
        publish(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "_publish", after_another_run)
    with pytest.raises(RetryableError, match="another run published beside this one"):
        job.run(lake.spark, settings, arguments(tags))
    assert state(lake) == folded(lake) == {("bought", "p0"): "true", ("bought", "p1"): "true"}

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "_publish", dies)
    add(lake, ORDERS, [order_row(0, 1, Order(LATELY, status="cancelled"))])
    with pytest.raises(KeyboardInterrupt):
        job.run(lake.spark, settings, arguments(tags, "2018-01-02T00:00"))
    assert state(lake) == folded(lake), "what a dead run wrote is nowhere seen"
    monkeypatch.setattr(job, "_publish", publish)
    job.run(lake.spark, settings, arguments(tags, "2018-01-02T00:00"))
    assert state(lake) == folded(lake) == {("bought", "p0"): "true", ("bought", "p1"): "true"}
    states = published(lake, "current")
    assert len(states) == 3
    assert generations(lake) == set(states[-2:]), "nothing is left of the runs that lost or died"
    rows = delta.read(lake, TAG_CHANGES).select("generation").distinct().collect()
    assert {row["generation"] for row in rows} <= set(states)
