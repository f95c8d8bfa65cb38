"""Groups of linked 64-bit numbers, fed by a stream of links; compiled, so workers alone import it.

Two ways to keep them: `HashedGroups` for any numbers, at most 32 bytes a number, and `DenseGroups` for numbers of one
range, 4 bytes each (8 from 2 billion on). Either holds nothing else that grows: links are forgotten when they are in.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spark_jobs.identity.batches import Numbers
from spark_jobs.identity.compiling import compiled

BLOCK = 1 << 16  # rows in which groups are given back: 0.5 MB a column
# Links between two looks at the room that is left. Few, so that what is looked up first is still in the cache when it
# is joined.
_STEP = 1 << 13
_LOAD = 0.7  # slots in use before there are twice as many
_ALONE = -1
_FIRST_NODES = 1 << 14
_INT32 = 2**31
_UNSEEN = 0

Pair = tuple[Numbers, Numbers]
Places = NDArray[np.int32]
Parents = NDArray[np.int32 | np.int64]
# Slots, by hash, of places in the second: number, parent, number, parent, ...; side by side, as they are read together.
Table = tuple[Places, Numbers]


@compiled
def _place(value: int, mask: int) -> int:
    """Where the search for a number begins: all of its bits count."""
    mixed = np.uint64(value)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    # Numba takes a signed and an unsigned number for fractions.
    return int(np.int64((mixed ^ (mixed >> np.uint64(31))) & np.uint64(mask)))


@compiled
def _known(values: Numbers, table: Table, found: Places) -> None:
    """The place among the nodes of the values that stand where their search begins, `_ALONE` for the others.

    Loops without a branch or an order: memory answers many questions at once, and it is what takes the time.
    """
    slots, nodes = table
    mask = slots.size - 1
    for i in range(values.size):
        found[i] = slots[_place(values[i], mask)] - 1
    for i in range(values.size):
        node = max(found[i], 0)
        found[i] = found[i] if nodes[2 * node] == values[i] else _ALONE


@compiled
def _number(values: Numbers, table: Table, used: int, found: Places) -> int:
    """The place among the nodes of each value, new ones behind the others; how many there are then."""
    slots, nodes = table
    mask = slots.size - 1
    _known(values, table, found)
    for i in range(values.size):
        if found[i] != _ALONE:
            continue
        slot = _place(values[i], mask)
        while slots[slot] != _UNSEEN and nodes[2 * (slots[slot] - 1)] != values[i]:
            slot = (slot + 1) & mask
        if slots[slot] == _UNSEEN:
            nodes[2 * used] = values[i]
            nodes[2 * used + 1] = _ALONE
            used += 1
            slots[slot] = used
        found[i] = slots[slot] - 1
    return used


@compiled
def _root(nodes: Numbers, node: int) -> int:
    while True:
        parent = nodes[2 * node + 1]
        if parent < 0 or parent == node:  # alone, or a root
            return node
        above = nodes[2 * parent + 1]
        if above < 0 or above == parent:
            return int(parent)
        nodes[2 * node + 1] = above
        node = above


@compiled
def _join(a: Places, b: Places, nodes: Numbers) -> None:
    for i in range(a.size):
        x, y = _root(nodes, a[i]), _root(nodes, b[i])
        if x != y:
            if nodes[2 * y] < nodes[2 * x]:
                x, y = y, x
            nodes[2 * x + 1] = x  # no longer alone
            nodes[2 * y + 1] = x


@compiled
def _placed_again(nodes: Numbers, used: int, slots: Places) -> None:
    mask = slots.size - 1
    for node in range(used):
        slot = _place(nodes[2 * node], mask)
        while slots[slot] != _UNSEEN:
            slot = (slot + 1) & mask
        slots[slot] = node + 1


@compiled
def _members(nodes: Numbers, since: int, names: Numbers, roots: Numbers) -> None:
    for place in range(names.size):
        names[place] = nodes[2 * (since + place)]
        roots[place] = nodes[2 * _root(nodes, since + place)]


@compiled
def _stars(nodes: Numbers, since: int, names: Numbers, roots: Numbers) -> int:
    """What is needed to tell the groups again: who is no root, and who is alone; how many."""
    kept = 0
    for node in range(since, since + names.size):
        root = _root(nodes, node)
        if root != node or nodes[2 * node + 1] == _ALONE:
            names[kept], roots[kept] = nodes[2 * node], nodes[2 * root]
            kept += 1
    return kept


def _room(rows: int) -> Pair:
    return np.empty(rows, np.int64), np.empty(rows, np.int64)


def _for_reading(view: Numbers) -> Numbers:
    """The view, closed for writing as Arrow's are: for one that may be written to, all would be compiled once more."""
    plain = np.ascontiguousarray(view)
    plain.setflags(write=False)
    return plain


