"""Who refuses profiling, by a tag or by a note: no tags, no export, no explanation; what changed says why."""

from __future__ import annotations

import argparse
import csv
import json
import uuid
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import TAG_CHANGES, TAG_REFUSED
from spark_jobs.errors import TerminalError
from spark_jobs.exports import job as exports_job
from spark_jobs.exports.messages import withheld
from spark_jobs.people.refusals import OF_PERSON, OF_TOKEN
from spark_jobs.people.refusing import by_notes
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.questions import explain_job, history_job
from spark_jobs.settings import ProfileSettings, Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import estimate_job
from spark_jobs.tagging import job as tags_job
from tests.refusal_notes import write_notes
from tests.spark.test_tag_job import folded, state
from tests.tag_histories import Life, Order, definition, local, write_catalogue
from tests.tag_identity import named, write_identity
from tests.tag_tables import settings_of, token, write_lives

SINCE = local("2017-02-01T00:00")
BOUGHT = [Order(local("2017-12-01T10:00"))]
REFUSES = definition(
    "refuses",
    measures={"said": {"attribute": "age"}},
    levels=[{"value": "true", "when": {"said": {"equals": "no profiling"}}}],
)
# p0 buys; p1 buys, and says on record that profiling is refused; p2 and p3 buy; p4 does not.
LIVES = {
    0: Life(SINCE, BOUGHT),
    1: Life(SINCE, BOUGHT, attributes={"age": "no profiling"}),
    2: Life(SINCE, BOUGHT),
    3: Life(SINCE, BOUGHT),
    4: Life(SINCE),
}


Change = tuple[str, str, str | None, str | None, str]


def changes(lake: Lake, facts: dict[str, Any], *, refused_as_of: dict[str, Any] | None = None) -> set[Change]:
    """What a run's publication changed; as another one's delivery tells it, where that is given."""
    rows = delta.read(lake, TAG_CHANGES).where(F.col("generation") == facts["generation"])
    if refused_as_of is not None:
        refused = delta.read(lake, TAG_REFUSED).where(F.col("generation") == refused_as_of["generation"])
        rows = withheld(rows, refused.select("person_id", F.col("tag").alias("open_tag")))
    told = rows.select("tag", "person_id", "old_value", "new_value", "cause").collect()
    return {tuple(row) for row in told}


def run_tags(lake: Lake, settings: Settings, folder: Path) -> dict[str, Any]:
    given: dict[str, Any] = {"workspace": "grocery", "base": "2018-01-01T00:00", "day": None, "as_of": None}
    given["catalogue"] = folder
    return dict(tags_job.run(lake.spark, settings, argparse.Namespace(**given)))


def ask(verb: ModuleType, lake: Lake, settings: Settings, **given: str) -> dict[str, Any]:
    args = argparse.Namespace(workspace="grocery", **given)
    verb.preflight(settings, args)
    return dict(verb.run(lake.spark, settings, args))


def export(lake: Lake, settings: Settings, folder: Path) -> dict[str, Any]:
    given: dict[str, Any] = {"export": "all", "receiver": "crm", "purpose": "a test", "workspace": "grocery"}
    given |= {"format": "csv", "columns": ["bought"], "keep_days": 30}
    path = folder / "all.yaml"
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    made: Any = exports_job.run(lake.spark, settings, argparse.Namespace(files=[path], check=False))["exports"]
    return dict(made["all"])


def bought(facts: dict[str, Any]) -> list[str]:
    files = [path for path in Path(facts["folder"]).iterdir() if path.name.startswith("part-")]
    rows = [row for path in files for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    return sorted(row["bought"] for row in rows)


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Settings, Path]:
    """A lake, settings with a refusal tag and a store without notes, and a folder with the catalogue."""
    folder = tmp_path_factory.mktemp("refusals")
    lake = Lake(spark, str(folder / "lake"))
    create_root_key_file(folder / "root_keys.json")
    url = write_notes(folder / "profiles.sqlite", [])
    profiles = ProfileSettings(url, "", "refuses")
    settings = replace(settings_of(lake), root_key_file=folder / "root_keys.json", profiles=profiles)
    write_lives(lake, LIVES)
    write_identity(lake, list(LIVES))
    write_catalogue(folder / "tags", definition("bought"), REFUSES)
    return lake, settings, folder


def test_exports_leave_out_who_refuses_by_the_tag_and_by_a_note_of_now(
    place: tuple[Lake, Settings, Path], tmp_path: Path
) -> None:
    lake, settings, folder = place
    run_tags(lake, settings, folder / "tags")
    first = export(lake, settings, tmp_path)
    assert (first["rows"], first["refused"], bought(first)) == (4, 1, ["false", "true", "true", "true"])
    write_notes(folder / "profiles.sqlite", [token("device", 2), token("device", 4), token("device", 99)])
    second = export(lake, settings, tmp_path)
    assert second["folder"] != first["folder"], "what was made before the note is not what is right after it"
    assert (second["rows"], second["refused"], bought(second)) == (2, 3, ["true", "true"])
    assert json.loads((Path(second["folder"]) / "manifest.json").read_text())["refused"] == 3
    again = export(lake, settings, tmp_path)
    assert (again["folder"], again["refused"], again["changed"]) == (second["folder"], 3, False)
    write_notes(folder / "profiles.sqlite", [])


def test_an_export_that_cannot_know_who_refuses_is_refused(place: tuple[Lake, Settings, Path], tmp_path: Path) -> None:
    lake, settings, folder = place
    assert settings.profiles is not None
    run_tags(lake, settings, folder / "tags")
    wrong = replace(settings, profiles=replace(settings.profiles, refusal_tag="no_such_tag"))
    with pytest.raises(TerminalError, match=r"publishes no tag 'no_such_tag', .*nobody's refusal would be honoured"):
        export(lake, wrong, tmp_path)


