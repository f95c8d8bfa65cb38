"""Audiences of published tags: members, the feed that folds to them, merges, refusals, dead runs, exports, counts."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from services.audiences.counting import count
from services.profiles.lake import opened_lake
from spark_jobs.audiences import job
from spark_jobs.contracts.audiences import AUDIENCE_CHANGES, AUDIENCE_PUBLICATIONS, AUDIENCES
from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.identity import IDENTITY_MAP, IDENTITY_SNAPSHOTS, PERSONS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.exports import audience_job
from spark_jobs.people.bitmaps import persons_of, unpacked
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.settings import ProfileSettings, Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import job as tags_job
from tests.tag_histories import Life, Order, definition, local, write_catalogue
from tests.tag_tables import add, order_row, settings_of, snapshot, token, write_lives

SINCE = local("2017-02-01T00:00")
LATELY = local("2017-12-01T10:00")
LIVES = {
    0: Life(SINCE, [Order(LATELY)], attributes={"kids_count": "1"}),  # becomes one with 2
    1: Life(SINCE, []),  # buys
    2: Life(SINCE, [Order(LATELY), Order(local("2017-12-02T10:00"))], attributes={"kids_count": "1"}),
    3: Life(SINCE, []),  # refuses by a note
    4: Life(SINCE, [Order(LATELY)], attributes={"age": "refuses"}),  # refuses by the tag, from the beginning
    5: Life(SINCE, []),
}
MADE = {"measures": {"orders": {"count": "purchases"}}, "levels": None, "value": "orders", "otherwise": "none"}
BUYERS, KIDS = {"tag": "bought", "is": "true"}, {"tag": "kids", "is": "true"}
Members = dict[str, set[int]]


def says(name: str, attribute: str, value: str, **changed: Any) -> dict[str, object]:
    """A tag that is true where an attribute has a value."""
    levels = [{"value": "true", "when": {"given": {"equals": value}}}]
    return definition(name, measures={"given": {"attribute": attribute}}, levels=levels, **changed)


def define(folder: Path, **members: Any) -> Path:
    """Definitions of exactly these audiences."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.yaml"):
        path.unlink()
    for name, expression in members.items():
        head = {"audience": name, "title": {"en": name, "zh": name}, "owner": "tests", "class": "none"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**head, "members": expression}), encoding="utf-8")
    return folder


def register(lake: Lake, person: int, survivor: int, day: int) -> None:
    row = {"person_id": f"p{person}", "person_no": person, "seed_identifier_no": person, "generation": 1}
    row |= {"first_seen_at": SINCE, "survivor_id": f"p{survivor}", "snapshot_id": f"snapshot-{day}"}
    add(lake, PERSONS, [{**row, "system_from": datetime(2018, 1, day, tzinfo=UTC)}])


def state(lake: Lake) -> Members:
    """The members that readers see: of the newest publication, by audience."""
    newest = delta.read(lake, AUDIENCE_PUBLICATIONS).orderBy(F.desc("number")).limit(1).collect()[0]
    found: Members = {name: set() for name in json.loads(newest["audiences"])}
    for row in delta.read(lake, AUDIENCES).where(F.col("generation") == newest["generation"]).collect():
        if not row["audience"].startswith("_"):
            found[row["audience"]] |= set(persons_of(row["chunk"], unpacked(bytes(row["members"]))).tolist())
    sizes = {name: facts["persons"] for name, facts in json.loads(newest["audiences"]).items()}
    assert sizes == {name: len(members) for name, members in found.items()}
    return found


def folded(lake: Lake) -> Members:
    """The members that the feed gives, taken in its order; without audiences that nobody is in."""
    found: Members = {}
    published = delta.read(lake, AUDIENCE_PUBLICATIONS).select("generation")
    for row in delta.read(lake, AUDIENCE_CHANGES).join(published, "generation").orderBy("state_version").collect():
        members = found.setdefault(row["audience"], set())
        assert (row["person_no"] in members) == (row["change"] == "exit"), row
        assert row["person_id"] == f"p{row['person_no']}"
        members ^= {row["person_no"]}
    return {name: members for name, members in found.items() if members}


def brought(lake: Lake, number: int) -> dict[tuple[str, int], tuple[str, str]]:
    """What a publication changed: audience and person to change and cause."""
    rows = delta.read(lake, AUDIENCE_CHANGES).where(F.col("state_version") == number).collect()
    return {(row["audience"], row["person_no"]): (row["change"], row["cause"]) for row in rows}


