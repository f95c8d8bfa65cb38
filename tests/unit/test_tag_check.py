"""`tags check`: answers without Spark, as text for people and JSON for programs."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings, SparkSettings, Workspace
from spark_jobs.tagging import check
from tests.tag_histories import HEAD, definition, write_catalogue

SHARER = definition("sharer", measures={"n": {"count": "shares"}}, levels=[{"value": "x", "when": {"n": {"above": 1}}}])
USER = definition("user", measures={"s": {"tag": "sharer"}}, levels=[{"value": "y", "when": {"s": {"equals": "x"}}}])


def settings() -> Settings:
    workspaces = tuple(Workspace(name, ZoneInfo("America/New_York"), date(2017, 1, 1)) for name in ("grocery", "toys"))
    return Settings("root", "", "", "", Path("key"), SparkSettings("", 0, "", ()), workspaces)


def checked(folder: Path | None, workspace: str = "grocery") -> dict[str, Any]:
    found = check.preflight(settings(), argparse.Namespace(workspace=workspace, catalogue=folder, in_force=False))
    assert found is not None, "it answers without Spark"
    return found


def test_a_check_says_what_each_tag_is_made_of(tmp_path: Path) -> None:
    write_catalogue(tmp_path, SHARER, USER, head={**HEAD, "history": {"shares": "none"}})
    found = checked(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert found["not_recorded"] == ["shares"]
    sharer, user = found["tags"]
    assert {key: user[key] for key in ("tag", "kinds", "sources", "uses", "answers")} == {
        "tag": "user",
        "kinds": ["tagvalue"],
        "sources": ["members", "shares"],
        "uses": ["sharer"],
        "answers": ["y", "false"],
    }
    assert sharer["rule"] != user["rule"]
    assert (found["live"], sorted(found["not_live"])) == ([], ["sharer", "user"])
    assert "sharer: shares: not recorded here, so what depends on it is unknown" in str(found["notes"])


def test_the_shipped_catalogues_pass_their_own_check() -> None:
    assert len(checked(None)["tags"]) == 26


def test_a_catalogue_of_another_workspace_is_refused(tmp_path: Path) -> None:
    write_catalogue(tmp_path, definition("a"))
    with pytest.raises(TerminalError, match="is of workspace 'grocery', wanted 'toys'"):
        checked(tmp_path, "toys")


def test_a_check_needs_no_spark() -> None:
    program = "import sys, spark_jobs.tagging.check; print('pyspark' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
