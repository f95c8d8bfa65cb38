"""What the export says when it cannot be done, and that nothing is half-written then."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.demo import export_source
from services.demo.export import export
from spark_jobs.errors import TerminalError
from tests.company_package import write_package

SEED = 7


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    write_package(folder)
    return folder


def test_a_missing_source_file_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"transactions\.parquet is missing, wanted a Parquet file with"):
        export(tmp_path / "demo", source=tmp_path)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"no Parquet", "is no readable Parquet file", id="another format"),
        pytest.param(None, "missing columns", id="other columns"),
    ],
)
def test_an_unreadable_source_file_is_named(source: Path, tmp_path: Path, content, message: str) -> None:
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "products.parquet"
    if content is None:
        pq.write_table(pa.table({"product_id": [1]}), broken)
    else:
        broken.write_bytes(content)
    with pytest.raises(TerminalError, match=f"products.parquet.*{message}"):
        export(tmp_path / "demo", source=tmp_path)
    assert not (tmp_path / "demo").exists()


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setattr(export_source, "PACKAGE", "no_such_package_here")
    with pytest.raises(TerminalError, match="is not installed"):
        export_source.package_folder()


@pytest.mark.parametrize("sample", [0.0, -0.1, 1.5])
def test_a_sample_out_of_range_is_refused(tmp_path: Path, sample: float) -> None:
    with pytest.raises(TerminalError, match="wanted more than 0 and at most 1"):
        export(tmp_path / "demo", sample=sample)


def test_a_generator_that_fails_is_named_and_the_earlier_export_stays(source, tmp_path, monkeypatch) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "expected.json").write_text("{}")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TerminalError, match="the generator of members ended with 1"):
        export(tmp_path, seed=SEED, source=source)
    assert [path.name for path in tmp_path.iterdir()] == ["truth"]
