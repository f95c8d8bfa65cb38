"""Definitions of exports: what is refused, what names them; ids that belong to one receiver."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from spark_jobs.errors import TerminalError
from spark_jobs.exports.definition import Condition, Export, read_export
from spark_jobs.exports.job import definitions_in
from spark_jobs.exports.manifest import Basis, Counts, File, folder_of, is_expired, manifest
from spark_jobs.exports.pseudonyms import replaced

GIVEN: dict[str, Any] = {
    "export": "win_back",
    "receiver": "crm",
    "purpose": "Win back who stopped buying",
    "workspace": "grocery",
    "columns": ["dormant", "rfm"],
    "only": [{"tag": "dormant", "is": ["true"]}, {"tag": "rfm", "is_not": ["low", "unknown"]}],
    "identifiers": ["phone"],
    "classes": ["minors"],
    "format": "csv",
    "keep_days": 30,
}
BASIS = Basis("0001-run", datetime(2026, 11, 28, tzinfo=UTC), "s1", {"rfm": {"rule": "r", "version": "v"}}, rows=9)


def written(folder: Path, **changed: Any) -> Path:
    path = folder / "export.yaml"
    given = {key: value for key, value in {**GIVEN, **changed}.items() if value is not None}
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    return path


def test_a_definition_is_read_whole(tmp_path: Path) -> None:
    export = read_export(written(tmp_path))
    conditions = (Condition("dormant", ("true",), is_not=False), Condition("rfm", ("low", "unknown"), is_not=True))
    assert export == Export(
        *("win_back", "crm", "Win back who stopped buying", "grocery", ("dormant", "rfm"), conditions),
        *(("phone",), ("minors",), "csv", 30),
    )
    assert export.tags == ("dormant", "rfm")
    assert read_export(written(tmp_path, only=None, identifiers=None, classes=None)).only == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"receiver": None}, "missing key 'receiver'"),
        ({"to": "crm"}, "unknown key 'to'"),
        ({"receiver": "../crm"}, "wanted at most 64 letters"),
        ({"columns": []}, "wanted one tag at least"),
        ({"columns": ["rfm", "rfm"]}, "columns: something stands twice"),
        ({"columns": "rfm"}, "columns: found 'rfm', wanted a list"),
        ({"identifiers": ["iban"]}, "unknown identifiers 'iban'"),
        ({"classes": ["secret"]}, "unknown classes 'secret'"),
        ({"format": "xlsx"}, "unknown format 'xlsx'"),
        ({"keep_days": 0}, "keep_days: found 0 (int), wanted days from 1"),
        ({"keep_days": True}, "keep_days: found True (bool)"),
        ({"only": [{"tag": "rfm"}]}, "only.0: wanted one of `is` and `is_not`"),
        ({"only": [{"tag": "rfm", "is": [True]}]}, "only.0.is.0: found True (bool), wanted text (quote it)"),
        ({"only": [{"tag": "rfm", "is": []}]}, "only.0.is: wanted one value at least"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TerminalError) as raised:
        read_export(written(tmp_path, **changed))
    assert said in str(raised.value)
    assert "nothing was exported" in str(raised.value)


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="3 problems"):
        read_export(written(tmp_path, receiver=None, format="xlsx", keep_days=0))


def test_a_folder_is_of_one_definition_and_one_state(tmp_path: Path) -> None:
    export = read_export(written(tmp_path))
    other = replace(export, purpose="Something else")
    assert folder_of(export, BASIS).startswith("20261128T000000Z-0001-run-")
    assert folder_of(export, BASIS) != folder_of(other, BASIS)
    assert folder_of(export, BASIS) != folder_of(export, replace(BASIS, generation="0002-run"))


def test_a_manifest_says_until_when(tmp_path: Path) -> None:
    export = read_export(written(tmp_path))
    made = datetime(2026, 11, 28, 12, tzinfo=UTC)
    text = json.dumps(
        manifest(export, BASIS, [File("b", 2, "y"), File("a", 1, "x")], counts=Counts(7, refused=2), made_at=made)
    )
    said = json.loads(text)
    assert [one["name"] for one in said["files"]] == ["a", "b"]
    assert (said["rows"], said["receiver"], said["snapshot_id"]) == (7, "crm", "s1")
    assert not is_expired(text, made + timedelta(days=30, seconds=-1))
    assert is_expired(text, made + timedelta(days=30))


def test_ids_are_the_receivers_own_and_always_the_same(key_file: Path) -> None:
    batch = pa.record_batch([pa.array(["a", "b", "a"]), pa.array([1, 2, 3])], names=["person_id", "n"])

    def ids(receiver: str) -> list[str]:
        (out,) = replaced([batch], "person_id", receiver=receiver, key_file=key_file)
        assert out.schema.names == ["n", "person_id"]
        assert out.column("n").to_pylist() == [1, 2, 3]
        found: list[str] = out.column("person_id").to_pylist()
        return found

    mine, theirs = ids("crm"), ids("sms")
    assert mine == ids("crm")
    assert mine[0] == mine[2] != mine[1]
    assert not set(mine) & set(theirs)
    assert all(len(one) == 32 for one in mine)


def test_a_folder_stands_for_its_definitions(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"found no \*\.yaml"):
        definitions_in([tmp_path])
    path = written(tmp_path)
    assert definitions_in([tmp_path]) == definitions_in([path]) == [path]
    with pytest.raises(TerminalError, match="found no files"):
        definitions_in([tmp_path / "nothing.yaml"])