def test_no_tags_are_computed_of_who_refuses_and_changes_say_why(place: tuple[Lake, Settings, Path]) -> None:
    lake, settings, folder = place
    write_notes(folder / "profiles.sqlite", [])
    first = run_tags(lake, settings, folder / "tags")
    mine = {("bought", "p0"): "true", ("bought", "p3"): "true", ("refuses", "p1"): "true"}
    assert state(lake) == {**mine, ("bought", "p2"): "true"}
    assert (first["persons"], first["refused"]) == (5, 1)
    assert first["populations"] == {"bought": {"true": 3, "false": 1}, "refuses": {"false": 4, "true": 1}}

    write_notes(folder / "profiles.sqlite", [token("device", 2), token("device", 99)])
    second = run_tags(lake, settings, folder / "tags")
    assert (second["changed"], second["refused"]) == (True, 2)
    assert state(lake) == mine
    assert changes(lake, second) == {("bought", "p2", "true", None, "refusal")}
    assert second["versions"]["bought"] != first["versions"]["bought"], "the same version has the same rows"
    again = run_tags(lake, settings, folder / "tags")
    assert (again["changed"], again["refused"], again["generation"]) == (False, 2, second["generation"])

    # What goes out tells that the values went; of what went before, not what they were.
    assert changes(lake, second, refused_as_of=second) == {("bought", "p2", None, None, "refusal")}
    told = changes(lake, first, refused_as_of=second)
    assert len(told) == len(changes(lake, first))
    assert {change for change in told if change[1] == "p2"} == {("bought", "p2", None, None, "refusal")}
    assert {change for change in told if change[1] != "p2"} == {
        change for change in changes(lake, first) if change[1] != "p2"
    }

    write_notes(folder / "profiles.sqlite", [])
    third = run_tags(lake, settings, folder / "tags")
    assert changes(lake, third) == {("bought", "p2", None, "true", "refusal")}
    assert state(lake) == folded(lake)


def test_of_who_refuses_nothing_is_explained(place: tuple[Lake, Settings, Path]) -> None:
    lake, settings, folder = place
    write_notes(folder / "profiles.sqlite", [])
    run_tags(lake, settings, folder / "tags")
    told = ask(explain_job, lake, settings, person=named("device", 2), tag="bought")
    assert (told["level"], told["agrees"]) == ("true", True)
    refused = ask(explain_job, lake, settings, person=named("device", 1), tag="bought")
    assert set(refused) == {"workspace", "tag", "person_id", "publication", "profiling"}
    assert (refused["person_id"], refused["profiling"]) == ("p1", "refused")
    assert ask(explain_job, lake, settings, person=named("device", 1), tag="refuses")["level"] == "true"
    assert ask(history_job, lake, settings, person=named("device", 1), tag="bought")["profiling"] == "refused"

    write_notes(folder / "profiles.sqlite", [token("device", 2)])
    for verb in (explain_job, history_job):
        at_once = ask(verb, lake, settings, person=named("member_no", 2), tag="bought")
        assert at_once["profiling"] == "refused", "before any run has left the person out"
    assert "changes" in ask(history_job, lake, settings, person=named("device", 0), tag="bought")
    write_notes(folder / "profiles.sqlite", [])


def test_an_estimate_leaves_them_out_as_a_run_would(place: tuple[Lake, Settings, Path]) -> None:
    lake, settings, folder = place
    write_notes(folder / "profiles.sqlite", [token("device", 2)])
    given: dict[str, Any] = {"workspace": "grocery", "base": "2018-01-01T00:00", "day": None, "as_of": None}
    args = argparse.Namespace(**given, catalogue=folder / "tags", tags=["bought"])
    found: Any = estimate_job.run(lake.spark, settings, args)
    assert found["refusing"] == 2
    (bought_tag,) = [one for one in found["tags"] if one["tag"] == "bought"]
    assert {one["value"]: one["persons"] for one in bought_tag["values"]} == {"true": 2, "false": 1}
    assert {one["person_id"] for one in bought_tag["sample"]} <= {"p0", "p3"}
    write_notes(folder / "profiles.sqlite", [])


def test_a_note_means_who_holds_the_token_or_is_what_the_id_resolves_to(spark: SparkSession) -> None:
    ids = [uuid.UUID(int=number) for number in range(4)]
    held = spark.createDataFrame(
        [(number, str(ids[number]), bytes([number])) for number in (1, 2, 2)],
        "person_no bigint, person_id string, token binary",
    )
    # 0 has become one with 1; 3 holds nothing any more.
    survivors = {0: 1, 1: 1, 2: 2, 3: 3}
    registry = spark.createDataFrame(
        [(number, str(ids[number]), str(ids[other])) for number, other in survivors.items()],
        "person_no bigint, person_id string, survivor_id string",
    )

    def meant(*notes: tuple[str, bytes], known: bool = True) -> list[tuple[int, str]]:
        rows = by_notes(notes, held, registry if known else None).collect()
        return sorted((row["person_no"], row["person_id"]) for row in rows)

    assert meant((OF_TOKEN, bytes([2])), (OF_TOKEN, bytes([9]))) == [(2, str(ids[2]))]
    assert meant((OF_PERSON, ids[0].bytes), (OF_PERSON, ids[1].bytes)) == [(1, str(ids[1]))]
    assert meant((OF_PERSON, ids[3].bytes), (OF_TOKEN, bytes([1]))) == [(1, str(ids[1])), (3, str(ids[3]))]
    assert meant((OF_PERSON, ids[2].bytes), known=False) == [(2, str(ids[2]))]