@dataclass
class Place:
    """A lake whose tags are published again and again."""

    lake: Lake
    settings: Settings
    folder: Path
    store: Path
    facts: list[dict[str, Any]] = field(default_factory=list)
    states: list[Members] = field(default_factory=list)

    def tags(self, day: int) -> None:
        given = {"workspace": "grocery", "base": f"2018-01-0{day}T00:00", "day": None, "as_of": None}
        args = argparse.Namespace(**given, catalogue=self.folder / "tags")
        tags_job.run(self.lake.spark, self.settings, args)

    def build(self) -> dict[str, Any]:
        args = argparse.Namespace(workspace="grocery", audiences=self.folder / "audiences")
        job.preflight(self.settings, args)
        self.facts.append(job.run(self.lake.spark, self.settings, args))
        self.states.append(state(self.lake))
        assert {name: members for name, members in self.states[-1].items() if members} == folded(self.lake)
        return self.facts[-1]

    def define(self, **members: Any) -> None:
        define(self.folder / "audiences", **members)


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Three publications: the first, one behind orders, a merge and a refusal, one behind other definitions."""
    folder = tmp_path_factory.mktemp("audiences")
    lake, store = Lake(spark, str(folder / "lake")), folder / "profiles.sqlite"
    create_root_key_file(folder / "root_keys.json")
    profiles = ProfileSettings(f"sqlite:///{store}", "", "refuses")
    settings = replace(settings_of(lake), root_key_file=folder / "root_keys.json", profiles=profiles)
    kids = says("kids", "kids_count", "1", **{"class": "minors"})
    write_catalogue(
        folder / "tags", definition("bought"), definition("made", **MADE), kids, says("refuses", "age", "refuses")
    )
    write_lives(lake, LIVES)
    for person in LIVES:
        register(lake, person, person, 2)
    made = Place(lake, settings, folder, store)
    made.define(
        buyers=BUYERS, others={"not": {"audience": "buyers"}}, often={"tag": "made", "at_least": 2}, kids_home=KIDS
    )
    made.tags(1)
    made.build()
    made.build()
    _change(made)
    made.tags(2)
    made.build()
    made.define(buyers=BUYERS, often={"tag": "made", "at_least": 4}, kids_home=KIDS)
    _die(made)
    made.build()
    yield made
    spark.catalog.clearCache()


def _change(made: Place) -> None:
    """1 buys, 0 becomes one with 2, 3 refuses."""
    lake, is_0 = made.lake, F.col("person_no") == 0
    add(lake, ORDERS, [order_row(1, 0, Order(LATELY))])
    rows = delta.read(lake, IDENTITY_MAP)
    rows = rows.withColumn("person_id", F.when(is_0, "p2").otherwise(F.col("person_id")))
    merged = rows.withColumn("person_no", F.when(is_0, 2).otherwise(F.col("person_no")))
    delta.replace_all(merged.localCheckpoint(), lake, IDENTITY_MAP)
    add(lake, IDENTITY_SNAPSHOTS, [snapshot("snapshot-2", datetime(2018, 1, 3, tzinfo=UTC))])
    register(lake, 0, 2, 3)
    store = sqlite3.connect(made.store)
    store.execute("CREATE TABLE refusals (subject BLOB PRIMARY KEY, kind TEXT NOT NULL, noted_at TEXT NOT NULL)")
    store.execute("INSERT INTO refusals VALUES (?, 'token', '2018')", [token("member_no", 3)])
    store.commit()
    store.close()


def _die(made: Place) -> None:
    """A run that dies before it publishes."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    before = state(made.lake)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job, "_publish", dies)
        with pytest.raises(KeyboardInterrupt):
            made.build()
    assert state(made.lake) == before, "what a dead run wrote is nowhere seen"


def test_members_are_drawn_from_all_persons_who_do_not_refuse(place: Place) -> None:
    assert place.states[0] == {"buyers": {0, 2}, "others": {1, 3, 5}, "often": {2}, "kids_home": {0, 2}}
    first = place.facts[0]
    assert (first["persons"], first["refused"], first["changed"], first["changes"]) == (5, 1, True, 8)
    assert first["sizes"] == {"buyers": 2, "others": 3, "often": 1}, "sensitive ones are not printed"
    assert set(brought(place.lake, 1).values()) == {("enter", "first")}


def test_a_run_that_finds_nothing_new_publishes_nothing(place: Place) -> None:
    first, again = place.facts[:2]
    assert (again["changed"], again["changes"], again["generation"]) == (False, 0, first["generation"])
    numbers = delta.read(place.lake, AUDIENCE_PUBLICATIONS).orderBy("number").select("number").collect()
    assert [row["number"] for row in numbers] == [1, 2, 3]


def test_the_feed_says_who_came_and_went_and_why(place: Place) -> None:
    assert place.states[2] == {"buyers": {1, 2}, "others": {5}, "often": {2}, "kids_home": {2}}
    assert (place.facts[2]["persons"], place.facts[2]["refused"]) == (3, 2)
    assert brought(place.lake, 2) == {
        ("buyers", 1): ("enter", "tags"),
        ("others", 1): ("exit", "tags"),
        ("buyers", 0): ("exit", "merge"),
        ("kids_home", 0): ("exit", "merge"),
        ("others", 3): ("exit", "refusal"),
    }
    rows = {
        (row["audience"], row["person_no"]): row
        for row in delta.read(place.lake, AUDIENCE_CHANGES).where("state_version = 2").collect()
    }
    assert rows["buyers", 0]["survivor_id"] == "p2"
    assert rows["buyers", 0]["tags"] is None
    (moved,) = rows["buyers", 1]["tags"]
    assert (moved["tag"], moved["old_value"], moved["new_value"], moved["cause"]) == ("bought", None, "true", "events")
    assert {row["snapshot_id"] for row in rows.values()} == {"snapshot-2"}


