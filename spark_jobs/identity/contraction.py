"""What tasks do with links: contract where they lie, settle numbers bucket by bucket, finish, look labels up.

A round of contraction takes links and gives fewer between fewer numbers. Every number gets a parent, and a number that
was a root in no task is out of the game: its links are left between its roots. Which root is the smallest is asked of
salted numbers, with a new salt each round: in no order of the links can the same ones stay behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa

from spark_jobs.identity import packing
from spark_jobs.identity.batches import Numbers
from spark_jobs.identity.packing import ALONE, CHILDREN, LABELS, LINKS, NOTHING, SETTLED, Block, Pair, Piles

# Numbers that a task holds before it gives their stars back and begins anew: 0.5 GB.
LOCAL_NODES = 1 << 24
_LOOK_UP = packing.salt_of(-2)  # of no round

Kernel = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def contract(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In: two columns, the ends of links. Out: packed LINKS that say as much."""
    links = ((batch.column(0).to_numpy(), batch.column(1).to_numpy()) for batch in batches)
    yield from packing.packed(LINKS, stars(links))


def stars(links: Iterable[Pair]) -> Iterator[Pair]:
    """Each number that is not the smallest of its group with the one that is; a number alone with itself."""
    from spark_jobs.identity.groups import HashedGroups  # noqa: PLC0415 - numba belongs to workers only

    groups = HashedGroups()
    for a, b in links:
        groups.add(a, b)
        if groups.used > LOCAL_NODES:
            yield from groups.stars()
            groups = HashedGroups()
    yield from groups.stars()


