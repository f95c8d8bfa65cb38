"""Links without which a group falls apart: one depth-first search; compiled, so workers alone import it."""

from __future__ import annotations

import numpy as np

from spark_jobs.identity.batches import Numbers
from spark_jobs.identity.compiling import compiled

_UNSEEN = -1
Found = tuple[Numbers, Numbers, Numbers, Numbers]


@compiled
def _search(begins: Numbers, targets: Numbers, links: Numbers, found: Found) -> None:
    """Fill for each node: the earliest node that it reaches beside its own link, that link, its subtree, its root.

    In: links of each node, both ways, from `begins`; `found`: low, by, size (ones), root.
    """
    low, by, size, root = found
    nodes = begins.size - 1
    entered, place, stack = np.full(nodes, _UNSEEN), begins.copy(), np.empty(nodes, np.int64)
    clock = 0
    for first in range(nodes):
        if entered[first] != _UNSEEN:
            continue
        entered[first], low[first], by[first], root[first] = clock, clock, _UNSEEN, first
        clock, stack[0], top = clock + 1, first, 1
        while top > 0:
            node = stack[top - 1]
            if place[node] < begins[node + 1]:
                way = place[node]
                place[node] += 1
                other = targets[way]
                if links[way] == by[node]:
                    continue
                if entered[other] == _UNSEEN:
                    entered[other], low[other], by[other], root[other] = clock, clock, links[way], first
                    clock, stack[top], top = clock + 1, other, top + 1
                elif entered[other] < low[node]:
                    low[node] = entered[other]
            else:
                top -= 1
                if low[node] != entered[node]:
                    by[node] = _UNSEEN  # another way leads around its link
                if top > 0:
                    above = stack[top - 1]
                    size[above] += size[node]
                    low[above] = min(low[above], low[node])


def bridges_of(a: Numbers, b: Numbers, least: int) -> Found:
    """Both ends of each link whose loss parts its group into two of at least so many; the smaller part, and the whole.

    In: links, each once, without self-links; several groups may stand in one.
    """
    nodes, dense = np.unique(np.concatenate([a, b]), return_inverse=True)
    numbers = np.tile(np.arange(a.size), 2)
    others = np.concatenate([dense[a.size :], dense[: a.size]])
    order = np.argsort(dense, kind="stable")
    begins = np.searchsorted(dense[order], np.arange(nodes.size + 1))
    low, by, size, root = (np.zeros(nodes.size, np.int64) for _ in range(4))
    size += 1
    _search(begins.astype(np.int64), others[order].astype(np.int64), numbers[order], (low, by, size, root))
    whole = size[root]
    part = np.minimum(size, whole - size)
    kept = np.flatnonzero((by != _UNSEEN) & (part >= least))
    return a[by[kept]], b[by[kept]], part[kept], whole[kept]
