"""Connected components the slow and obvious way: what all tests of fast ones are held to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Id = TypeVar("Id", int, str)


def components_by_search(links: Iterable[tuple[Id, Id]]) -> dict[Id, Id]:
    """id: smallest id that can be reached."""
    neighbours: dict[Id, set[Id]] = {}
    for a, b in links:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found: dict[Id, Id] = {}
    for node in neighbours:
        if node not in found:
            seen, waiting = {node}, [node]
            while waiting:
                new = neighbours[waiting.pop()] - seen
                seen |= new
                waiting += new
            found |= dict.fromkeys(seen, min(seen))
    return found
