"""Files for a receiver: what stands in them, that they come whole and once, and that they go in time."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.derived import TAG_TIMERS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.exports import job
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.settings import Settings
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import job as tags_job
from tests.tag_histories import Life, Order, definition, local, write_catalogue
from tests.tag_tables import add, order_row, settings_of, write_lives

SINCE = local("2017-02-01T00:00")
MADE = {"measures": {"orders": {"count": "purchases"}}, "levels": None, "value": "orders", "otherwise": "none"}
LIVES = {
    0: Life(SINCE, [Order(local("2017-12-01T10:00"))]),
    1: Life(SINCE, []),
    2: Life(SINCE, [Order(local(f"2017-12-0{day}T10:00")) for day in (2, 3)]),
}


def tags(lake: Lake, settings: Settings, folder: Path) -> None:
    kids = definition("kids", **{"class": "minors"})
    write_catalogue(folder, definition("bought"), definition("made", **MADE), kids)
    given = {"workspace": "grocery", "base": "2018-01-01T00:00", "day": None, "as_of": None, "catalogue": folder}
    tags_job.run(lake.spark, settings, argparse.Namespace(**given))


def export(folder: Path, settings: Settings, lake: Lake, **changed: Any) -> dict[str, Any]:
    """Run one export; its facts."""
    given: dict[str, Any] = {
        "export": "buyers",
        "receiver": "crm",
        "purpose": "a test",
        "workspace": "grocery",
        "format": "csv",
    }
    given |= {"columns": ["made", "bought"], "keep_days": 30, **changed}
    path = folder / "export.yaml"
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    args = argparse.Namespace(files=[folder], check=False)
    assert job.preflight(settings, args) is None
    made: dict[str, Any] = job.run(lake.spark, settings, args)["exports"]  # type: ignore[assignment]
    return dict(made[given["export"]])


def files_of(facts: dict[str, Any]) -> list[Path]:
    return sorted(one for one in Path(facts["folder"]).iterdir() if one.name.startswith("part-"))


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Settings]:
    """A lake with published tags."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("exports") / "lake"))
    key_file = tmp_path_factory.mktemp("keys") / "root_keys.json"
    create_root_key_file(key_file)
    settings = replace(settings_of(lake), root_key_file=key_file)
    write_lives(lake, LIVES)
    tags(lake, settings, tmp_path_factory.mktemp("catalogue"))
    return lake, settings


def test_a_receiver_gets_whole_files_with_a_manifest_and_ids_of_their_own(
    place: tuple[Lake, Settings], tmp_path: Path
) -> None:
    lake, settings = place
    only = [{"tag": "bought", "is": ["true"]}]
    facts = export(tmp_path, settings, lake, only=only, identifiers=["member_no"])
    assert (facts["rows"], facts["changed"]) == (2, True)
    rows = [row for path in files_of(facts) for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    assert sorted((row["made"], row["bought"]) for row in rows) == [("1", "true"), ("2", "true")]
    assert all(row["identifiers"].startswith("member_no:test:") for row in rows)
    assert not {"p0", "p2"} & {row["person"] for row in rows}

    said = json.loads((Path(facts["folder"]) / "manifest.json").read_text(encoding="utf-8"))
    assert said["rows"] == 2
    assert said["snapshot_id"] == "snapshot-1"
    assert set(said["tags"]) == {"bought", "made"}
    on_disk = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(facts)}
    assert {one["name"]: one["sha256"] for one in said["files"]} == on_disk

    again = export(tmp_path, settings, lake, only=only, identifiers=["member_no"])
    assert (again["folder"], again["rows"], again["changed"]) == (facts["folder"], 2, False)
    other = export(tmp_path, settings, lake, only=only, receiver="sms", identifiers=["member_no"])
    theirs = [row for path in files_of(other) for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    for column in ("person", "identifiers"):
        assert not {row[column] for row in rows} & {row[column] for row in theirs}


@pytest.mark.parametrize("form", ["jsonl", "parquet", "orc"])
def test_every_format_holds_the_same_rows(place: tuple[Lake, Settings], tmp_path: Path, form: str) -> None:
    lake, settings = place
    facts = export(tmp_path, settings, lake, export="everybody", format=form, identifiers=["device"])
    read = lake.spark.read.format({"jsonl": "json"}.get(form, form)).option("pathGlobFilter", "part-*")
    rows = read.load(facts["folder"]).select("person", "made", "bought", "identifiers").collect()
    assert len({row["person"] for row in rows}) == facts["rows"] == 3
    assert sorted(row["bought"] for row in rows) == ["false", "true", "true"]
    assert {row["made"] for row in rows if row["bought"] == "false"} == {"0"}
    assert all(len(row["identifiers"]) == 1 for row in rows)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"columns": ["kids"]}, r"sensitive classes: kids \(minors\)"),
        ({"only": [{"tag": "kids", "is": ["true"]}]}, r"sensitive classes: kids \(minors\)"),
        ({"columns": ["age"]}, "no tags age are published; wanted: some of bought, kids, made"),
    ],
)
def test_what_may_not_leave_is_refused(
    place: tuple[Lake, Settings], tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    lake, settings = place
    with pytest.raises(TerminalError, match=said):
        export(tmp_path, settings, lake, export="refused", **changed)
    assert not Path(f"{lake.root}/exports/grocery/refused").exists()


def test_a_class_that_the_purpose_allows_leaves(place: tuple[Lake, Settings], tmp_path: Path) -> None:
    lake, settings = place
    facts = export(tmp_path, settings, lake, export="allowed", columns=["kids"], classes=["minors"])
    assert facts["rows"] == 3
    assert json.loads((Path(facts["folder"]) / "manifest.json").read_text())["classes"] == ["minors"]


@pytest.mark.thorough
def test_a_new_state_has_files_of_its_own_and_old_ones_go_in_time(place: tuple[Lake, Settings], tmp_path: Path) -> None:
    lake, settings = place
    first = export(tmp_path, settings, lake, export="daily")
    add(lake, ORDERS, [order_row(1, 0, Order(local("2017-12-05T10:00"), cents=300))])
    tags(lake, settings, tmp_path / "tags")
    second = export(tmp_path, settings, lake, export="daily")
    assert second["folder"] != first["folder"]
    assert Path(first["folder"]).is_dir()
    note = Path(first["folder"]) / "manifest.json"
    said = json.loads(note.read_text())
    (note.parent / ".manifest.json.crc").unlink(missing_ok=True)
    note.write_text(json.dumps({**said, "expires_at": "2020-01-01T00:00:00+00:00"}))
    third = export(tmp_path, settings, lake, export="daily")
    assert (third["expired"], third["changed"]) == (1, False)
    assert not Path(first["folder"]).exists()
    assert Path(second["folder"]).is_dir()


def test_a_generation_whose_rows_are_gone_is_not_taken_for_nobodys(
    place: tuple[Lake, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, settings = place
    monkeypatch.setattr(job, "PERSON_TAGS", TAG_TIMERS)  # rows of the same columns, and fewer
    with pytest.raises(RetryableError, match="newer states were published meanwhile"):
        export(tmp_path, settings, lake, export="gone")
    assert not Path(f"{lake.root}/exports/grocery/gone").exists()
