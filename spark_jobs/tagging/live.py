"""Which tags can be answered live, that is from events as they come, and why others wait for the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spark_jobs.tagging.definitions import Catalogue, Head, Rule, Tag
from spark_jobs.tagging.dependencies import comparisons_of, measures_of
from spark_jobs.tagging.measures import Count, Filter, Last, Measure, Ratio, Recency, Selection, Span, TagValue
from spark_jobs.tagging.vocabulary import SOURCES

EVENTS = "events"
Where = tuple[Filter, ...]

# Which filters an event passes is kept as the bits of one signed number of 64.
MOST_WHERES = 62
_MONTHS = "where a month is short, a window of months takes back what had left it, which only the batch looks at"


@dataclass(frozen=True, slots=True)
class LiveTags:
    """catalogue: the live tags, each behind those that it uses. others: tag to why it waits for the batch.

    wheres: what their measures ask of events, each once; an event that passes none of them changes nothing.
    """

    catalogue: Catalogue
    wheres: tuple[Where, ...]
    others: Mapping[str, str]


def live_tags(catalogue: Catalogue) -> LiveTags:
    """The live tags of a catalogue; the same catalogue gives the same."""
    live: dict[str, Tag] = {}
    others: dict[str, str] = {}
    wheres: tuple[Where, ...] = ()
    for tag in catalogue.tags:
        reason = next(_reasons(tag.rule, catalogue.head, live), "")
        known = tuple(dict.fromkeys([*wheres, *(one.where for one in event_selections(tag.rule))]))
        if not reason and len(known) > MOST_WHERES:
            reason = f"live tags before it have filters enough: {MOST_WHERES} different ones are kept apart"
        if reason:
            others[tag.name] = reason
        else:
            live[tag.name], wheres = tag, known
    return LiveTags(Catalogue(catalogue.head, tuple(live.values())), wheres, others)


def event_selections(rule: Rule) -> Iterator[Selection]:
    """The events that the live measures of a rule look at."""
    for measure in measures_of(rule):
        if isinstance(measure, Count | Last | Recency) and measure.of.source == EVENTS:
            yield measure.of


def _reasons(rule: Rule, head: Head, live: Mapping[str, Tag]) -> Iterator[str]:
    if EVENTS in head.unrecorded:
        yield "events are not recorded"
    if rule.among == "customers":
        yield "who is a customer is known of orders, which the batch reads"
    for measure in measures_of(rule):
        yield from _of_measure(measure, live)
    for level in rule.levels:
        for comparison in comparisons_of(level.when):
            if any(isinstance(one, Span) and one.unit == "months" for one in comparison.operands):
                yield _MONTHS


def _of_measure(measure: Measure, live: Mapping[str, Tag]) -> Iterator[str]:
    match measure:
        case TagValue(tag):
            if tag not in live:
                yield f"it looks at '{tag}', which is not live"
        case Ratio():
            return  # its parts are measures of the rule as well
        case Count(of) | Last(of) | Recency(of):
            yield from _of_selection(of)
        case _:
            yield f"{type(measure).__name__.lower()}: count, last and recency are live"


def _of_selection(of: Selection) -> Iterator[str]:
    if of.source != EVENTS:
        yield f"{of.source}: events alone come live"
    elif strange := [one.field for one in of.where if one.is_number or one.field not in SOURCES[EVENTS].texts]:
        yield f"{strange[0]}: of properties of events the batch alone takes account"
    elif of.window is not None and of.window.unit == "months":
        yield _MONTHS
