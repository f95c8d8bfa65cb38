"""The scan for clear phones finds them wherever a file may hide one."""

from __future__ import annotations

import gzip
import json
import os
import struct
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.company import people, register
from tests.clear_text import clear_values_in, phones_of

PHONE = b"16012345678"
WIDE = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}


def plain(path: Path) -> None:
    path.write_bytes(b"x" * 100 + b"+86" + PHONE + b"y")


def on_the_border_of_two_blocks(path: Path) -> None:
    path.write_bytes(b"x" * ((1 << 22) - 5) + PHONE)


def behind_other_digits(path: Path) -> None:
    path.write_bytes(b"9999" + PHONE)


def packed(path: Path) -> None:
    path.with_suffix(".gz").write_bytes(gzip.compress(PHONE))


def as_people_write_it(path: Path) -> None:
    path.write_text("x 160-1234-5678 y")


def with_country_and_blanks(path: Path) -> None:
    path.write_text("x +86 160 1234 5678 y")


def full_width(path: Path) -> None:
    path.write_text("x" + PHONE.decode().translate(WIDE), encoding="utf-8")


def full_width_on_the_border_of_two_blocks(path: Path) -> None:
    path.write_bytes(b"x" * ((1 << 22) - 5) + PHONE.decode().translate(WIDE).encode())


def full_width_in_json(path: Path) -> None:
    path.write_text(json.dumps({"tel": PHONE.decode().translate(WIDE)}), encoding="ascii")


def behind_another_that_begins_alike(path: Path) -> None:
    path.write_bytes(b"160 1601234567816012345679")


def lz4_block(text: bytes, *, packed: bool = True) -> bytes:
    data = pa.compress(text, codec="lz4_raw", asbytes=True) if packed else text
    return struct.pack("<8sBiiI", b"LZ4Block", 0x25 if packed else 0x15, len(data), len(text), 0) + data


def in_a_block_of_spark(path: Path) -> None:
    text = b"abcabcabc" * 100 + b"160 1234 5678" + b"abcabcabc" * 100
    path.write_bytes(b"header" + lz4_block(b"first" * 50) + lz4_block(text) + lz4_block(b"last" * 50))


def over_two_blocks_of_spark(path: Path) -> None:
    path.write_bytes(lz4_block(b"a" * 900 + PHONE[:6]) + lz4_block(PHONE[6:] + b"b" * 900, packed=False))


def behind_a_block_that_is_none(path: Path) -> None:
    path.write_bytes(b"LZ4Block%" + b"\x7f" * 40 + lz4_block(b"ab" * 500 + PHONE + b"ab" * 500))


def in_parquet(path: Path) -> None:
    table = pa.table({"n": [1], "deep": [[{"v": "tel " + PHONE.decode()}]]})
    pq.write_table(table, path.with_suffix(".parquet"), compression="zstd")


HIDDEN = (
    *(plain, on_the_border_of_two_blocks, behind_other_digits, behind_another_that_begins_alike, packed, in_parquet),
    *(as_people_write_it, with_country_and_blanks, full_width, full_width_in_json),
    *(full_width_on_the_border_of_two_blocks, in_a_block_of_spark, over_two_blocks_of_spark),
    behind_a_block_that_is_none,
)


@pytest.mark.parametrize("hide", HIDDEN)
def test_a_planted_phone_is_found(tmp_path: Path, hide) -> None:
    hide(tmp_path / "file")
    assert len(clear_values_in(tmp_path, {PHONE})) == 1


def test_other_numbers_are_no_phones(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"31198570044,16012345679,160-1234-567,8 160,1234,5678" + lz4_block(b"16012345679"))
    assert clear_values_in(tmp_path, {PHONE}) == []


def test_every_spelling_of_the_generator_is_found(tmp_path: Path) -> None:
    person = replace(people.member(7, 1, "household", first_purchase_at=None), phones=("+8616012345678",))
    ways = {register._as_written(seed, person) for seed in range(200)}
    assert len(ways) == 6
    for number, way in enumerate(sorted(ways)):
        (tmp_path / str(number)).write_text(f"x{way}y", encoding="utf-8")
    assert len(clear_values_in(tmp_path, {PHONE})) == 6


def test_much_is_read_quickly(tmp_path: Path) -> None:
    line = b'{"event_id":"160-%d","occurred_at":"2017-10-30T16:03:30.123Z","n":"0.1609954","t":1509375810123}\n'
    (tmp_path / "text").write_bytes(line * 500_000)
    (tmp_path / "bytes").write_bytes(os.urandom(50_000_000))
    began = time.monotonic()
    assert clear_values_in(tmp_path, {b"%d" % (16_000_000_000 + n * 31_013) for n in range(2_500)}) == []
    assert time.monotonic() - began < 20, "a scan of 100 MB takes about a second"


def test_phones_are_read_in_every_spelling(tmp_path: Path) -> None:
    members = tmp_path / "members.csv"
    members.write_text("member_no,phone\n1,+86 160-1234-5678\n2,13800138000\n3,\n", encoding="utf-8")
    assert phones_of(members) == {PHONE}
