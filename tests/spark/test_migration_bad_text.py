"""Bad text through a copy: quarantine or a clear error, every record in its place, nothing clear written."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from migration.chunks import ChunkState
from migration.copying import copy_all
from migration.pace import Pace
from migration.sources.json_texts import MAX_DEPTH
from migration.sources.lines import MAX_LINE_BYTES
from migration.verifying import verify_table
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import unseal
from spark_jobs.storage import delta
from tests.clear_text import clear_values_in
from tests.migration_files import HEADER, line, planned
from tests.migration_text import (
    NO_OBJECT,
    TOO_LONG,
    flipped,
    json_system,
    order,
    place_of,
    quarantine,
    text_system,
    zstd,
)

pytestmark = pytest.mark.thorough

FUTURE = "transaction_timestamp: in the future: over a day after its source's time"
BAD_CSV: dict[str, tuple[list[str | bytes], dict[int, str]]] = {
    "quotes [1]*": ([line(1), line(2, store_id='"330'), line(3), line(1)], {3: "open quote"}),
    "n?l{a,b}": ([line(1), line(2, store_id="3\x0030")], {3: "NUL byte"}),
    "gbk": ([line(1), line(2, store_id="商店").encode("gbk")], {3: "not valid UTF-8"}),
    "long-1": ([line(1), line(2, store_id="x" * 30 * 1024 * 1024), line(3)], {3: TOO_LONG}),
    "long-2": ([line(1, store_id="x" * 30 * 1024 * 1024), line(2)], {2: TOO_LONG}),
    "columns": ([line(1) + ",x", line(2).rsplit(",", 1)[0], line(3)], {2: "wanted 11 columns", 3: "wanted 11 columns"}),
    "retyped": ([line(1, quantity="many"), line(2, quantity="1.0")], dict.fromkeys((2, 3), "quantity: not a bigint")),
    "utf8": ([line(1), line(2).replace(",330,", ",\xff,").encode("latin-1")], {3: "not valid UTF-8"}),
    "times": (
        [
            line(1, transaction_timestamp=f"{day} 12:00:00")
            for day in ("1017-02-03", "2093-02-03", "2019-02-03", "0000-00-00")
        ],
        {
            2: "transaction_timestamp: before 2000-01-01T00:00:00",
            3: FUTURE,
            5: "transaction_timestamp: not a timestamp",
        },
    ),
    "cut": ([line(1), line(2)[:20]], {3: "wanted 11 columns"}),
}


def test_bad_csv_is_quarantined_and_every_record_has_its_place(tmp_path, lake, key_file) -> None:
    old = text_system(tmp_path / "old")
    for name, (lines, _) in BAD_CSV.items():
        old.put(name, lines)
    marked = old.put("mark", [line(1), line(2)])
    marked.write_bytes(b"\xef\xbb\xbf" + marked.read_bytes())
    old.put("reordered", [",".join(reversed(line(1).split(",")))], header=tuple(reversed(HEADER)))
    with planned(old, lake, key_file) as work:
        copy_all(work, pace=Pace(parallel=2))  # both long lines are held at the same time
        found = quarantine(work)
        for name, (lines, reasons) in BAD_CSV.items():
            file = f"transactions-{name}.csv"
            assert {row.position: row.reason for row in found.get(file, [])} == reasons
            assert place_of(work, file) == (len(lines), len(lines) - len(reasons), len(reasons), 0)
        assert place_of(work, "transactions-mark.csv") == (2, 2, 0, 0)
        assert place_of(work, "transactions-reordered.csv") == (1, 1, 0, 0)
        assert {row.bytes for name in ("long-1", "long-2") for row in found[f"transactions-{name}.csv"]} == {
            MAX_LINE_BYTES + 28  # nonce and tag
        }


BAD_JSON: dict[str, tuple[list[str | bytes], list[str | None]]] = {
    "good": ([order(1), order(2), order(1)], [None, None, None]),
    "deep": (
        [order(1, product_id=["x"]), order(2)[:-1] + ',"week":' + "[" * 200 + "]" * 200 + "}"],
        [None, f"nested deeper than {MAX_DEPTH} levels"],
    ),
    "missing": ([order(1, quantity=...), order(2, buyer=...)], ["quantity: missing", "buyer.number: missing"]),
    "null": ([order(1, quantity=None), order(2, buyer=None)], ["quantity: missing", "buyer.number: missing"]),
    "new": (
        [order(1, colour="red"), order(2, buyer={"number": "H1", "mail": "x"})],
        ["key 'colour' is not mapped", "key 'buyer.mail' is not mapped"],
    ),
    "retyped": (
        [order(1, buyer="H1"), order(2, quantity={"pieces": 1}), order(3, sales_value="1.50"), order(4, quantity=1.5)],
        ["buyer: not an object", "quantity: not a bigint", None, "quantity: not a bigint"],
    ),
    "rounded": ([order(1, sales_value=0.125), order(2, sales_value=0.12)], ["sales_value: more than 2 decimals", None]),
    "cut": ([order(1), order(2)[:50]], [None, NO_OBJECT]),
    "joined": ([order(1) + order(2), order(3)], [NO_OBJECT, None]),
    "utf8": ([order(1), order(2, store_id="é").encode("latin-1")], [None, "not valid UTF-8"]),
    "long": ([order(1, store_id="x" * 2 * 1024 * 1024), order(2)], [TOO_LONG, None]),
    "times": (
        [order(1, transaction_timestamp="1017-02-03 12:00:00"), order(2, transaction_timestamp="9999-12-31 23:59:59")],
        ["transaction_timestamp: before 2000-01-01T00:00:00", FUTURE],
    ),
}


def test_bad_json_is_quarantined_and_every_record_has_its_place(tmp_path, lake, key_file) -> None:
    old = json_system(tmp_path / "old")
    for name, (lines, _) in BAD_JSON.items():
        content = b"\n".join(text if isinstance(text, bytes) else text.encode() for text in lines)
        (old.export / "transactions" / f"{name}.jsonl").write_bytes(content)
    with planned(old, lake, key_file) as work:
        copy_all(work)
        found = quarantine(work)
        for name, (lines, reasons) in BAD_JSON.items():
            wanted = {number: reason for number, reason in enumerate(reasons, 1) if reason}
            assert {row.position: row.reason for row in found.get(f"{name}.jsonl", [])} == wanted
            assert place_of(work, f"{name}.jsonl") == (len(lines), len(lines) - len(wanted), len(wanted), 0)


def test_no_clear_identifier_of_json_is_in_any_written_byte(tmp_path, lake, key_file, spark_settings) -> None:
    canaries = [str(13_900_000_000 + number * 7_919) for number in range(40)]
    old = json_system(tmp_path / "old")
    good = [order(number, buyer={"number": canary}) for number, canary in enumerate(canaries)]
    refused = [
        order(90, buyer={"number": canaries[0]}, quantity="x"),
        order(91, buyer={"number": canaries[1]})[:-1],
        order(92, **{canaries[2]: 1}),
        order(93, buyer={canaries[3]: 1}),
        order(94, buyer=canaries[4]),
    ]
    (old.export / "transactions" / "a.jsonl").write_text("\n".join([*good, *good[:5], *refused]))
    with planned(old, lake, key_file) as work:
        copy_all(work)
        assert place_of(work, "a.jsonl") == (50, 45, 5, 0)
        raw = old.export.joinpath("transactions", "a.jsonl").read_bytes().splitlines()
        rows = delta.read(lake, QUARANTINE_ROWS).collect()
        keys = load_root_keys(key_file)
        assert {unseal(row.sealed, keys, kid=row.kid) for row in rows} == set(raw[45:])
    clear = {canary.encode() for canary in canaries}
    assert clear_values_in(old.export, clear)  # the scan finds what is there to be found
    for folder in (Path(lake.root), Path(spark_settings.local_dir)):
        assert clear_values_in(folder, clear) == []


def test_compressed_files_give_the_rows_of_plain_ones(tmp_path, lake, key_file) -> None:
    old = text_system(tmp_path / "old")
    lines = [*(line(number) for number in range(3000)), line(7), line(4000, quantity="x")]
    plain = old.put("plain", lines).read_bytes()
    folder = old.export / "transactions"
    middle = len(plain) // 2  # of a line, most likely: members and frames end anywhere
    (folder / "g.csv.gz").write_bytes(gzip.compress(plain[:middle]) + gzip.compress(plain[middle:]))
    (folder / "z.csv.zst").write_bytes(zstd(plain[:middle]) + zstd(plain[middle:]))
    with planned(old, lake, key_file) as work:
        copy_all(work)
        rows = delta.read(lake, ORDER_LINES)
        for name in ("transactions-plain.csv", "g.csv.gz", "z.csv.zst"):
            assert place_of(work, name) == (3002, 3001, 1, 0)
            assert [row.position for row in quarantine(work)[name]] == [3003]
        assert rows.count() == 9003
        assert rows.drop("origin").distinct().count() == 3001  # positions included


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_compressed_file_that_was_damaged_after_planning_is_not_copied(tmp_path, lake, key_file, pack) -> None:
    name = "a.csv.zst" if pack is zstd else "a.csv.gz"
    old = text_system(tmp_path / "old")
    plain = old.put("plain", [line(number) for number in range(3000)])
    path = plain.with_name(name)
    path.write_bytes(pack(plain.read_bytes()))
    plain.unlink()
    with planned(old, lake, key_file) as work:
        content = path.read_bytes()
        put_in_place(path, content[: len(content) // 2] + b"\0" * (len(content) - len(content) // 2))
        with pytest.raises(TerminalError, match=rf"{name} cannot be read: .*it is damaged.*put the planned file"):
            copy_all(work)
        assert [chunk.state for chunk in work.ledger.chunks(work.plan.plan_id)] == [ChunkState.FAILED]
        assert delta.read(lake, ORDER_LINES).count() == 0
        assert delta.read(lake, QUARANTINE_ROWS).count() == 0


def put_in_place(path: Path, content: bytes) -> None:
    """Other bytes; size and time stay."""
    time_ns = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(time_ns, time_ns))


def test_a_flipped_bit_that_still_gives_lines_turns_verification_red(tmp_path, lake, key_file) -> None:
    old = text_system(tmp_path / "old")
    path = old.put("a", [line(number) for number in range(3000)]).rename(old.export / "transactions" / "a.csv.zst")
    path.write_bytes(zstd(path.read_bytes()))
    with planned(old, lake, key_file) as work:
        put_in_place(path, flipped(path.read_bytes()))
        copy_all(work)  # Spark sees nothing in it
        with pytest.raises(TerminalError, match=r"a\.csv\.zst has SHA-256 .*, planned .*: its content changed"):
            verify_table(work, work.mappings[0])
        assert [chunk.state for chunk in work.ledger.chunks(work.plan.plan_id)] == [ChunkState.FAILED]
