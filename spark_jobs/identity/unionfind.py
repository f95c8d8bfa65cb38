"""Union-find over dense numbers, compiled; imported by workers only, because numba takes its time to load.

Numbers are dense and ordered as the identifiers are, so the smallest member of a group is its root.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Verdicts = NDArray[np.int8]

JOINS, JOINED_ALREADY, CLASHES = 0, 1, 2
_NONE = -1


def _find(parent: Numbers, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


find: Callable[[Numbers, int], int] = numba.njit(cache=True)(_find)


def _roots(a: Numbers, b: Numbers, nodes: int) -> Numbers:
    parent = np.arange(nodes)
    for i in range(a.size):
        x, y = find(parent, a[i]), find(parent, b[i])
        if x < y:
            parent[y] = x
        elif y < x:
            parent[x] = y
    for node in range(nodes):
        parent[node] = find(parent, node)
    return parent


def _clash(x: int, y: int, following: Numbers, unique: Numbers) -> bool:
    """True where both chains hold the same unique key: two values of which a person may have one."""
    while x != _NONE:
        other = y
        while other != _NONE:
            if unique[x] == unique[other]:
                return True
            other = following[other]
        x = following[x]
    return False


clash: Callable[[int, int, Numbers, Numbers], bool] = numba.njit(cache=True)(_clash)


def _forest(a: Numbers, b: Numbers, unique: Numbers, verdicts: Verdicts) -> Numbers:
    nodes = unique.size
    parent = np.arange(nodes)
    # Each group keeps a chain of its members that carry a unique key. A group holds a key once, so chains are as
    # short as the list of unique (type, scope), however large the group is.
    head = np.where(unique != 0, np.arange(nodes), _NONE)
    tail = head.copy()
    following = np.full(nodes, _NONE)
    for i in range(a.size):
        x, y = find(parent, a[i]), find(parent, b[i])
        if x == y:
            verdicts[i] = JOINED_ALREADY
        elif clash(head[x], head[y], following, unique):
            verdicts[i] = CLASHES
        else:
            verdicts[i] = JOINS
            root, child = min(x, y), max(x, y)
            parent[child] = root
            if head[root] == _NONE:
                head[root], tail[root] = head[child], tail[child]
            elif head[child] != _NONE:
                following[tail[root]], tail[root] = head[child], tail[child]
    for node in range(nodes):
        parent[node] = find(parent, node)
    return parent


roots: Callable[[Numbers, Numbers, int], Numbers] = numba.njit(cache=True)(_roots)
forest: Callable[[Numbers, Numbers, Numbers, Verdicts], Numbers] = numba.njit(cache=True)(_forest)


def stars(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers]:
    """Every node of the links and the smallest node that it is connected with."""
    names, dense = np.unique(np.concatenate([a, b]), return_inverse=True)
    found = roots(dense[: a.size], dense[a.size :], names.size)
    return names, names[found]


def constrained_forest(
    a: Numbers, b: Numbers, a_unique: Numbers, b_unique: Numbers
) -> tuple[Verdicts, Numbers, Numbers]:
    """Join along the links in their order, strongest first, and never two holders of the same unique key.

    In:  both ends, and the key of each of which a group may hold one value (0 for none).
    Out: a verdict per link, and the smallest node of the group at each end.
    """
    names, first, dense = np.unique(np.concatenate([a, b]), return_index=True, return_inverse=True)
    unique = np.concatenate([a_unique, b_unique])[first]
    verdicts = np.empty(a.size, dtype=np.int8)
    found = names[forest(dense[: a.size], dense[a.size :], unique, verdicts)]
    return verdicts, found[dense[: a.size]], found[dense[a.size :]]
