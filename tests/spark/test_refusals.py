"""Who refuses profiling, by a tag or by a note, is in no export."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from spark_jobs.errors import TerminalError
from spark_jobs.exports import job as exports_job
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.settings import ProfileSettings, Settings
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import job as tags_job
from tests.refusal_notes import write_notes
from tests.tag_histories import Life, Order, definition, local, write_catalogue
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


def run_tags(lake: Lake, settings: Settings, folder: Path) -> dict[str, Any]:
    given = {"workspace": "grocery", "base": "2018-01-01T00:00", "day": None, "as_of": None, "catalogue": folder}
    return dict(tags_job.run(lake.spark, settings, argparse.Namespace(**given)))


def export(lake: Lake, settings: Settings, folder: Path) -> dict[str, Any]:
    given = {"export": "all", "receiver": "crm", "purpose": "a test", "workspace": "grocery", "format": "csv"}
    given |= {"columns": ["bought"], "keep_days": 30}  # type: ignore[dict-item]
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
