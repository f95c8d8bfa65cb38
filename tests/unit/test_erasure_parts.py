"""Parts of erasure without Spark: sealed bytes, bitmaps, retention in words, what a call must say, the scan."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_jobs.erasure import erase_job
from spark_jobs.erasure.canaries import files_with
from spark_jobs.erasure.certificate import interval_of
from spark_jobs.erasure.opening import Wanted, names_one_of
from spark_jobs.errors import TerminalError
from spark_jobs.people.bitmaps import LEFT, bitmap_of, packed, taking_out, unpacked
from spark_jobs.protection.keys import create_root_key_file, load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.settings import Settings, SparkSettings, Workspace
from spark_jobs.upkeep.expire_job import first_kept, problems_of

SETTINGS = Settings(
    "/lake", "", "", "", Path("key"), SparkSettings("", 0, "", ()),
    (Workspace("grocery", ZoneInfo("UTC"), date(2017, 1, 1)), Workspace("toys", ZoneInfo("UTC"), date(2026, 1, 1))),
)  # fmt: skip
TODAY = date(2026, 6, 1)


@pytest.fixture
def tokeniser(tmp_path: Path) -> Tokeniser:
    path = tmp_path / "root.json"
    create_root_key_file(path)
    return Tokeniser(load_root_keys(path))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        pytest.param(b"77,+8613912345678,x", True, id="a field of CSV"),
        pytest.param(b'{"phone": "139 1234 5678"}', False, id="blanks inside a value part it"),
        pytest.param(b'{"phone": "13912345678"}', True, id="as people write it"),
        pytest.param(b"a=1&phone=13912345678", True, id="a parameter"),
        pytest.param(b"call 13912345678 now", True, id="a word of a text"),
        pytest.param(b"no13912345678", True, id="with letters, which no phone has"),
        pytest.param(b"9913912345678", False, id="inside a longer number"),
        pytest.param(b"13912345679", False, id="another's"),
        pytest.param("电话,13912345678".encode(), True, id="beside other scripts"),
        pytest.param("电话,13912345678".encode("gbk"), True, id="in another encoding, where digits are the same"),
        pytest.param(b"\xff\xfe1\x003\x00", False, id="bytes that say nothing"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_a_record_that_names_somebody_in_clear_is_found(tokeniser: Tokeniser, content: bytes, wanted: bool) -> None:
    token = tokeniser.token("phone", "", "13912345678")
    known = Wanted({("phone", ""): {token}, ("login", "shop"): {b"l" * 16}})
    assert names_one_of(content, known, known.digits, tokeniser) is wanted


def test_a_token_is_found_as_messages_spell_it(tokeniser: Tokeniser) -> None:
    known = Wanted({("phone", ""): {b"\xab" * 16}})
    found = [
        text for text in (b"ab" * 16, b"AB" * 16, b"ab" * 15) if names_one_of(text, known, known.digits, tokeniser)
    ]
    assert found == [b"ab" * 16, b"AB" * 16]


def test_bitmaps_lose_some_members_and_others_are_left_alone() -> None:
    import numpy as np

    held = [packed(bitmap_of(np.array(members, dtype=np.uint32))) for members in ([1, 2, 3], [4], [2])]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(["a", "b", "c"]),
            pa.array(held, pa.binary()),
            pa.array([3, 1, 1]),
            pa.array([[2, 9]] * 3, pa.list_(pa.int32())),
        ],
        names=["audience", "members", "persons", "gone"],
    )
    (found,) = taking_out(["audience", "members", "persons"])([batch])
    assert found.schema.names == ["audience", "members", "persons", LEFT]
    assert found.column("audience").to_pylist() == ["a", "c"]
    assert [list(unpacked(one)) for one in found.column("members").to_pylist()] == [[1, 3], []]
    assert (found.column("persons").to_pylist(), found.column(LEFT).to_pylist()) == ([2, 0], [1, 1])


def test_a_scan_sees_packed_values_files_that_no_log_names_and_logs(tmp_path: Path) -> None:
    rows = pa.table({"token": pa.array([b"secret" * 3] * 1000, pa.binary()), "n": range(1000)})
    nested = pa.table({"ids": [[{"token": b"nested" * 3}]]})
    (tmp_path / "deep").mkdir()
    pq.write_table(rows, tmp_path / "deep" / "part-1.parquet", compression="zstd")
    pq.write_table(nested, tmp_path / "part-2.parquet", compression="zstd")
    (tmp_path / "0.json").write_text('{"add": "logged"}')
    needles = [b"secret" * 3, b"nested" * 3, b"logged", b"absent"]
    assert files_with(tmp_path, needles) == {
        b"secret" * 3: ["deep/part-1.parquet"],
        b"nested" * 3: ["part-2.parquet"],
        b"logged": ["0.json"],
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("interval 7 days", timedelta(days=7)),
        ("interval 1 week", timedelta(weeks=1)),
        ("interval 0 hours", timedelta()),
        ("30 DAYS", timedelta(days=30)),
    ],
)
def test_retention_in_the_words_of_a_table(text: str, wanted: timedelta) -> None:
    assert interval_of(text) == wanted


def test_a_retention_that_cannot_be_read_is_no_guess() -> None:
    with pytest.raises(TerminalError, match="found the retention 'interval 1 month'"):
        interval_of("interval 1 month")


def asked(**given: object) -> argparse.Namespace:
    nothing = {"person": None, "run": False, "certificate": None, "author": None, "reason": None, "grace_minutes": 15}
    return argparse.Namespace(**{**nothing, **given})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({"person": "login@shop:annie", "author": "x"}, "wants --reason as well", id="no reason"),
        pytest.param({"person": "login@shop:annie"}, "wants --author and --reason", id="nobody asks"),
        pytest.param({"person": "ann"}, "neither a master id nor TYPE:VALUE", id="names nothing"),
        pytest.param({"run": True, "author": "x"}, "belong to --person", id="an author of nothing"),
        pytest.param({"certificate": "x"}, "wants the id of a request", id="no id"),
        pytest.param({"run": True, "grace_minutes": -1}, "is -1, wanted 0 or more", id="no time"),
    ],
)
def test_what_a_call_must_say(given: dict[str, object], problem: str) -> None:
    with pytest.raises(TerminalError, match=problem) as error:
        erase_job.preflight(SETTINGS, asked(**given))
    assert "login@shop:annie" not in str(error.value)


def test_a_person_is_named_by_exactly_one_verb() -> None:
    parser = argparse.ArgumentParser()
    erase_job.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([])
    with pytest.raises(SystemExit):
        parser.parse_args(["--run", "--person", "x"])
    assert parser.parse_args(["--run"]).run


@pytest.mark.parametrize(
    ("table", "days", "problem"),
    [
        pytest.param("raw.events", 30, "", id="raw messages, which no tag reads"),
        pytest.param("quarantine.rows", 1, "", id="refused records"),
        pytest.param("core.members", 30, "is not partitioned by days", id="no days"),
        pytest.param("core.events", 30, "history_complete_since of grocery, toys", id="would make never untrue"),
        pytest.param("core.orders", 200, "history_complete_since of grocery lies before", id="of one workspace"),
        pytest.param("core.orders", 4000, "", id="older than all history"),
    ],
)
def test_retention_that_would_make_answers_untrue_is_refused(table: str, days: int, problem: str) -> None:
    found = list(problems_of(replace(SETTINGS, retention_days=((table, days),)), today=TODAY))
    assert len(found) == bool(problem)
    assert all(problem in one for one in found)


def test_so_many_whole_days_stay_and_today() -> None:
    assert first_kept(TODAY, 1) == date(2026, 5, 31)
    with pytest.raises(TerminalError, match=r"no contract names core\.nothing"):
        list(problems_of(replace(SETTINGS, retention_days=(("core.nothing", 1),)), today=TODAY))
