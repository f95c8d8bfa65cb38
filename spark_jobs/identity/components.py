"""Connected components of any number of links: contracted where they lie, finished by one task when they fit.

The label of a component is its smallest number. Links travel in packed rows; what rounds leave are files, which survive
the loss of an executor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.identity import contraction, packing
from spark_jobs.identity.packing import LINKS, PACKED, SETTLED

log = logging.getLogger(__name__)

# Links that one task finishes; of two numbers each that nobody else has, they take 64 bytes a link, usually half of it.
ROOT_LINK_BUDGET = 20_000_000
# So few links are not worth a file between two tasks.
FEW = 1_000_000
# A round leaves two thirds of what it found or less, usually a tenth; so many rounds mean that something is wrong.
MOST_ROUNDS = 60
_ROWS = "node bigint, root bigint"
# Numbers between the lowest and the highest that a link may cost before a dictionary is smaller than a place for each.
_DENSE = 6

Keep = Callable[[DataFrame, str], DataFrame]


def labels(links: DataFrame, keep: Keep, *, at_most: int, budget: int = ROOT_LINK_BUDGET) -> DataFrame:
    """node, root: the smallest number that each end is connected with; a node stands once.

    In: two columns of numbers, the ends (self links and doubles are welcome); `at_most` so many rows. `keep` writes
    rows under a name and reads them back.
    """
    packed = links.mapInArrow(contraction.contract, PACKED)
    if at_most <= min(budget, FEW):
        return packed.repartition(1).mapInArrow(contraction.finishing(None, is_packed=False), _ROWS)
    return labels_of(keep(packed, "components_stars"), keep, budget=budget)


def labels_of(packed: DataFrame, keep: Keep, *, budget: int = ROOT_LINK_BUDGET) -> DataFrame:
    """The same of links that are packed and kept already."""
    rounds: list[DataFrame] = []
    left, bounds = _left(packed)
    # Of the numbers, at most two a link, a task that looks labels up holds a quarter of the budget at a time.
    bits = packing.bits_for(2 * left, budget // 4)
    while left > budget:
        if len(rounds) == MOST_ROUNDS:
            raise TerminalError(
                f"after {MOST_ROUNDS} rounds {left} links are left, wanted {budget} or less; "
                "give one task more memory and raise --root-link-budget"
            )
        packed = keep(_contracted(packed, len(rounds), left, budget), f"components_round_{len(rounds)}")
        rounds.append(packed)
        before, (left, bounds) = left, _left(packed)
        log.info("round %d: %d links of %d are left", len(rounds), left, before)
    remainder = _of_kind(packed, LINKS).coalesce(1)
    if not rounds:
        return remainder.mapInArrow(contraction.finishing(bounds, is_packed=False), _ROWS)
    found = keep(remainder.mapInArrow(contraction.finishing(bounds, is_packed=True), PACKED), "components_labels")
    for number, merged in reversed(list(enumerate(rounds))):
        asked = found.unionByName(_of_kind(merged, SETTLED)).mapInArrow(contraction.placing(bits), PACKED)
        found = keep(_looked_up(asked), f"components_labels_{number}")
    # Rounds go by salted numbers, so a label is some number of its component, and not yet the smallest.
    named = _looked_up(found.mapInArrow(contraction.naming(bits), PACKED))
    return named.mapInArrow(contraction.as_rows, _ROWS)


def _contracted(packed: DataFrame, number: int, left: int, budget: int) -> DataFrame:
    salt, bits = packing.salt_of(number), packing.bits_for(left, budget // 4)
    spread = _of_kind(packed, LINKS).mapInArrow(contraction.spreading(salt, bits), PACKED)
    return packing.by_bucket(spread).mapInArrow(contraction.settling(salt), PACKED)


def _looked_up(asked: DataFrame) -> DataFrame:
    return packing.by_bucket(asked).mapInArrow(contraction.look_up, PACKED)


def _of_kind(packed: DataFrame, kind: int) -> DataFrame:
    return packed.where(F.col("kind") == kind)


def _left(packed: DataFrame) -> tuple[int, tuple[int, int] | None]:
    """How many links, and their lowest and highest number where these are close enough to give each number a place."""
    sums = F.sum("rows").alias("links"), F.min("low").alias("low"), F.max("high").alias("high")
    found = _of_kind(packed, LINKS).agg(*sums)
    row = found.collect()[0]
    links = int(row["links"] or 0)
    if not links or row["high"] - row["low"] >= _DENSE * links:
        return links, None
    return links, (int(row["low"]), int(row["high"]))
