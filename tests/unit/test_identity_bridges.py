"""Bridges against a slow, obvious oracle: take the link away and see what is left."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.identity.bridges import bridges_of
from spark_jobs.identity.measuring import LEAST_PART, found_bridges
from tests.components import components_by_search

Links = list[tuple[int, int]]
BIG = 2**60
LINKS = st.sets(
    st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda link: link[0] < link[1]), min_size=1, max_size=25
)


def parts_without(links: Links, link: tuple[int, int]) -> tuple[int, int] | None:
    """Sizes of the two parts that a link holds together; None where another way leads around it."""
    rest = components_by_search([*(other for other in links if other != link), *((node, node) for node in link)])
    if rest[link[0]] == rest[link[1]]:
        return None
    sizes = [sum(1 for label in rest.values() if label == rest[node]) for node in link]
    return min(sizes), sum(sizes)


@settings(deadline=None)
@given(LINKS, st.integers(1, 4))
def test_bridges_agree_with_taking_each_link_away(links, least) -> None:
    rows = sorted(links)
    a, b = (np.array(side, np.int64) + BIG for side in zip(*rows, strict=True))
    told = zip(*(column.tolist() for column in bridges_of(a, b, least)), strict=True)
    found = {(x - BIG, y - BIG): (part, whole) for x, y, part, whole in told}
    parts = {link: parts_without(rows, link) for link in rows}
    assert found == {link: sizes for link, sizes in parts.items() if sizes and sizes[0] >= least}


def test_two_big_parts_on_one_link_are_found_among_persons_of_one_partition() -> None:
    side = LEAST_PART
    rows = [(1, 0, n) for n in range(1, side)] + [(1, 100, 100 + n) for n in range(1, side)] + [(1, 0, 100)]
    rows += [(2, 200, 200 + n) for n in range(1, 30)]  # a star: each leaf hangs on one link, and is small
    columns = [pa.array(column, pa.int64()) for column in zip(*rows, strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, names=["group", "identifier_a", "identifier_b"])
    found = [row for one in found_bridges([batch]) for row in one.to_pylist()]
    assert found == [{"identifier_a": 0, "identifier_b": 100, "part": side, "whole": 2 * side}]


def test_a_chain_of_thousands_is_searched() -> None:
    a = np.arange(50_000, dtype=np.int64)
    _, _, part, whole = bridges_of(a, a + 1, 25_000)
    assert (part.tolist(), whole.tolist()) == ([25_000, 25_000], [50_001, 50_001])