def test_another_definition_and_an_audience_that_went_are_causes(place: Place) -> None:
    assert place.states[3] == {"buyers": {1, 2}, "often": set(), "kids_home": {2}}
    assert brought(place.lake, 3) == {("often", 2): ("exit", "definition"), ("others", 5): ("exit", "definition")}


def test_nothing_is_left_of_runs_that_died_and_classes_stand_on_rows(place: Place) -> None:
    published = delta.read(place.lake, AUDIENCE_PUBLICATIONS).orderBy("number").collect()
    kept = {row["generation"] for row in published[-2:]}
    rows = delta.read(place.lake, AUDIENCES).collect()
    assert {row["generation"] for row in rows} == kept
    changes = delta.read(place.lake, AUDIENCE_CHANGES).collect()
    assert {row["generation"] for row in changes} <= {row["generation"] for row in published}
    classes = {(row["audience"], row["classes"]) for row in [*rows, *changes] if not row["audience"].startswith("_")}
    assert classes == {("buyers", ""), ("others", ""), ("often", ""), ("kids_home", "minors")}
    for table in job.OWN_TABLES:
        assert delta.read(place.lake, table).groupBy(*table.key).count().where("count > 1").count() == 0, table.name


def test_counts_without_spark_are_of_the_same_publication(place: Place, tmp_path: Path) -> None:
    with opened_lake(place.lake.root, memory_mb=256, scratch=tmp_path, threads=1) as lake:
        found = count(lake, "grocery", ["buyers", "everyone - buyers", "buyers & often"])
        with pytest.raises(TerminalError, match="sensitive classes are not counted here: kids_home"):
            count(lake, "grocery", ["kids_home"])
    assert found["counts"] == {"buyers": 2, "everyone - buyers": 1, "buyers & often": 0}
    assert (found["number"], found["snapshot_id"]) == (3, "snapshot-2")


def export(place: Place, folder: Path, audience: str, **changed: Any) -> dict[str, Any]:
    given = {"export": "chosen", "receiver": "crm", "purpose": "a test", "workspace": "grocery", "format": "csv"}
    given |= {"columns": ["made"], "keep_days": 30, "audience": audience, **changed}
    (folder / "export.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    args = argparse.Namespace(audience=audience, files=[folder], check=False)
    assert audience_job.preflight(place.settings, args) is None
    made: dict[str, Any] = audience_job.run(place.lake.spark, place.settings, args)["exports"]  # type: ignore[assignment]
    return dict(made["chosen"])


def test_an_export_has_the_members_of_its_audience(place: Place, tmp_path: Path) -> None:
    facts = export(place, tmp_path, "buyers")
    files = [one for one in Path(facts["folder"]).iterdir() if one.name.startswith("part-")]
    rows = [row for path in files for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    assert sorted(row["made"] for row in rows) == ["1", "3"], "2 has the order of 0 since they are one"
    said = json.loads((Path(facts["folder"]) / "manifest.json").read_text(encoding="utf-8"))
    assert (said["audience"]["name"], said["audience"]["number"], said["rows"]) == ("buyers", 3, 2)
    with pytest.raises(TerminalError, match=r"audience kids_home is of sensitive classes \(minors\)"):
        export(place, tmp_path, "kids_home")
    assert export(place, tmp_path, "kids_home", classes=["minors"])["rows"] == 1
    with pytest.raises(TerminalError, match="no audience nobody is published; wanted: one of buyers, kids_home, often"):
        export(place, tmp_path, "nobody")
    (tmp_path / "export.yaml").write_text((tmp_path / "export.yaml").read_text().replace("nobody", "often"))
    args = argparse.Namespace(audience="buyers", files=[tmp_path], check=True)
    with pytest.raises(TerminalError, match="none of these exports is chosen by the audience 'buyers'; found: often"):
        audience_job.preflight(place.settings, args)


@pytest.mark.thorough
def test_audiences_of_older_tags_are_not_exported(place: Place, tmp_path: Path) -> None:
    root = str(shutil.copytree(place.lake.root, tmp_path / "lake"))
    lake, settings = Lake(place.lake.spark, root), replace(place.settings, storage_root=root)
    later, wanted = replace(place, lake=lake, settings=settings, facts=[], states=[]), tmp_path / "exports"
    wanted.mkdir()
    later.tags(3)
    with pytest.raises(RetryableError, match="the audiences stand on generation"):
        export(later, wanted, "buyers")
    facts = later.build()
    assert (facts["number"], facts["changes"]) == (4, 0)
    assert export(later, wanted, "buyers")["rows"] == 2
