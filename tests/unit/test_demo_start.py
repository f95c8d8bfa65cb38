"""What a run of the demo looks at before it removes or makes anything."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.console import Console

from services.demo import export_source, run
from services.demo.options import MARKER, Options, begin_anew
from spark_jobs.errors import TerminalError
from tests.company_package import write_package


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(tmp_path / "home", 1.0, 7, plants_missing_row=False)


def former_run(options: Options) -> Path:
    options.data.mkdir(parents=True)
    (options.data / MARKER).touch()
    table = options.data / "lake.parquet"
    table.write_text("a former run")
    return table


def no_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder.mkdir()
    write_package(folder)
    (folder / "demographics.parquet").unlink()
    monkeypatch.setattr(export_source, "package_folder", lambda: folder)
    return r"demographics\.parquet is missing, wanted a Parquet file with"


def no_column(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    no_source(folder, monkeypatch)
    shutil.copy(folder / "campaigns.parquet", folder / "demographics.parquet")
    return r"demographics\.parquet: missing columns \['age', "


def no_room(_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("shutil.disk_usage", Mock(return_value=Mock(free=0)))
    return r"no room for the demo in .*home: found 0\.0 GB free, wanted 2\.6 GB"


@pytest.mark.parametrize("lack", [no_source, no_column, no_room])
def test_what_cannot_be_done_destroys_nothing(options: Options, tmp_path: Path, lack, monkeypatch) -> None:
    table, message = former_run(options), lack(tmp_path / "package", monkeypatch)
    with pytest.raises(TerminalError, match=message):
        run.run(options, Console(file=io.StringIO()))
    assert table.read_text() == "a former run"
    assert [path.name for path in options.home.iterdir()] == ["data"]


@pytest.mark.parametrize("lack", [no_source, no_column, no_room])
def test_what_cannot_be_done_makes_nothing(options: Options, tmp_path: Path, lack, monkeypatch) -> None:
    message = lack(tmp_path / "package", monkeypatch)
    with pytest.raises(TerminalError, match=message):
        run.run(options, Console(file=io.StringIO()))
    assert not options.home.exists()


def test_a_run_begins_with_an_empty_folder_that_nobody_else_reads(options: Options) -> None:
    begin_anew(options)
    (options.data / "lake").mkdir()
    options.data.chmod(0o755)
    begin_anew(options)
    assert [path.name for path in options.data.iterdir()] == [MARKER]
    assert options.data.stat().st_mode & 0o777 == 0o700


def test_tables_that_no_demo_made_stay(options: Options) -> None:
    former_run(options)
    (options.data / MARKER).unlink()
    with pytest.raises(TerminalError, match="holds tables that no demo made"):
        begin_anew(options)
    assert (options.data / "lake.parquet").exists()
