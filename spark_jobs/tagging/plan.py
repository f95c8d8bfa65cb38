"""The compiler: what all tags of a catalogue ask for, each thing once, and which columns of which source it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from spark_jobs.tagging.definitions import Among, Catalogue, Rule, Tag
from spark_jobs.tagging.dependencies import measures_of, tags_used, with_used
from spark_jobs.tagging.measures import (
    Aggregate,
    Attribute,
    Between,
    Count,
    Days,
    Distribution,
    Filter,
    FilterKind,
    First,
    Given,
    GivenKind,
    Last,
    Measure,
    Preference,
    Quantile,
    Ratio,
    Recency,
    Rhythm,
    Score,
    Selection,
    Sequence,
    Since,
    Span,
    Sum,
    TagValue,
    Then,
)
from spark_jobs.tagging.vocabulary import SOURCES, Sources, sources_of_head

REGISTERED = First(Selection("members"))
BOUGHT = Count(Selection("purchases"))

# Days are numbers below it, so that each cut that lies behind adds what no day does; moments are larger still.
CUT = 2**18


@dataclass(frozen=True, slots=True)
class Pending:
    """The earliest moment at which an open `first` of the sequence will have waited long enough."""

    of: Sequence


@dataclass(frozen=True, slots=True)
class Ranked:
    """A quantile and the group of persons among whom it is drawn: its limits are shared by all tags that ask so."""

    quantile: Quantile
    among: Among


NumberFeature = Count | Sum | First | Last | Days | Between | Rhythm | Sequence | Then | Pending | Score
TextFeature = Preference | Distribution | Attribute | Given
Feature = NumberFeature | TextFeature


@dataclass(frozen=True, slots=True)
class Bins:
    """A number field as a text: between, or at, which of the limits of all filters a row's number lies.

    Position 2 * n + 1 is the limit n itself, 2 * n the numbers below it and above the one before.
    """

    field: str
    limits: tuple[int, ...]

    def passing(self, wanted: Filter) -> frozenset[str | None]:
        """The positions, as texts, whose numbers pass a filter on this field; None stands for no number."""
        if wanted.kind == "present" and not wanted.operands[0]:
            return frozenset([None])
        known = range(2 * len(self.limits) + 1)
        if wanted.kind == "present":
            return frozenset(map(str, known))
        limit = 2 * self.limits.index(int(wanted.operands[0])) + 1
        holds: dict[FilterKind, Callable[[int], bool]] = {
            "at_least": lambda position: position >= limit,
            "above": lambda position: position > limit,
            "at_most": lambda position: position <= limit,
            "below": lambda position: position < limit,
        }
        return frozenset(str(position) for position in known if holds[wanted.kind](position))


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """What is read of one source: slots of its fields, which rows anybody needs, whose moments are kept.

    bins take text slots behind `texts`. scales: decimals of `numbers`. cuts: lengths of windows that begin within a
    day; rows on both sides of such a beginning stay apart.
    """

    name: str
    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    selections: tuple[Selection, ...]
    moments: tuple[Selection, ...]
    bins: tuple[Bins, ...] = ()
    cuts: tuple[Span, ...] = ()
    decimals: tuple[tuple[str, int], ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields that are read, each once."""
        return tuple(dict.fromkeys((*self.texts, *self.numbers, *(one.field for one in self.bins))))


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan for all tags: features in the order in which the kernel returns them, and sources, each once."""

    tags: tuple[Tag, ...]
    numbers: tuple[NumberFeature, ...]
    texts: tuple[TextFeature, ...]
    ranked: tuple[Ranked, ...]
    sources: tuple[SourcePlan, ...]

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes of the member's record that any tag asks for."""
        return tuple(sorted({feature.name for feature in self.texts if isinstance(feature, Attribute)}))

    @property
    def given(self) -> tuple[tuple[GivenKind, str], ...]:
        """Texts from outside that any tag asks for: kind and name."""
        return tuple(sorted({(one.kind, one.name) for one in self.texts if isinstance(one, Given)}))

    @property
    def models(self) -> tuple[str, ...]:
        """Models whose scores any tag asks for."""
        return tuple(sorted({feature.model for feature in self.numbers if isinstance(feature, Score)}))

    @property
    def used(self) -> frozenset[str]:
        """Tags whose answers other tags look at."""
        return frozenset(name for tag in self.tags for name in tags_used(tag.rule))

    @property
    def text_slots(self) -> int:
        """Text columns of a fact; what is looked up takes two: its name and its value."""
        looked_up = 2 if self.attributes or self.given or self.models else 0
        return max([looked_up, *(len(source.texts) + len(source.bins) for source in self.sources)])

    @property
    def number_slots(self) -> int:
        """Number columns of a fact; a score takes one."""
        return max([1 if self.models else 0, *(len(source.numbers) for source in self.sources)])

    def source(self, name: str) -> SourcePlan:
        """The plan of one source; KeyError where no tag needs it."""
        return {source.name: source for source in self.sources}[name]


