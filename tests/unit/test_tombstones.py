"""Tombstones: they hold for a span of time, are found by the key alone, and say nothing of a token."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import create_root_key_file, load_root_keys
from spark_jobs.protection.tombstones import ALWAYS_US, Span, Stones, covers, mark_batches, tombstone, tombstone_batches

ANN, BOB, TILL = b"a" * 16, b"b" * 16, b"t" * 16
NOW_US = 1_700_000_000_000_000
FOR_GOOD: Span = (ALWAYS_US, NOW_US)
A_WHILE: Span = (NOW_US - 20, NOW_US - 10)
STRUCT = pa.struct([("type", pa.string()), ("scope", pa.string()), ("token", pa.binary()), ("kid", pa.string())])


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "root.json"
    create_root_key_file(path)
    return path


def stones(key_file: Path, **spans: Span) -> Stones:
    keys, tokens = load_root_keys(key_file), {"ann": ANN, "bob": BOB, "till": TILL}
    return Stones({"k1": {tombstone(tokens[name], keys, "k1"): (span,) for name, span in spans.items()}})


def rows(*given: tuple[bytes | None, list[bytes] | None, int | None]) -> pa.RecordBatch:
    """subject, listed tokens, moment."""
    listed = [None if many is None else [("t", "", one, None) for one in many] for _, many, _ in given]
    dicts = [None if many is None else [dict(zip(STRUCT.names, one, strict=True)) for one in many] for many in listed]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([subject for subject, _, _ in given], pa.binary()),
            pa.array(dicts, pa.list_(STRUCT)),
            pa.array([at for _, _, at in given], pa.int64()),
        ],
        names=["subject_token", "identifiers", "_at_us"],
    )


def erased(batch: pa.RecordBatch, known: Stones, key_file: Path) -> list[list[bytes]]:
    (marked,) = mark_batches([batch], known, ["subject_token", "identifiers"], key_file=key_file)
    assert marked.schema.names == ["subject_token", "identifiers", "erased"]
    found: list[list[bytes]] = marked.column("erased").to_pylist()
    return found


@pytest.mark.parametrize(
    ("span", "at_us", "is_subject", "wanted"),
    [
        pytest.param(FOR_GOOD, 0, True, True, id="all that was before"),
        pytest.param(FOR_GOOD, NOW_US - 1, False, True, id="where it is only listed, too"),
        pytest.param(FOR_GOOD, NOW_US, True, False, id="who comes back is a new person"),
        pytest.param(FOR_GOOD, None, True, True, id="a row without a time is kept out"),
        pytest.param(A_WHILE, NOW_US - 20, True, True, id="the first moment of a span"),
        pytest.param(A_WHILE, NOW_US - 10, True, False, id="the moment behind a span"),
        pytest.param(A_WHILE, NOW_US - 21, True, False, id="before a span it was another's"),
        pytest.param(A_WHILE, NOW_US - 15, False, False, id="of a shared device others are not stripped"),
        pytest.param(A_WHILE, None, True, False, id="without a time nobody knows whose it was"),
    ],
)
def test_when_a_tombstone_holds(span: Span, at_us: int | None, is_subject: bool, wanted: bool) -> None:
    assert covers([span], at_us, is_subject=is_subject) is wanted


def test_tokens_that_are_covered_are_named_and_no_others(key_file: Path) -> None:
    known = stones(key_file, ann=FOR_GOOD, till=A_WHILE)
    batch = rows(
        (ANN, [ANN, BOB], 5),
        (BOB, [BOB, ANN], 5),
        (BOB, None, 5),
        (None, None, 5),
        (TILL, [TILL], NOW_US - 15),
        (BOB, [BOB, TILL], NOW_US - 15),
        (ANN, [ANN], NOW_US + 5),
    )
    assert erased(batch, known, key_file) == [[ANN], [ANN], [], [], [TILL], [], []]


def test_a_part_of_a_batch_is_marked_as_it_is(key_file: Path) -> None:
    batch = rows((BOB, [BOB], 5), (BOB, [BOB, BOB], 5), (BOB, [BOB, ANN], 5), (ANN, [], 5))
    assert erased(batch.slice(2), stones(key_file, ann=FOR_GOOD), key_file) == [[ANN], [ANN]]


def test_rows_without_a_list_are_marked_by_their_subject(key_file: Path) -> None:
    batch = rows((ANN, None, 5), (BOB, None, 5)).drop_columns(["identifiers"])
    (marked,) = mark_batches([batch], stones(key_file, ann=FOR_GOOD), ["subject_token"], key_file=key_file)
    assert marked.column("erased").to_pylist() == [[ANN], []]


def test_a_key_that_is_missing_stops_everything(key_file: Path) -> None:
    known = Stones({"k0": {b"x" * 16: (FOR_GOOD,)}})
    with pytest.raises(TerminalError, match="has no key k0, by which tombstones"):
        list(mark_batches([rows((BOB, None, 5))], known, ["subject_token"], key_file=key_file))


def test_a_tombstone_is_neither_the_token_nor_the_same_under_another_key(tmp_path: Path, key_file: Path) -> None:
    other = tmp_path / "other.json"
    create_root_key_file(other)
    mine = tombstone(ANN, load_root_keys(key_file), "k1")
    assert len(mine) == 16
    assert mine not in (
        ANN,
        tombstone(ANN, load_root_keys(other), "k1"),
        tombstone(BOB, load_root_keys(key_file), "k1"),
    )


def test_a_tombstone_outlives_the_rotation_of_the_root_key(key_file: Path) -> None:
    before = stones(key_file, ann=FOR_GOOD)
    content = json.loads(key_file.read_text())
    rotated = key_file.with_name("rotated.json")
    keys = {**content["keys"], "k2": "A" * 43 + "="}
    rotated.touch(mode=0o600)
    rotated.write_text(json.dumps({**content, "active": "k2", "keys": keys}))
    assert erased(rows((ANN, None, 5)), before, rotated) == [[ANN]]


def test_identifiers_get_one_tombstone_for_each_key(key_file: Path) -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([7, 8]), pa.array([ANN, BOB], pa.binary())], ["identifier_no", "token"]
    )
    (found,) = tombstone_batches([batch], ["k1"], key_file=key_file)
    keys = load_root_keys(key_file)
    assert found.column("tombstone").to_pylist() == [tombstone(one, keys, "k1") for one in (ANN, BOB)]
    assert found.column("identifier_no").to_pylist() == [7, 8]


def test_where_nobody_was_erased_nothing_is_asked() -> None:
    assert not Stones()
    assert Stones({"k1": {b"x" * 16: (FOR_GOOD,)}})
