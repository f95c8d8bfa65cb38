"""Devices that a decision separates, while one person alone uses both."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from spark_jobs.identity.sharing import parted

SLICED = (
    "identifier_no bigint, limit int, owner bigint, strength struct<n:int>, identifier_a bigint, identifier_b bigint, "
    "is_apart boolean, is_locked boolean"
)
DECIDED = "identifier_a bigint, identifier_b bigint"
LOGIN, OTHER = 1, 2


@pytest.mark.parametrize(
    ("decided", "gone"),
    [
        ([(11, 12)], {12}),
        ([(12, 11)], {12}),
        ([(11, 12), (12, 13)], {12}),  # 13 is kept apart from nobody who stays
        ([(12, 13), (13, 11)], {13}),
        ([(11, 12), (12, 13), (11, 13)], {12, 13}),
        ([(11, 14)], set()),  # of another person
        ([(11, 15)], set()),  # shared: nobody holds it for good
        ([(11, 16)], set()),  # nobody's
    ],
)
def test_of_two_devices_that_are_kept_apart_the_weaker_one_goes(
    spark: SparkSession, decided: list[tuple[int, int]], gone: set[int]
) -> None:
    # The smaller its number, the stronger a device's link.
    links = [(n, 10, LOGIN, (n,), LOGIN, n, False, False) for n in (11, 12, 13)]
    links += [(14, 10, OTHER, (1,), OTHER, 14, False, False)]
    links += [(15, 10, LOGIN, (1,), LOGIN, 15, False, False), (15, 10, OTHER, (2,), OTHER, 15, False, False)]
    links += [(16, 10, LOGIN, (1,), LOGIN, 16, True, False)]
    sliced = spark.createDataFrame(links, SLICED)
    found = parted(sliced, spark.createDataFrame(decided, DECIDED)).collect()
    assert len(found) == len(links)
    assert {row.identifier_no for row in found if row.is_apart} == gone | {16}
