"""Token buckets: each key may ask for so many persons a second, and so many at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from services.profiles.access import ApiKey


class Limits:
    """The buckets of one process; with several of them each gives its part of a key's rate."""

    def __init__(self, *, processes: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        """All buckets are full."""
        self._share = 1 / processes
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: ApiKey, persons: int) -> int:
        """Take so many from the key's bucket: 0, or the whole seconds after which they are there; then none is taken.

        A batch that is larger than the bucket empties it.
        """
        rate, burst = key.grant.rate * self._share, max(1.0, key.grant.burst * self._share)
        wanted = min(float(persons), burst)
        now = self._clock()
        level, at = self._levels.get(key.key_id, (burst, now))
        level = min(burst, level + (now - at) * rate)
        enough = level >= wanted
        self._levels[key.key_id] = (level - wanted if enough else level, now)
        return 0 if enough else max(1, math.ceil((wanted - level) / rate))
