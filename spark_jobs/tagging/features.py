"""What rules ask of persons: numbers and coded texts, whoever computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spark_jobs.tagging.frames import Codes, Integers
from spark_jobs.tagging.plan import Feature, NumberFeature, TextFeature

# Stands for "no such moment"; counts and sums of nothing are 0.
ABSENT = int(np.iinfo(np.int64).min)


class Features(Protocol):
    """Measures of many persons, in one order."""

    @property
    def count(self) -> int:
        """How many persons."""

    def number(self, feature: NumberFeature) -> Integers:
        """A number of each person; ABSENT where there is none."""

    def text(self, feature: TextFeature) -> Codes:
        """A text of each person; null where there is none."""


@dataclass(frozen=True, slots=True)
class NoTexts:
    """Persons of whom numbers alone are known."""

    count: int
    numbers: Mapping[Feature, Integers]

    def number(self, feature: NumberFeature) -> Integers:
        """A number of each person."""
        return self.numbers[feature]

    def text(self, feature: TextFeature) -> Codes:
        """Nothing of anybody."""
        del feature
        return Codes.nothing(self.count)
