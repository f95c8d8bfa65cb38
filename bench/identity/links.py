"""Made-up links: persons with few or very many identifiers (a power law), households, and hubs that join thousands.

Numbers are those of a dictionary, nearly without gaps and without order; `wide` ones are any 64 bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

LINKS_A_FILE = 2_500_000
PERSONS, OTHERS = 0.15, 0.5  # numbers for each link: persons come first, then all others
_HOUSEHOLD, _HUB = 0.02, 0.001
_HUBS = 20
_SKEW = 2.0  # of a million links, the busiest person has about a thousandth
_ODD = 0x9E3779B97F4A7C15


def sizes(links: int) -> tuple[int, int]:
    """How many persons, and how many numbers in all."""
    persons = max(1, int(links * PERSONS))
    return persons, persons + max(_HUBS + 1, int(links * OTHERS))


def write_links(folder: Path, links: int, *, is_wide: bool) -> Path:
    """A folder of Parquet files, made once: columns a and b."""
    target = folder / f"links-{links}{'-wide' if is_wide else ''}"
    if (target / "_SUCCESS").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    for number, since in enumerate(range(0, links, LINKS_A_FILE)):
        a, b = _piece(number, min(LINKS_A_FILE, links - since), sizes(links))
        if is_wide:
            a, b = ((side.view(np.uint64) * np.uint64(_ODD)).view(np.int64) for side in (a, b))
        table = pa.table({"a": a, "b": b})
        pq.write_table(table, target / f"part-{number:05d}.parquet", compression="zstd")
    (target / "_SUCCESS").touch()
    return target


def _piece(number: int, rows: int, numbers: tuple[int, int]) -> tuple[Numbers, Numbers]:
    persons, total = numbers
    chance = np.random.default_rng([20_261_128, number])
    other = chance.integers(persons, total, rows)
    # Whom an identifier belongs to follows from its number, so that another piece says the same.
    share = ((other.view(np.uint64) * np.uint64(_ODD)) >> np.uint64(11)).astype(np.float64) / 2**53
    owner = (persons * share**_SKEW).astype(np.int64)
    drawn = chance.random(rows)
    in_household = drawn < _HOUSEHOLD
    other = np.where(in_household, owner // 2, other)
    at_hub = (drawn >= _HOUSEHOLD) & (drawn < _HOUSEHOLD + _HUB)
    other = np.where(at_hub, persons + owner % _HUBS, other)
    return _shuffled(owner, numbers), _shuffled(other, numbers)


def _shuffled(numbers: Numbers, sizes_of: tuple[int, int]) -> Numbers:
    """One to one among persons and among the others: how busy one is does not show in the number."""
    persons, total = sizes_of
    others = total - persons
    among_persons = numbers * _step(persons) % persons
    return np.where(numbers < persons, among_persons, persons + (numbers - persons) * _step(others) % others)


def _step(total: int) -> int:
    step = int(total * 0.381966) | 1
    while np.gcd(step, total) != 1:
        step += 2
    return step