def compile_plan(catalogue: Catalogue) -> Plan:
    """The plan of a catalogue; the same catalogue gives the same plan.

    What looks at a source that the workspace does not record is no part of it: its answers are unknown anyway.
    """
    features: dict[Feature, None] = {REGISTERED: None}
    if any(tag.rule.among == "customers" for tag in catalogue.tags):
        features[BOUGHT] = None
    ranked: dict[Ranked, None] = {}
    for tag in catalogue.tags:
        for measure in measures_of(tag.rule):
            if sources_of_measure(measure) & catalogue.head.unrecorded:
                continue
            features.update(dict.fromkeys(_features(measure)))
            if isinstance(measure, Quantile):
                ranked[Ranked(measure, tag.rule.among)] = None
    return Plan(
        tags=catalogue.tags,
        numbers=tuple(feature for feature in features if not isinstance(feature, TextFeature)),
        texts=tuple(feature for feature in features if isinstance(feature, TextFeature)),
        ranked=tuple(ranked),
        sources=_sources(tuple(features), sources_of_head(catalogue.head)),
    )


def sources_of(rule: Rule) -> frozenset[str]:
    """Sources on whose rows a rule's answers depend, those of tags that it uses aside."""
    used = frozenset(source for measure in measures_of(rule) for source in sources_of_measure(measure))
    among = {"members"} if rule.among == "members" else {"members", "purchases"} if rule.among == "customers" else set()
    # Lines count only where their order does; whether history is complete follows from the registration.
    return frozenset({*used, *among, "members", *(["purchases"] if "purchase_lines" in used else [])})


def sources_of_tag(tag: Tag, catalogue: Catalogue) -> frozenset[str]:
    """Sources on whose rows a tag's answers depend, those of the tags that it uses included."""
    return frozenset(source for one in with_used(tag, catalogue) for source in sources_of(one.rule))


def sources_of_measure(measure: Measure) -> frozenset[str]:
    """Sources whose rows a measure looks at."""
    match measure:
        case Ratio(part, whole):
            return sources_of_measure(part) | sources_of_measure(whole)
        case Quantile(of, _):
            return sources_of_measure(of)
        case _:
            return frozenset(selection.source for one in _features(measure) for selection in selections_of(one))


def selections_of(feature: Feature) -> tuple[Selection, ...]:
    """The rows that a feature is made of."""
    match feature:
        case Sequence(first, other, _) | Pending(Sequence(first, other, _)) | Then(first, other, _):
            # What follows lies in the same window: nothing older is read for it.
            return (first, replace(other, window=first.window))
        case Attribute():
            return (Selection("members"),)
        case Given() | Score():
            return (Selection("given_values"),)
        case _:
            return (feature.of,)


def selections_of_measure(measure: Measure) -> tuple[Selection, ...]:
    """The rows that a measure is made of, those of measures that are its parts aside."""
    return tuple(dict.fromkeys(one for feature in _features(measure) for one in selections_of(feature)))


def _features(measure: Measure) -> Iterator[Feature]:
    """What the kernel has to aggregate for a measure, and for the moment at which its window loses a row."""
    match measure:
        case Sequence():
            yield measure
            yield Pending(measure)
        case Ratio() | Quantile() | TagValue():
            return  # made of other measures, or tags
        case Recency(of):
            yield Last(of)
        case Since(of):
            yield First(of)
        case _:
            yield measure
    if isinstance(measure, Aggregate) and measure.of.window is not None:
        yield First(measure.of)


def _sources(features: tuple[Feature, ...], known: Sources) -> tuple[SourcePlan, ...]:
    used = {selection.source for feature in features for selection in selections_of(feature)}
    if "purchase_lines" in used:
        used.add("purchases")  # which orders count
    return tuple(_source(name, features, known) for name in SOURCES if name in used)


def _source(name: str, features: tuple[Feature, ...], known: Sources) -> SourcePlan:
    texts: set[str] = set()
    numbers: set[str] = set()
    selections: dict[Selection, None] = {}
    moments: dict[Selection, None] = {}
    for feature in features:
        mine = [selection for selection in selections_of(feature) if selection.source == name]
        selections.update(dict.fromkeys(mine))
        texts |= {one.field for selection in mine for one in selection.where if not one.is_number}
        if isinstance(feature, Sequence | Then):
            moments.update(dict.fromkeys(mine))
        if mine and isinstance(feature, Preference | Distribution):
            texts.add(feature.field)
            numbers |= {feature.by} if feature.by else set()
        if mine and isinstance(feature, Sum):
            numbers.add(feature.field)
    bins = _bins(tuple(selections))
    scales = known[name].numbers
    return SourcePlan(
        name,
        texts=tuple(sorted(texts)),
        numbers=tuple(sorted(numbers)),
        selections=tuple(selections),
        moments=tuple(moments),
        bins=bins,
        cuts=tuple(dict.fromkeys(s.window for s in selections if s.window is not None and s.window.unit == "hours")),
        decimals=tuple((field, scales[field]) for field in sorted({*numbers, *(one.field for one in bins)})),
    )


def _bins(selections: tuple[Selection, ...]) -> tuple[Bins, ...]:
    limits: dict[str, set[int]] = {}
    for wanted in (one for selection in selections for one in selection.where if one.is_number):
        found = limits.setdefault(wanted.field, set())
        if wanted.kind != "present":
            found.add(int(wanted.operands[0]))
    return tuple(Bins(field, tuple(sorted(limits[field]))) for field in sorted(limits))
