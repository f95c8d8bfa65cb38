"""A shortest path of links between two sets of identifiers: one breadth-first search over one person's links."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from spark_jobs.identity.batches import Numbers, columns_of

SEARCHED = ("identifier_a", "identifier_b", "a_from", "b_from", "a_to", "b_to")
STEPS = "step int, steps int, from_no bigint, to_no bigint"
_NOWHERE = -1


def walk(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of STEPS, in order, nothing where no path leads; `steps` is how many there are.

    In: all links in one partition, columns SEARCHED as 64-bit numbers: flags say where the search begins and ends.
    """
    held = [batch for batch in batches if batch.num_rows]
    if not held:
        return
    a, b, a_from, b_from, a_to, b_to = columns_of(held)
    path = shortest_path((a, b), starts=flagged((a, b), (a_from, b_from)), ends=flagged((a, b), (a_to, b_to)))
    if path:
        numbers = np.arange(1, len(path) + 1)
        rows = [numbers.astype("int32"), np.full(len(path), len(path), "int32")]
        ends = [np.array(side, np.int64) for side in zip(*path, strict=True)]
        yield pa.RecordBatch.from_arrays(
            [pa.array(column) for column in (*rows, *ends)], names=["step", "steps", "from_no", "to_no"]
        )


def flagged(ends: tuple[Numbers, Numbers], flags: tuple[Numbers, Numbers]) -> Numbers:
    """The identifiers that a flag stands beside."""
    return np.unique(np.concatenate([end[flag != 0] for end, flag in zip(ends, flags, strict=True)]))


def shortest_path(links: tuple[Numbers, Numbers], *, starts: Numbers, ends: Numbers) -> list[tuple[int, int]]:
    """Links as (from, to), from one of `starts` to one of `ends`; empty where none leads there, or none is needed.

    Of several of one length it is the same one whatever the order of the links: the smallest number goes first.
    """
    nodes, dense = np.unique(np.concatenate(links), return_inverse=True)
    half = links[0].size
    sources, targets = dense, np.concatenate([dense[half:], dense[:half]])  # each link both ways
    order = np.lexsort((targets, sources))
    sources, targets = sources[order], targets[order]
    begins = np.searchsorted(sources, np.arange(nodes.size + 1))
    is_end = np.isin(nodes, ends)
    came_from = np.full(nodes.size, _NOWHERE)
    front = np.flatnonzero(np.isin(nodes, starts))
    came_from[front] = front
    while front.size and not is_end[front].any():
        sizes = begins[front + 1] - begins[front]
        places = np.repeat(begins[front] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        reached, parents = targets[places], np.repeat(front, sizes)
        is_new = came_from[reached] == _NOWHERE
        reached, first = np.unique(reached[is_new], return_index=True)
        came_from[reached] = parents[is_new][first]
        front = reached
    return _walked_back(nodes, came_from, front[is_end[front]])


def _walked_back(nodes: Numbers, came_from: Numbers, found: Numbers) -> list[tuple[int, int]]:
    path: list[tuple[int, int]] = []
    if found.size:
        node = int(found[0])
        while came_from[node] != node:
            path.append((int(nodes[came_from[node]]), int(nodes[node])))
            node = int(came_from[node])
    return path[::-1]
