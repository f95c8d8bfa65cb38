"""The job: each source read once, answers as the kernels give them, versions, changes that fold to the state."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS, TAG_TIMERS, TAG_VERSIONS
from spark_jobs.contracts.identity import IDENTITY_SNAPSHOTS
from spark_jobs.contracts.tables import table_named
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint
from spark_jobs.tagging import job
from spark_jobs.tagging.check import SHIPPED
from spark_jobs.tagging.computing import answers_from, buckets_from, limits_from
from spark_jobs.tagging.facts import facts_of
from spark_jobs.tagging.moment import NEVER
from spark_jobs.tagging.plan import compile_plan
from spark_jobs.tagging.reading import read_catalogue
from spark_jobs.tagging.versions import tables_read
from tests.tag_histories import (
    Life,
    Order,
    answers,
    catalogue_of,
    definition,
    local,
    moment,
    random_lives,
    write_catalogue,
)
from tests.tag_tables import add, order_row, settings_of, snapshot, write_lives

BASE = "2018-01-01T00:00"
SINCE = local("2017-02-01T00:00")
DORMANT = {
    "measures": {"last": {"last": "purchases"}},
    "levels": [{"value": "true", "when": {"last": {"older_than": "90 days"}}}],
}
CART = {
    "measures": {
        "cart": {
            "sequence": {
                "first": {"source": "events", "where": {"name": "add_to_cart"}},
                "without": {"source": "events", "where": {"name": "purchase"}},
                "within": "24 hours",
            },
            "window": "7 days",
        }
    },
    "levels": [{"value": "true", "when": {"cart": {"present": True}}}],
}


def arguments(folder: Path | None, base: str = BASE) -> argparse.Namespace:
    return argparse.Namespace(workspace="grocery", base=base, day=None, as_of=None, catalogue=folder)


def tables_of(lake: Lake, plan) -> dict[str, object]:
    return {name: delta.read(lake, table_named(name)) for name in tables_read(plan.sources)}


def state(lake: Lake) -> dict[tuple[str, str], str]:
    """The state in force, as readers see it."""
    published = delta.read(lake, TAG_PUBLICATIONS).where("kind = 'current'").orderBy(F.desc("number"))
    generation = published.first()["generation"]  # type: ignore[index]
    rows = delta.read(lake, PERSON_TAGS).where(F.col("generation") == generation).collect()
    return {(row["tag"], row["person_id"]): row["value"] for row in rows}


def folded(lake: Lake) -> dict[tuple[str, str], str]:
    """The state that the changes give, taken in their order."""
    values: dict[tuple[str, str], str] = {}
    published = delta.read(lake, TAG_PUBLICATIONS).select("generation")
    for row in delta.read(lake, TAG_CHANGES).join(published, "generation").orderBy("state_version").collect():
        key = (row["tag"], row["person_id"])
        assert values.pop(key, None) == row["old_value"], row
        if row["new_value"] is not None:
            values[key] = row["new_value"]
    return values


def causes(lake: Lake, version: str) -> dict[tuple[str, str], str]:
    rows = delta.read(lake, TAG_CHANGES).where(F.col("version") == version).collect()
    return {(row["tag"], row["person_id"]): row["cause"] for row in rows}


def test_the_plan_reads_each_source_once_and_moves_rows_once(lake: Lake) -> None:
    write_lives(lake, {0: Life(SINCE, [Order(local("2017-12-01T10:00"), lines=(("MEAT", 5),))])})
    catalogue = read_catalogue(SHIPPED / "grocery")
    plan, at = compile_plan(catalogue), moment(local(BASE), catalogue)
    facts = facts_of(tables_of(lake, plan), plan, at, workspace="grocery")  # type: ignore[arg-type]
    lake.spark.conf.set("spark.sql.maxMetadataStringLength", "1000")  # whole paths
    physical = facts._jdf.queryExecution().executedPlan().toString()
    lake.spark.conf.unset("spark.sql.maxMetadataStringLength")
    scans = Counter(re.findall(r"FileScan parquet .*?Location: \S+ \S*?\[[^\]]*?/(core/\w+)\]", physical))
    assert scans == dict.fromkeys((name.replace(".", "/") for name in tables_read(plan.sources)), 1)
    assert physical.count("FileScan") == len(scans)
    moved = re.findall(r"Exchange hashpartitioning\((\w+)", physical)
    assert moved == ["person_no"], "people stay together from the one exchange on"


@pytest.mark.thorough
@pytest.mark.parametrize("text", ["2018-01-01T00:00", "2017-11-06T15:45:10"])
def test_spark_and_the_kernels_agree_on_random_histories(lake: Lake, tmp_path: Path, text: str) -> None:
    base = local(text)
    orders = {"orders": {"count": "purchases", "window": "90 days", "where": {"weekday": ["sat", "sun", "mon"]}}}
    days = {"days": {"days": "events", "window": "7 days"}}
    band = {"spent": {"sum": "purchases.sales_value"}, "band": {"quantile": "spent", "bands": 3}}
    line = {"line": {"preference": "purchase_lines.product_line", "by": "sales_value"}}
    catalogue = catalogue_of(
        tmp_path / "tags",
        definition("orders", measures=orders),
        definition("days", measures=days, levels=[{"value": "true", "when": {"days": {"at_least": 2}}}]),
        definition("dormant", **DORMANT),
        definition("cart", **CART),
        definition("band", measures=band, levels=None, value="band", otherwise="none"),
        definition("line", measures=line, levels=None, value="line", otherwise="none"),
        definition(
            "age",
            measures={"age": {"attribute": "age"}},
            levels=[{"value": "old", "when": {"age": {"equals": "65+"}}}],
            missing={"answer": "unknown", "because": "x"},
        ),
    )
    lives = random_lives(21, 150, base)
    write_lives(lake, dict(enumerate(lives)))
    plan, at = compile_plan(catalogue), moment(base, catalogue)
    facts = facts_of(tables_of(lake, plan), plan, at, workspace="grocery").persist()  # type: ignore[arg-type]
    limits = limits_from(buckets_from(facts, plan, at).collect(), plan)
    got: dict[tuple[str, int], tuple[str, int]] = {}
    for row in answers_from(facts, plan, at, limits).where("tag >= 0").collect():
        due = NEVER if row["next_change_at"] is None else row["next_change_at"]
        got[catalogue.tags[row["tag"]].name, row["person_no"]] = (row["value"], due)
    facts.unpersist()
    wanted = answers(catalogue, lives, at)
    otherwise = {tag.name: tag.rule.otherwise for tag in catalogue.tags}
    assert got == {
        (name, person): answer
        for name, given in wanted.items()
        for person, answer in given.items()
        if answer[0] != otherwise[name]
    }


def test_a_story_of_runs(lake: Lake, tmp_path: Path) -> None:
    tags, settings = tmp_path / "tags", settings_of(lake)
    write_catalogue(tags, definition("bought"), definition("dormant", **DORMANT))
    near = local("2017-10-05T10:00")
    write_lives(
        lake, {0: Life(SINCE, [Order(near)]), 1: Life(SINCE, []), 2: Life(SINCE, [Order(local("2017-03-01T10:00"))])}
    )

    first = job.run(lake.spark, settings, arguments(tags))
    assert first["populations"] == {"bought": {"true": 2, "false": 1}, "dormant": {"false": 2, "true": 1}}
    assert state(lake) == {("bought", "p0"): "true", ("bought", "p2"): "true", ("dormant", "p2"): "true"}
    assert set(causes(lake, first["versions"]["bought"]).values()) == {"first"}  # type: ignore[index]
    timers = {row["person_id"]: row["next_change_at"] for row in delta.read(lake, TAG_TIMERS).collect()}
    assert timers == {"p0": (near + timedelta(days=90, hours=1, microseconds=1)).replace(tzinfo=None)}
    before = fingerprint(delta.read(lake, PERSON_TAGS), PERSON_TAGS)

    again = job.run(lake.spark, settings, arguments(tags))
    assert (again["version"], again["changes"]) == (first["version"], 0)
    assert fingerprint(delta.read(lake, PERSON_TAGS), PERSON_TAGS) == before
    assert delta.read(lake, TAG_VERSIONS).count() == 2

    add(lake, ORDERS, [order_row(1, 0, Order(local("2017-12-20T10:00")))])
    bought = job.run(lake.spark, settings, arguments(tags))
    assert causes(lake, bought["versions"]["bought"]) == {("bought", "p1"): "events"}  # type: ignore[index]

    aged = job.run(lake.spark, settings, arguments(tags, "2018-01-04T00:00"))
    assert causes(lake, aged["versions"]["dormant"]) == {("dormant", "p0"): "time"}  # type: ignore[index]

    write_catalogue(tags, definition("bought", levels=[{"value": "true", "when": {"orders": {"at_least": 2}}}]))
    ruled = job.run(lake.spark, settings, arguments(tags, "2018-01-04T00:00"))
    lost = {("bought", "p0"): "rule", ("bought", "p1"): "rule", ("bought", "p2"): "rule"}
    assert causes(lake, ruled["versions"]["bought"]) == lost  # type: ignore[index]

    (tags / "dormant.yaml").unlink()
    job.run(lake.spark, settings, arguments(tags, "2018-01-04T00:00"))
    assert state(lake) == {} == folded(lake)
    assert delta.read(lake, PERSON_TAGS).select("generation").distinct().count() == 1, "the state before is kept"
    for table in job.OWN_TABLES:
        keys = delta.read(lake, table).groupBy(*table.key).count().where("count > 1").count()
        assert keys == 0, table.name


@pytest.mark.thorough
def test_a_new_identity_snapshot_is_a_new_version_and_the_cause(lake: Lake, tmp_path: Path) -> None:
    from spark_jobs.contracts.identity import IDENTITY_MAP

    tags, settings = tmp_path / "tags", settings_of(lake)
    write_catalogue(tags, definition("bought"))
    write_lives(lake, {0: Life(SINCE, [Order(local("2017-12-01T10:00"))]), 1: Life(SINCE, [])})
    first = job.run(lake.spark, settings, arguments(tags))
    merged = delta.read(lake, IDENTITY_MAP).withColumns({"person_no": F.lit(1), "person_id": F.lit("p1")})
    delta.replace_all(merged.localCheckpoint(), lake, IDENTITY_MAP)
    add(lake, IDENTITY_SNAPSHOTS, [snapshot("snapshot-2", datetime(2018, 1, 3, tzinfo=UTC))])
    second = job.run(lake.spark, settings, arguments(tags))
    assert first["versions"] != second["versions"]
    found = causes(lake, second["versions"]["bought"])  # type: ignore[index]
    assert found == {("bought", "p0"): "identity", ("bought", "p1"): "identity"}
    assert state(lake) == folded(lake) == {("bought", "p1"): "true"}


def test_bad_input_is_refused_before_anything_is_written(lake: Lake, tmp_path: Path) -> None:
    settings = settings_of(lake)
    write_catalogue(tmp_path / "tags", definition("bought"))
    with pytest.raises(TerminalError, match="found no tables"):
        job.run(lake.spark, settings, arguments(tmp_path / "tags"))
    with pytest.raises(TerminalError, match="which has not come yet"):
        job.preflight(settings, arguments(tmp_path / "tags", "2999-01-01T00:00"))
    other = arguments(tmp_path / "tags")
    other.workspace = "toys"
    with pytest.raises(TerminalError, match="is of workspace 'grocery', wanted 'toys'"):
        job.preflight(settings, other)
    job.preflight(settings, arguments(tmp_path / "tags"))
    assert not delta.exists(lake, PERSON_TAGS)
