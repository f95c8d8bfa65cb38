"""Hashes that stand more than once are found whatever pile, task or batch they came in."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest

from spark_jobs.storage import repeats
from spark_jobs.storage.fingerprints import PARTS, Fingerprint, added, of_row, parts_of
from spark_jobs.storage.repeats import BUCKETS, PIECES, Hashes, Piles, repeated_of

LOWEST, HIGHEST = -(2**63), 2**63 - 1


def pieces_of(tasks: Sequence[Sequence[Hashes]]) -> Iterator[pa.RecordBatch]:
    """What tasks send of their batches, as whoever gets it would see it: by bucket, a few rows at a time."""
    sent: list[pa.RecordBatch] = []
    for batches in tasks:
        piles = Piles()
        for batch in batches:
            sent += piles.add(batch)
        sent += piles.rest()
    return iter(pa.Table.from_batches(sent, schema=PIECES).sort_by("bucket").to_batches(max_chunksize=3))


def found_in(tasks: Sequence[Sequence[Hashes]]) -> list[int]:
    return [int(one) for _, found in repeated_of(pieces_of(tasks)) for one in found]


@pytest.mark.parametrize("pile", [1, 7, repeats.PILE])
def test_it_is_what_counting_finds(monkeypatch, pile) -> None:
    monkeypatch.setattr(repeats, "PILE", pile)
    random = np.random.default_rng(pile)
    values = random.integers(LOWEST, HIGHEST, 40, dtype=np.int64, endpoint=True)
    tasks = [[random.choice(values, 5) for _ in range(3)] for _ in range(4)]
    tasks[0].append(np.array([LOWEST, HIGHEST, -1, 0]))
    tasks[3].append(np.array([HIGHEST, 0, LOWEST]))
    counted = Counter(int(one) for batches in tasks for batch in batches for one in batch)
    found = found_in(tasks)
    assert sorted(found) == sorted(one for one, times in counted.items() if times > 1)
    assert {LOWEST, HIGHEST, 0} <= set(found)
    assert -1 not in found


def test_nothing_is_found_in_nothing() -> None:
    none = np.array([], dtype=np.int64)
    assert found_in([[none], []]) == []
    assert found_in([[np.arange(1000)]]) == []


def test_of_a_hash_that_stands_very_often_two_are_sent() -> None:
    (piece,) = list(Piles(_waiting=[np.array([5] * 1000 + [7, 8, 8])], _held=1003).rest())
    assert np.frombuffer(piece.to_pylist()[0]["hashes"], np.int64).tolist() == [5, 5, 7, 8, 8]


def test_a_bucket_is_a_range_of_hashes() -> None:
    rows = [row for batch in pieces_of([[np.array([HIGHEST, 0, LOWEST])]]) for row in batch.to_pylist()]
    assert [row["bucket"] for row in rows] == [0, BUCKETS // 2, BUCKETS - 1]
    assert [np.frombuffer(row["hashes"], np.int64).tolist() for row in rows] == [[LOWEST], [0], [HIGHEST]]


def test_the_parts_of_a_fingerprint_add_up() -> None:
    random = np.random.default_rng(1)
    digests = [*random.integers(LOWEST, HIGHEST, 1000), LOWEST, HIGHEST, -1, 0, HIGHEST]
    halves = (np.array(digests[:300], dtype=np.int64), np.array(digests[300:], dtype=np.int64))
    whole = added(*map(parts_of, halves))
    xor = reduce(operator.xor, map(int, digests))
    assert of_row(dict(zip(PARTS, whole, strict=True))) == Fingerprint(len(digests), xor, sum(map(int, digests)))
