"""How much more happened in one group than in another, with an interval that holds for small and extreme shares too.

Each share has Wilson's score interval; their difference has Newcombe's hybrid of both (R. G. Newcombe, "Interval
estimation for the difference between independent proportions: comparison of eleven methods", Statistics in Medicine 17
(1998), 873-890, method 10): it never leaves [-1, 1], and needs no share to be far from 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share; 0 of nobody."""
        return self.hits / self.of if self.of else 0.0


def wilson(share: Share, *, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927), without continuity correction; (0, 1) of nobody."""
    if not share.of:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    n, p = share.of, share.value
    centre, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    return max(0.0, (centre - spread) / whole), min(1.0, (centre + spread) / whole)


def difference(treated: Share, control: Share, *, level: float = LEVEL) -> tuple[float, float, float] | None:
    """Share of the treated less that of the control group, and its interval; None where one group is empty."""
    if not treated.of or not control.of:
        return None
    (low_t, high_t), (low_c, high_c) = wilson(treated, level=level), wilson(control, level=level)
    p_t, p_c = treated.value, control.value
    lower = p_t - p_c - sqrt((p_t - low_t) ** 2 + (high_c - p_c) ** 2)
    upper = p_t - p_c + sqrt((high_t - p_t) ** 2 + (p_c - low_c) ** 2)
    return p_t - p_c, lower, upper
