"""The kernels that sum a comparison's sides: fed with batches as Spark would, looked at without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest

from migration import summing
from migration.columns import unpacked
from migration.summing import REFUSED
from spark_jobs.contracts.schema import Column, Table
from spark_jobs.storage.fingerprints import PARTS, Parts, added, parts_of

THINGS = Table(name="core.things", grain="one thing", key=("name",), columns=(Column("name", "bigint", "name"),))
SIDES = ("mine", "theirs")
# A record: chunk, digest or None where it is refused, key, place, whether its columns count.
Record = tuple[int, int | None, int, int, bool]


def batch(records: Sequence[Record]) -> pa.RecordBatch:
    columns = {"chunk": 0, "digest": 1, "key_a": 2, "place": 3}
    arrays = {name: pa.array([one[at] for one in records], pa.int64()) for name, at in columns.items()}
    arrays["counts"] = pa.array([one[4] for one in records], pa.bool_())
    return pa.RecordBatch.from_pydict(arrays | {"column name": arrays["key_a"]})


def summed(tasks: Iterable[tuple[int, Sequence[Sequence[Record]]]], *, lent_to: int | None = None) -> pa.Table:
    """What comes of tasks: the number of their side, and their batches. The second side lends its keys."""
    sent = [
        piece
        for side, batches in tasks
        for piece in summing._piled(THINGS, (SIDES[side], side, lent_to if side else None), map(batch, batches))
    ]
    by_bucket = pa.Table.from_batches(sent, schema=summing._PILED).sort_by("bucket").to_batches(max_chunksize=3)
    return pa.Table.from_batches(summing._found(THINGS, SIDES, by_bucket), schema=summing._FOUND)


def sums(found: pa.Table) -> dict[tuple[str, int], Parts]:
    """PARTS by side and chunk, added up."""
    total: dict[tuple[str, int], Parts] = {}
    for row in found.to_pylist():
        if row["chunk"] is not None:
            of = row["of"], row["chunk"]
            parts = tuple(row[name] for name in PARTS)
            total[of] = added(total[of], parts) if of in total else parts
    return total


def wanted(side: str, records: Iterable[Record]) -> Iterator[tuple[tuple[str, int], Parts]]:
    digests = defaultdict[tuple[str, int], list[int]](list)
    for chunk, digest, _, place, _ in records:
        digests[(side, chunk) if digest is not None else (f"{side}{REFUSED}", chunk)].append(
            place if digest is None else digest
        )
    for of, several in digests.items():
        yield of, parts_of(np.array(several, np.int64))


def keys(found: pa.Table) -> dict[str, list[int]]:
    twice = [(row["of"], row["key_a"]) for row in found.to_pylist() if row["key_a"] is not None]
    return {side: sorted(key for of, key in twice if of == side) for side in SIDES}


def test_each_side_s_chunks_are_summed_apart_and_so_are_the_places_of_refused_records() -> None:
    random = np.random.default_rng(3)
    mine, theirs = (
        [
            (int(chunk), None if digest % 5 == 0 else int(digest), key, int(place), True)
            for key, (chunk, digest, place) in enumerate(random.integers(-(2**63), 2**63 - 1, (60, 3)))
        ]
        for _ in SIDES
    )
    mine = [(one[0] % 3, *one[1:]) for one in mine]
    found = summed([(0, [mine[:10], mine[10:35]]), (0, [mine[35:]]), (1, [theirs])])
    assert sums(found) == dict([*wanted("mine", mine), *wanted("theirs", theirs)])
    assert any(of.endswith(REFUSED) for of, _ in sums(found))


@pytest.mark.parametrize(
    ("lent_to", "in_mine"),
    [pytest.param(None, [-7], id="sides do not meet"), pytest.param(0, [-7, 4], id="a key that is lent does")],
)
def test_keys_repeat_within_a_side_and_beside_what_is_lent_to_it(lent_to, in_mine) -> None:
    mine = [(1, 1, -7, 0, True), (1, 2, -7, 0, True), (1, 3, 4, 0, True), (1, 4, 5, 0, True)]
    theirs = [(2, 5, 4, 0, False), (2, 6, 5, 0, True), (2, 7, 2**62, 0, True), (2, 8, 2**62, 0, False)]
    found = summed([(0, [mine[:1]]), (0, [mine[1:]]), (1, [theirs])], lent_to=lent_to)
    assert keys(found) == {"mine": in_mine, "theirs": [2**62]}
    told = [row for row in found.to_pylist() if row["columns"] is not None]
    assert {row["of"]: row["keys"] for row in told} == {"mine": len(in_mine), "theirs": 1}


def test_columns_are_looked_at_where_rows_are_good_and_count() -> None:
    mine = [(1, 1, 3, 0, True), (1, None, 99, 5, False), (1, 2, -4, 0, True)]
    theirs = [(1, 1, 50, 0, False), (1, 1, 7, 0, True)]
    found = summed([(0, [mine]), (1, [theirs]), (1, [])])
    told = {row["of"]: unpacked(THINGS, row["columns"])["name"] for row in found.to_pylist() if row["columns"]}
    extremes = {side: (facts.nulls, facts.lowest, facts.highest) for side, facts in told.items()}
    assert extremes == {"mine": (0, -4, 3), "theirs": (0, 7, 7)}
