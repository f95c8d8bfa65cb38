"""What live tags of one publication count: the compiled plan, its filters as bits, and how far back facts reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from spark_jobs.tagging.calendar import DAY_US
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.dispatch import passes_text
from spark_jobs.tagging.frames import Codes, Integers
from spark_jobs.tagging.live import LiveTags, Where, event_selections, live_tags
from spark_jobs.tagging.measures import Selection
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, compile_plan

# An event that came so much later than the batch's base time is left to the next batch: ids are kept for so long.
LATE_DAYS = 7
# Where clocks are set back, a later base time may have an earlier beginning of its window, by less than this.
_MARGIN_US = 2 * DAY_US


@dataclass(frozen=True)
class LivePlan:
    """Live tags at the base time of their batch; `moment` is that of the batch."""

    tags: LiveTags
    plan: Plan
    moment: Moment

    @cached_property
    def selections(self) -> tuple[Selection, ...]:
        """The events that any tag looks at, each selection once."""
        every = (one for tag in self.tags.catalogue.tags for one in event_selections(tag.rule))
        return tuple(dict.fromkeys(every))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Text fields of events that filters speak of."""
        return tuple(sorted({one.field for where in self.tags.wheres for one in where}))

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """Event names outside of which no filter passes; None where any name may pass."""
        found: set[str] = set()
        for where in self.tags.wheres:
            named = [one.operands for one in where if one.field == "name" and one.kind == "in"]
            if not named:
                return None
            found |= {str(value) for value in named[0]}
        return tuple(sorted(found))

    @cached_property
    def counts_all(self) -> bool:
        """Whether some measure looks at all history."""
        return any(one.window is None for one in self.selections)

    @property
    def late_from(self) -> int:
        """Events of before this moment are the batch's alone."""
        return self.moment.base - LATE_DAYS * DAY_US

    @cached_property
    def since(self) -> int:
        """What is older lies in no window of any base time from the batch's on, and needs no id."""
        starts = [self.moment.start_of(one.window) for one in self.selections if one.window is not None]
        return min([self.late_from, *(start - _MARGIN_US for start in starts)])

    def at(self, base: int) -> Moment:
        """The moment of a later base time."""
        return replace(self.moment, base=base)

    def bit_of(self, where: Where) -> int:
        """The bit of a filter."""
        return 1 << self.tags.wheres.index(where)

    def mask_of(self, fields: Mapping[str, str | None]) -> int:
        """Which filters an event passes; 0 where it changes nothing."""
        mask = 0
        for place, where in enumerate(self.tags.wheres):
            if all(passes_text(one, fields[one.field]) for one in where):
                mask |= 1 << place
        return mask

    def masks(self, columns: Mapping[str, Codes], count: int) -> Integers:
        """The same of many events; in: a column of each of `fields`."""
        masks = np.zeros(count, dtype=np.int64)
        for place, where in enumerate(self.tags.wheres):
            passing = np.ones(count, dtype=np.bool_)
            for one in where:
                passing &= columns[one.field].where(partial(passes_text, one))
            masks |= passing.astype(np.int64) << place
        return masks


def live_plan(catalogue: Catalogue, moment: Moment) -> LivePlan | None:
    """The plan of a catalogue's live tags; None where there are none."""
    tags = live_tags(catalogue)
    return LivePlan(tags, compile_plan(tags.catalogue), moment) if tags.catalogue.tags else None
