"""Constrained union-find over dense numbers, compiled; imported by workers only, because numba takes its time to load.

Numbers are dense and ordered as the identifiers are, so the smallest member of a group is its root.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Verdicts = NDArray[np.int8]

JOINS, JOINED_ALREADY, CLASHES, KEPT_APART = 0, 1, 2, 3
_NONE, _SAME = -1, -2
Links = tuple[Numbers, Numbers]


def _find(parent: Numbers, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


find: Callable[[Numbers, int], int] = numba.njit(cache=True)(_find)


def _clash(x: int, y: int, following: Numbers, key: Numbers) -> int:
    """The smallest key that both chains hold, of which a group may have one holder; -1 where there is none."""
    smallest = _NONE
    while x != _NONE:
        other = y
        while other != _NONE:
            if key[x] == key[other] and (smallest == _NONE or key[x] < smallest):
                smallest = key[x]
            other = following[other]
        x = following[x]
    return smallest


clash: Callable[[int, int, Numbers, Numbers], int] = numba.njit(cache=True)(_clash)


def _forest(a: Numbers, b: Numbers, held: tuple[Numbers, Numbers], parent: Numbers) -> Numbers:
    """Joins along the links in their order; per link the key that was in the way, or `_JOINED`, or `_SAME`."""
    holder, key = held
    # Each group keeps a chain of the keys that its members hold. A group holds a key once, so chains are as short as
    # the lists of unique (type, scope) and of decisions about its members, however large the group is.
    head, tail = np.full(parent.size, _NONE), np.full(parent.size, _NONE)
    following, in_the_way = np.full(key.size, _NONE), np.empty(a.size, np.int64)
    for item in range(key.size):
        node = holder[item]
        if head[node] == _NONE:
            tail[node] = item
        following[item] = head[node]
        head[node] = item
    for i in range(a.size):
        x, y = find(parent, a[i]), find(parent, b[i])
        if x == y:
            in_the_way[i] = _SAME
            continue
        in_the_way[i] = clash(head[x], head[y], following, key)
        if in_the_way[i] == _NONE:
            root, child = min(x, y), max(x, y)
            parent[child] = root
            if head[root] == _NONE:
                head[root], tail[root] = head[child], tail[child]
            elif head[child] != _NONE:
                following[tail[root]], tail[root] = head[child], tail[child]
    for node in range(parent.size):
        parent[node] = find(parent, node)
    return in_the_way


forest: Callable[[Numbers, Numbers, tuple[Numbers, Numbers], Numbers], Numbers] = numba.njit(cache=True)(_forest)


def constrained_forest(links: Links, unique: Links, separated: Links) -> tuple[Verdicts, Numbers, Numbers]:
    """Join along the links in their order, strongest first, but never what must stay apart.

    In:  both ends of the links; the key of each end of which a group may hold one value (0 for none); both ends of the
         pairs that no group may hold together.
    Out: a verdict per link, and the smallest node of the group at each end.
    """
    a, b = links
    names, first, dense = np.unique(np.concatenate([a, b]), return_index=True, return_inverse=True)
    keys, key_of_node = np.unique(np.concatenate(unique)[first], return_inverse=True)
    holds = np.flatnonzero(keys[key_of_node] != 0)
    # A pair that must stay apart is a key of its own, which both hold: greater than all others.
    known = np.isin(separated[0], names) & np.isin(separated[1], names) & (separated[0] != separated[1])
    apart = [np.searchsorted(names, ends[known]) for ends in separated]
    pairs = keys.size + np.arange(apart[0].size)
    holder, key = np.concatenate([holds, *apart]), np.concatenate([key_of_node[holds], pairs, pairs])
    parent = np.arange(names.size)
    in_the_way = forest(dense[: a.size], dense[a.size :], (holder, key), parent)
    verdicts = np.select(
        [in_the_way == _NONE, in_the_way == _SAME, in_the_way < keys.size], [JOINS, JOINED_ALREADY, CLASHES], KEPT_APART
    ).astype(np.int8)
    found = names[parent]
    return verdicts, found[dense[: a.size]], found[dense[a.size :]]