class HashedGroups:
    """Groups of any 64-bit numbers; a group is named by its smallest number. At most 2 billion numbers."""

    def __init__(self) -> None:
        self.used = 0
        self._nodes = np.empty(2 * _FIRST_NODES, np.int64)
        self._slots = np.zeros(2 * _FIRST_NODES, np.int32)

    def add(self, a: Numbers, b: Numbers) -> None:
        """Join both ends of each link."""
        for since in range(0, a.size, _STEP):
            part = slice(since, since + _STEP)
            left, right = _for_reading(a[part]), _for_reading(b[part])
            self._make_room(left.size * 2)
            x, y = np.empty(left.size, np.int32), np.empty(left.size, np.int32)
            self.used = _number(left, (self._slots, self._nodes), self.used, x)
            self.used = _number(right, (self._slots, self._nodes), self.used, y)
            _join(x, y, self._nodes)

    def _make_room(self, more: int) -> None:
        wanted = self.used + more
        if 2 * wanted > self._nodes.size:
            # In place where the system can: a copy would be the most that is ever held.
            self._nodes.resize(2 * max(wanted, self._nodes.size * 5 // 8), refcheck=False)
        if wanted > _LOAD * self._slots.size:
            size = 2 * self._slots.size
            del self._slots
            self._slots = np.zeros(size, np.int32)
            _placed_again(self._nodes, self.used, self._slots)

    def members(self) -> Iterator[Pair]:
        """Every number and the smallest one of its group."""
        for since in range(0, self.used, BLOCK):
            names, roots = _room(min(BLOCK, self.used - since))
            _members(self._nodes, since, names, roots)
            yield names, roots

    def stars(self) -> Iterator[Pair]:
        """The same without the roots, but with the numbers that are alone: the fewest links that say as much."""
        for since in range(0, self.used, BLOCK):
            names, roots = _room(min(BLOCK, self.used - since))
            kept = _stars(self._nodes, since, names, roots)
            if kept:
                yield names[:kept], roots[:kept]


@compiled
def _dense_root(parents: Parents, node: int) -> int:
    while parents[node] - 1 != node:
        parents[node] = parents[parents[node] - 1]
        node = parents[node] - 1
    return node


@compiled
def _dense_join(a: Numbers, b: Numbers, low: int, parents: Parents) -> None:
    for i in range(a.size):
        x, y = a[i] - low, b[i] - low
        if parents[x] == _UNSEEN:
            parents[x] = x + 1
        if parents[y] == _UNSEEN:
            parents[y] = y + 1
        x, y = _dense_root(parents, x), _dense_root(parents, y)
        if x < y:
            parents[y] = x + 1
        elif y < x:
            parents[x] = y + 1


@compiled
def _dense_members(parents: Parents, since: int, low: int, found: Pair) -> int:
    names, roots = found
    kept = 0
    for node in range(since, since + names.size):
        if parents[node] != _UNSEEN:
            names[kept], roots[kept] = low + node, low + _dense_root(parents, node)
            kept += 1
    return kept


class DenseGroups:
    """Groups of numbers from `low` to `high`: no dictionary, so faster where few numbers of the range are missing."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._size = low, high - low + 1
        # The place of the parent plus one: untouched memory is nobody, and costs nothing.
        kind: type[np.int32 | np.int64] = np.int32 if self._size < _INT32 else np.int64
        self._parents: Parents = np.zeros(self._size, kind)

    def add(self, a: Numbers, b: Numbers) -> None:
        """Join both ends of each link."""
        _dense_join(_for_reading(a[:]), _for_reading(b[:]), self._low, self._parents)

    def members(self) -> Iterator[Pair]:
        """Every number and the smallest one of its group, in order."""
        for since in range(0, self._size, BLOCK):
            names, roots = _room(min(BLOCK, self._size - since))
            kept = _dense_members(self._parents, since, self._low, (names, roots))
            if kept:
                yield names[:kept], roots[:kept]
