"""Live tags of made-up persons: a catalogue of every kind that is live, and the batch's answers to hold them to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from services.live.packing import packed_events
from services.live.plan import LivePlan
from services.live.records import AT, EVENT_WIDTH, Rows, ident_of, nothing, unpacked
from spark_jobs.tagging.calendar import micros, moment_of
from spark_jobs.tagging.definitions import Catalogue
from tests.tag_histories import Click, Life, answers, catalogue_of, definition, moment

COLUMNS = pa.schema(
    [(name, pa.int64()) for name in ("person_no", "moment", "ident")] + [(n, pa.string()) for n in ("name", "terminal")]
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a person; its id is its own."""

    event_id: str
    person: int
    at: datetime
    name: str = "view"
    terminal: str = "pc"

    @property
    def click(self) -> Click:
        """As the oracle takes it."""
        return Click(self.at, self.name, self.terminal)

    def row(self, plan: LivePlan) -> tuple[int, int, int, int]:
        """As the service takes it; the mask may be 0."""
        mask = plan.mask_of({"name": self.name, "terminal": self.terminal})
        return micros(self.at), ident_of(self.event_id), mask, 1


def live_catalogue(folder: Path) -> Catalogue:
    """Counts of all time and within windows, last moments, recencies, a ratio, and a tag that looks at another."""
    some = {"among": "everyone"}
    level = {"levels": [{"value": "true", "when": {"m": {"at_least": 2}}}]}
    views = {"count": "events", "where": {"name": "view"}, "window": "30 days"}
    carts = {"count": "events", "where": {"name": ["cart", "buy"], "terminal": {"not_in": ["mobile"]}}}
    ages = [
        {"value": "old", "when": {"m": {"older_than": "5 days"}}},
        {"value": "new", "when": {"m": {"present": True}}},
    ]
    many = [
        {"value": "many", "when": {"m": {"at_least": 4}}},
        {"value": "some", "when": {"m": {"at_least": 1}}},
    ]
    share = {"measures": {"a": carts | {"window": "20 days"}, "b": views, "m": {"ratio": ["a", "b"]}}}
    looks = {"measures": {"t": {"tag": "views"}}, "levels": [{"value": "true", "when": {"t": {"equals": "many"}}}]}
    return catalogue_of(
        folder,
        definition("ever", among="members", measures={"m": carts}, **level),
        definition("views", measures={"m": views}, levels=many, **some),
        definition("hours", measures={"m": {"count": "events", "window": "36 hours"}}, levels=many, **some),
        # Of nobody at all nothing may be unknown, and a last moment of all time is.
        definition("last", among="members", measures={"m": {"last": "events", "where": {"name": "cart"}}}, levels=ages),
        definition(
            "recency",
            measures={"m": {"recency": "events", "window": "20 days"}},
            levels=None,
            value="m",
            otherwise="none",
            **some,
        ),
        definition("share", **share, levels=[{"value": "true", "when": {"m": {"above": 0.5}}}], **some),
        definition("looks", **looks, **some),
    )


def batch_answers(
    catalogue: Catalogue, events: Collection[Event], registered: Mapping[int, datetime], *, persons: int, base: datetime
) -> dict[str, list[str | None]]:
    """Tag to each person's value as the batch gives it; None for the tag's `otherwise`."""
    lives = [
        Life(registered.get(person), clicks=[one.click for one in events if one.person == person])
        for person in range(persons)
    ]
    found = answers(catalogue, lives, moment(base, catalogue))
    otherwise = {tag.name: tag.rule.otherwise for tag in catalogue.tags}
    return {
        name: [_value(given.get(person), otherwise[name]) for person in range(persons)] for name, given in found.items()
    }


def base_rows(events: Sequence[Event], plan: LivePlan, persons: int) -> list[Rows]:
    """Each person's facts as a load packs them."""
    rows = [
        {
            "person_no": one.person,
            "moment": micros(one.at),
            "ident": ident_of(one.event_id),
            "name": one.name,
            "terminal": one.terminal,
        }
        for one in sorted(events, key=lambda one: one.person)
    ]
    table = pa.Table.from_pylist(rows, schema=COLUMNS)
    found = [nothing(EVENT_WIDTH) for _ in range(persons)]
    for batch in packed_events(table.to_batches(), plan):
        for row in batch.to_pylist():
            found[row["person_no"]] = unpacked(row["packed"], EVENT_WIDTH)
    assert all(len(one) == 0 or one[:, AT].max() <= micros(max(event.at for event in events)) for one in found)
    return found


def is_late(one: Event, plan: LivePlan) -> bool:
    """Whether the service leaves it to the batch."""
    return one.at < moment_of(plan.late_from)


def later(base: datetime, minutes: float) -> datetime:
    """A moment so many minutes behind another."""
    return base + timedelta(minutes=minutes)


def _value(given: tuple[str, int] | None, otherwise: str) -> str | None:
    return None if given is None or given[0] == otherwise else given[0]
