"""Components without Spark: groups, packed rows and rounds of contraction against a slow, obvious search."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.identity import contraction, packing
from spark_jobs.identity.batches import Numbers
from spark_jobs.identity.contraction import Kernel
from spark_jobs.identity.groups import DenseGroups, HashedGroups
from spark_jobs.identity.packing import ALONE, LABELS, LINKS, SETTLED, Block
from tests.components import components_by_search

Links = list[tuple[int, int]]
UNHURRIED = settings(deadline=None)  # the first call may compile a kernel
LOWEST, HIGHEST = -(2**63), 2**63 - 1
ENDS = st.one_of(st.integers(0, 25), st.sampled_from([LOWEST, LOWEST + 1, -1, HIGHEST - 1, HIGHEST]))
LINKS_OF_ANY = st.lists(st.tuples(ENDS, ENDS), max_size=60)
MILLION = 1_000_000


def ends(links: Links) -> tuple[Numbers, Numbers]:
    return np.array([a for a, _ in links], np.int64), np.array([b for _, b in links], np.int64)


def told(groups: HashedGroups | DenseGroups) -> dict[int, int]:
    pairs = [pair for a, b in groups.members() for pair in zip(a.tolist(), b.tolist(), strict=True)]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


@UNHURRIED
@given(LINKS_OF_ANY, st.integers(1, 7))
def test_groups_of_any_numbers_agree_with_a_search(links: Links, step: int) -> None:
    groups = HashedGroups()
    for since in range(0, len(links), step):
        groups.add(*ends(links[since : since + step]))
    assert told(groups) == components_by_search(links)


@UNHURRIED
@given(LINKS_OF_ANY)
def test_stars_say_as_much_as_the_links(links: Links) -> None:
    groups = HashedGroups()
    groups.add(*ends(links))
    stars = [pair for a, b in groups.stars() for pair in zip(a.tolist(), b.tolist(), strict=True)]
    assert components_by_search(stars) == components_by_search(links)
    assert len(stars) <= len(components_by_search(links))


@UNHURRIED
@given(st.lists(st.tuples(st.integers(-9, 30), st.integers(-9, 30)), min_size=1, max_size=60))
def test_groups_by_place_agree_with_a_search(links: Links) -> None:
    groups = DenseGroups(-9, 30)
    groups.add(*ends(links))
    assert told(groups) == components_by_search(links)


def chain(length: int) -> tuple[Numbers, Numbers]:
    nodes = np.random.default_rng(length).permutation(length).astype(np.int64)
    return nodes[:-1], nodes[1:]


@pytest.mark.parametrize(
    "links",
    [
        pytest.param((np.arange(MILLION), np.arange(1, MILLION + 1)), id="a chain in order"),
        pytest.param((np.arange(MILLION, 0, -1), np.arange(MILLION - 1, -1, -1)), id="a chain backwards"),
        pytest.param(chain(MILLION + 1), id="a chain in disorder"),
        pytest.param((np.full(MILLION, 7), np.arange(MILLION)), id="a star"),
        pytest.param((np.full(MILLION, MILLION), np.arange(MILLION)), id="a star around the largest"),
    ],
)
def test_a_million_in_one_component(links: tuple[Numbers, Numbers]) -> None:
    for groups in (HashedGroups(), DenseGroups(0, MILLION)):
        groups.add(*links)
        names, roots = (np.concatenate(side) for side in zip(*groups.members(), strict=True))
        assert np.array_equal(np.sort(names), np.arange(names.size))
        assert names.size >= MILLION
        assert not roots.any()


@UNHURRIED
@given(st.lists(ENDS, max_size=20), st.integers(0, 50))
def test_salt_can_be_taken_off(numbers: list[int], number: int) -> None:
    values, salt = np.array(numbers, np.int64), packing.salt_of(number)
    assert np.array_equal(packing.unsalted(packing.salted(values, salt), salt), values)


@UNHURRIED
@given(LINKS_OF_ANY, st.integers(1, packing.MOST_BITS))
def test_packed_rows_lose_no_pair_and_reach_the_bucket_of_their_key(links: Links, bits: int) -> None:
    keys, values = ends(links)
    piles = packing.Piles(bits, packing.salt_of(1))
    rows = [*piles.add(LINKS, keys, values), *piles.rest()]
    blocks = list(packing.unpacked(rows))
    pairs = [pair for block in blocks for pair in zip(block.a.tolist(), block.b.tolist(), strict=True)]
    assert sorted(pairs) == sorted(links)
    for block in blocks:
        assert set(packing.bucket_of(packing.salted(block.a, packing.salt_of(1)), bits)) == {block.bucket}
    assert [row.column("rows").to_pylist() for row in rows] == [
        [block.a.size for block in packing.unpacked([row])] for row in rows
    ]


def test_no_packed_row_is_large() -> None:
    many = np.arange(3 * packing.BLOCK + 1)
    rows = [*packing.packed(LINKS, [(many, many)])]
    piles = packing.Piles(1, None)
    rows += [*piles.add(LINKS, many, many), *piles.rest()]
    assert max(block.a.size for block in packing.unpacked(rows)) <= packing.BLOCK
    assert sum(block.a.size for block in packing.unpacked(rows)) == 2 * many.size


def shuffled(tasks: Sequence[Sequence[pa.RecordBatch]], partitions: int) -> list[list[pa.RecordBatch]]:
    """Packed rows by bucket, as Spark brings them."""
    found: list[list[pa.RecordBatch]] = [[] for _ in range(partitions)]
    rows = [batch.slice(place, 1) for task in tasks for batch in task for place in range(batch.num_rows)]
    for row in sorted(rows, key=lambda row: (row.column("bucket")[0].as_py(), row.column("kind")[0].as_py())):
        found[row.column("bucket")[0].as_py() % partitions].append(row)
    return found


def each(tasks: Sequence[Sequence[pa.RecordBatch]], kernel: Kernel) -> list[list[pa.RecordBatch]]:
    return [list(kernel(task)) for task in tasks]


def of_kind(tasks: Sequence[Sequence[pa.RecordBatch]], kind: int) -> list[list[pa.RecordBatch]]:
    return [[batch.filter(pc.equal(batch.column("kind"), kind)) for batch in task] for task in tasks]


def left_of(tasks: Sequence[Sequence[pa.RecordBatch]]) -> int:
    return sum(sum(batch.column("rows").to_pylist()) for task in of_kind(tasks, LINKS) for batch in task)


def parts_of(links: Links, parts: int) -> Iterator[list[pa.RecordBatch]]:
    for part in range(parts):
        a, b = ends(links[part::parts])
        yield [pa.record_batch([pa.array(a), pa.array(b)], names=["a", "b"])]


def contracted_to_nothing(links: Links, parts: int, bits: int) -> tuple[dict[int, int], list[int]]:
    """All rounds until no link is left, the way back, and the smallest number of each label; links left by round."""
    tasks = each(list(parts_of(links, parts)), contraction.contract)
    rounds: list[list[list[pa.RecordBatch]]] = []
    left = [left_of(tasks)]
    while left[-1]:
        salt = packing.salt_of(len(rounds))
        spread = each(of_kind(tasks, LINKS), contraction.spreading(salt, bits))
        tasks = each(shuffled(spread, parts), contraction.settling(salt))
        rounds.append(tasks)
        left.append(left_of(tasks))
        assert len(left) < 60, left
    found: list[list[pa.RecordBatch]] = [[]]
    for settled in reversed(rounds):
        asked = each([*found, *of_kind(settled, SETTLED)], contraction.placing(bits))
        found = each(shuffled(asked, parts), contraction.look_up)
    named = each(shuffled(each(found, contraction.naming(bits)), parts), contraction.look_up)
    rows = [batch for task in each(named, contraction.as_rows) for batch in task]
    pairs = [pair for row in rows for pair in zip(*(column.to_pylist() for column in row.columns), strict=True)]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs), left


@UNHURRIED
@given(LINKS_OF_ANY, st.integers(1, 5), st.integers(1, 4))
def test_rounds_agree_with_a_search(links: Links, parts: int, bits: int) -> None:
    found, _ = contracted_to_nothing(links, parts, bits)
    assert found == components_by_search(links)


@pytest.mark.parametrize("parts", [1, 2, 7, 40])
def test_a_chain_in_any_order_contracts_in_few_rounds(parts: int) -> None:
    in_order = list(itertools.pairwise(range(2_000)))
    for seed in range(2):
        links = list(in_order)
        if seed:
            random.Random(seed).shuffle(links)
        found, left = contracted_to_nothing(links, parts, 3)
        assert set(found.values()) == {0}
        assert len(found) == 2_000
        assert len(left) <= 16, left


def test_a_number_that_is_a_root_somewhere_stays_linked_to_its_parent() -> None:
    nodes, roots, alone = np.array([5, 5, 8]), np.array([3, 1, 1]), np.array([5, 9])
    settled, left = contraction.parents_of(nodes, roots, alone)
    assert dict(zip(*(side.tolist() for side in settled), strict=True)) == {5: 1, 8: 1, 9: 9}
    assert sorted(zip(*(side.tolist() for side in left), strict=True)) == [(3, 1), (5, 1)]


def test_a_bucket_is_read_to_its_end() -> None:
    none = np.empty(0, np.int64)
    blocks = [Block(kind, bucket, none, none) for bucket in (0, 2, 3) for kind in (ALONE, LABELS)]
    seen = [(bucket, [block.kind for block in rest]) for bucket, rest in packing.in_buckets(iter(blocks))]
    assert seen == [(bucket, [ALONE, LABELS]) for bucket in (0, 2, 3)]
    assert list(packing.in_buckets(iter([]))) == []