def finishing(bounds: tuple[int, int] | None, *, is_packed: bool) -> Kernel:
    """Label the numbers of packed LINKS in one task: with a dictionary of its own, or by their place between bounds.

    Out: packed LABELS, or rows: node, root.
    """

    def finish(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from spark_jobs.identity.groups import DenseGroups, HashedGroups  # noqa: PLC0415 - as above

        groups: HashedGroups | DenseGroups = HashedGroups() if bounds is None else DenseGroups(*bounds)
        for block in packing.unpacked(batches):
            groups.add(block.a, block.b)
        members = groups.members()
        yield from packing.packed(LABELS, members) if is_packed else map(row_batch, members)

    return finish


def spreading(salt: int, bits: int) -> Kernel:
    """Contract packed LINKS in the order of salted numbers; each number goes to its bucket.

    Out: LINKS of a number and its root, ALONE for a number that is a root in this task: both salted.
    """

    def spread(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from spark_jobs.identity.groups import HashedGroups  # noqa: PLC0415 - as above

        piles, groups = Piles(bits, None), HashedGroups()
        for block in packing.unpacked(batches):
            groups.add(packing.salted(block.a, salt), packing.salted(block.b, salt))
            if groups.used > LOCAL_NODES:
                yield from _sent(groups.members(), piles)
                groups = HashedGroups()
        yield from _sent(groups.members(), piles)
        yield from piles.rest()

    return spread


def _sent(members: Iterable[Pair], piles: Piles) -> Iterator[pa.RecordBatch]:
    for node, root in members:
        is_root = node == root
        yield from piles.add(LINKS, node[~is_root], root[~is_root])
        yield from piles.add(ALONE, node[is_root], node[:0])


def settling(salt: int) -> Kernel:
    """Give every number of a bucket its parent.

    In:  rows of `spreading`, by bucket. Out: SETTLED, each number and its parent; LINKS that are left. No salt on them.
    """

    def settle(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from spark_jobs.identity.groups import HashedGroups  # noqa: PLC0415 - as above

        groups = HashedGroups()
        for _bucket, blocks in packing.in_buckets(packing.unpacked(batches)):
            settled, left = parents_of(*_gathered(blocks))
            yield from packing.packed(SETTLED, [_plain(settled, salt)])
            groups.add(*_plain(left, salt))
            if groups.used > LOCAL_NODES:
                yield from packing.packed(LINKS, groups.stars())
                groups = HashedGroups()
        yield from packing.packed(LINKS, groups.stars())

    return settle


def parents_of(nodes: Numbers, roots: Numbers, alone: Numbers) -> tuple[Pair, Pair]:
    """Each number with its smallest root, or with itself if it is a root everywhere; and the links that are left.

    In: what all tasks say of these numbers: pairs of a number and its root there, and numbers that are roots somewhere.
    """
    order = np.lexsort((roots, nodes))
    node, root = nodes[order], roots[order]
    begins = np.ones(node.size, bool)
    begins[1:] = node[1:] != node[:-1]
    named, parents = node[begins], root[begins]
    nearest = parents[np.cumsum(begins) - 1]
    differs = root != nearest
    alone = np.unique(alone)
    # Somewhere others hang on it, and they know nothing of its parent: the two stay linked.
    goes_on = np.isin(named, alone, assume_unique=True)
    only = np.setdiff1d(alone, named, assume_unique=True)
    left = np.concatenate([root[differs], named[goes_on]]), np.concatenate([nearest[differs], parents[goes_on]])
    return (np.concatenate([named, only]), np.concatenate([parents, only])), left


def _gathered(blocks: Iterable[Block]) -> tuple[Numbers, Numbers, Numbers]:
    nodes, roots, alone = [NOTHING], [NOTHING], [NOTHING]
    for block in blocks:
        if block.kind == ALONE:
            alone.append(block.a)
        else:
            nodes.append(block.a)
            roots.append(block.b)
    return np.concatenate(nodes), np.concatenate(roots), np.concatenate(alone)


def _plain(pair: Pair, salt: int) -> Pair:
    return packing.unsalted(pair[0], salt), packing.unsalted(pair[1], salt)


def placing(bits: int) -> Kernel:
    """Send what is known and who asks to the same bucket.

    In: LABELS of numbers, SETTLED of a round. Out: LABELS by number, CHILDREN by parent.
    """

    def place(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        piles = Piles(bits, _LOOK_UP)
        for block in packing.unpacked(batches):
            if block.kind == LABELS:
                yield from piles.add(LABELS, block.a, block.b)
            else:
                yield from piles.add(CHILDREN, block.b, block.a)
        yield from piles.rest()

    return place


def naming(bits: int) -> Kernel:
    """Send the smallest number of each label, as far as a row knows it, and all who bear the label, to the same bucket.

    In: LABELS. Out: LABELS of labels, CHILDREN by label.
    """

    def name(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        piles = Piles(bits, _LOOK_UP)
        for block in packing.unpacked(batches):
            yield from piles.add(LABELS, *_smallest([(block.b, block.a)]))
            yield from piles.add(CHILDREN, block.b, block.a)
        yield from piles.rest()

    return name


def look_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give every child the smallest label of its parent; who has none is its own label.

    In:  LABELS and CHILDREN by bucket, in this order; labels of one bucket are held, children only pass.
    Out: packed LABELS of the children.
    """
    for _bucket, blocks in packing.in_buckets(packing.unpacked(batches)):
        told: list[Pair] = []
        known: Pair | None = None
        for block in blocks:
            if block.kind == LABELS:
                told.append((block.a, block.b))
                continue
            known = known or _smallest(told)
            yield from packing.packed(LABELS, [(block.b, _labels(known, block.a))])


def _smallest(pairs: list[Pair]) -> Pair:
    """Each key once, with its smallest value, in order."""
    keys = np.concatenate([NOTHING, *(key for key, _ in pairs)])
    values = np.concatenate([NOTHING, *(value for _, value in pairs)])
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    begins = np.ones(keys.size, bool)
    begins[1:] = keys[1:] != keys[:-1]
    return keys[begins], values[begins]


def _labels(known: Pair, keys: Numbers) -> Numbers:
    names, labels = known
    if not names.size:
        return keys
    places = np.minimum(np.searchsorted(names, keys), names.size - 1)
    return np.where(names[places] == keys, labels[places], keys)


def as_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Packed LABELS as rows: node, root."""
    return (row_batch((block.a, block.b)) for block in packing.unpacked(batches))


def row_batch(pair: Pair) -> pa.RecordBatch:
    """Pairs as rows: node, root."""
    return pa.RecordBatch.from_arrays([pa.array(pair[0]), pa.array(pair[1])], names=["node", "root"])
