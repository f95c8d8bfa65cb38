"""The scan for clear phones finds them wherever a file may hide one."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.clear_text import clear_values_in, phones_of

PHONE = b"16012345678"


def plain(path: Path) -> None:
    path.write_bytes(b"x" * 100 + b"+86" + PHONE + b"y")


def on_the_border_of_two_blocks(path: Path) -> None:
    path.write_bytes(b"x" * ((1 << 22) - 5) + PHONE)


def behind_other_digits(path: Path) -> None:
    path.write_bytes(b"9999" + PHONE)


def packed(path: Path) -> None:
    path.with_suffix(".gz").write_bytes(gzip.compress(PHONE))


def in_parquet(path: Path) -> None:
    table = pa.table({"n": [1], "deep": [[{"v": "tel " + PHONE.decode()}]]})
    pq.write_table(table, path.with_suffix(".parquet"), compression="zstd")


@pytest.mark.parametrize("hide", [plain, on_the_border_of_two_blocks, behind_other_digits, packed, in_parquet])
def test_a_planted_phone_is_found(tmp_path: Path, hide) -> None:
    hide(tmp_path / "file")
    assert len(clear_values_in(tmp_path, {PHONE})) == 1


def test_other_numbers_are_no_phones(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"31198570044,16012345679")
    assert clear_values_in(tmp_path, {PHONE}) == []


def test_phones_are_read_in_every_spelling(tmp_path: Path) -> None:
    members = tmp_path / "members.csv"
    members.write_text("member_no,phone\n1,+86 160-1234-5678\n2,13800138000\n3,\n", encoding="utf-8")
    assert phones_of(members) == {PHONE}
