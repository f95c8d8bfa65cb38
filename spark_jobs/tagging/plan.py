"""The compiler: what all tags of a catalogue ask for, each thing once, and which columns of which source it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spark_jobs.tagging.definitions import (
    Aggregate,
    AllOf,
    Among,
    AnyOf,
    Attribute,
    Catalogue,
    Comparison,
    Condition,
    Count,
    Days,
    First,
    Last,
    Measure,
    NotOf,
    Preference,
    Quantile,
    Ratio,
    Recency,
    Rhythm,
    Rule,
    Selection,
    Sequence,
    Sum,
    Tag,
)
from spark_jobs.tagging.vocabulary import SOURCES

REGISTERED = First(Selection("members"))
BOUGHT = Count(Selection("purchases"))


@dataclass(frozen=True, slots=True)
class Pending:
    """The earliest moment at which an open `first` of the sequence will have waited long enough."""

    of: Sequence


@dataclass(frozen=True, slots=True)
class Ranked:
    """A quantile and the group of persons among whom it is drawn: its limits are shared by all tags that ask so."""

    quantile: Quantile
    among: Among


NumberFeature = Count | Sum | First | Last | Days | Rhythm | Sequence | Pending
TextFeature = Preference | Attribute


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """What is read of one source: slots of its fields, which rows anybody needs, whose moments are kept."""

    name: str
    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    selections: tuple[Selection, ...]
    moments: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan for all tags: features in the order in which the kernel returns them, and sources, each once."""

    tags: tuple[Tag, ...]
    numbers: tuple[NumberFeature, ...]
    texts: tuple[TextFeature, ...]
    ranked: tuple[Ranked, ...]
    sources: tuple[SourcePlan, ...]

    @property
    def positions(self) -> dict[NumberFeature | TextFeature, int]:
        """Where each feature stands among those of its kind."""
        return {feature: n for features in (self.numbers, self.texts) for n, feature in enumerate(features)}

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes of the member's record that any tag asks for."""
        return tuple(sorted({feature.name for feature in self.texts if isinstance(feature, Attribute)}))

    @property
    def text_slots(self) -> int:
        """Text columns of a fact; an attribute takes two: its name and its value."""
        return max([2 if self.attributes else 0, *(len(source.texts) for source in self.sources)])

    @property
    def number_slots(self) -> int:
        """Number columns of a fact."""
        return max(len(source.numbers) for source in self.sources)

    def source(self, name: str) -> SourcePlan:
        """The plan of one source; KeyError where no tag needs it."""
        return {source.name: source for source in self.sources}[name]


def compile_plan(catalogue: Catalogue) -> Plan:
    """The plan of a catalogue; the same catalogue gives the same plan."""
    features: dict[NumberFeature | TextFeature, None] = {REGISTERED: None}
    if any(tag.rule.among == "customers" for tag in catalogue.tags):
        features[BOUGHT] = None
    ranked: dict[Ranked, None] = {}
    for tag in catalogue.tags:
        for measure in measures_of(tag.rule):
            features.update(dict.fromkeys(_features(measure)))
            if isinstance(measure, Quantile):
                ranked[Ranked(measure, tag.rule.among)] = None
    return Plan(
        tags=catalogue.tags,
        numbers=tuple(feature for feature in features if not isinstance(feature, Preference | Attribute)),
        texts=tuple(feature for feature in features if isinstance(feature, Preference | Attribute)),
        ranked=tuple(ranked),
        sources=_sources(tuple(features)),
    )


def measures_of(rule: Rule) -> tuple[Measure, ...]:
    """Every measure that a rule looks at, parts of ratios and quantiles included, each once."""
    found: dict[Measure, None] = {}
    roots = [rule.value] if rule.value is not None else []
    for measure in (*roots, *(m for level in rule.levels for m in _measured(level.when))):
        found.update(dict.fromkeys(_with_parts(measure)))
    return tuple(found)


def sources_of(rule: Rule) -> frozenset[str]:
    """Sources on whose rows a rule's answers depend."""
    features = [feature for measure in measures_of(rule) for feature in _features(measure)]
    used = {selection.source for feature in features for selection in selections_of(feature)}
    among = {"members"} if rule.among == "members" else {"members", "purchases"} if rule.among == "customers" else set()
    # Lines count only where their order does; whether history is complete follows from the registration.
    return frozenset({*used, *among, "members", *(["purchases"] if "purchase_lines" in used else [])})


def selections_of(feature: NumberFeature | TextFeature) -> tuple[Selection, ...]:
    """The rows that a feature is made of."""
    match feature:
        case Sequence(first, without, _) | Pending(Sequence(first, without, _)):
            # What follows lies in the same window: nothing older is read for it.
            return (first, replace(without, window=first.window))
        case Attribute():
            return (Selection("members"),)
        case _:
            return (feature.of,)


def _measured(condition: Condition) -> Iterator[Measure]:
    match condition:
        case Comparison(measure, _, _, other):
            yield measure
            if other is not None:
                yield other
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _measured(part)
        case NotOf(part):
            yield from _measured(part)


def _with_parts(measure: Measure) -> Iterator[Measure]:
    match measure:
        case Ratio(part, whole):
            yield from _with_parts(part)
            yield from _with_parts(whole)
        case Quantile(of, _):
            yield from _with_parts(of)
        case _:
            pass
    yield measure


def _features(measure: Measure) -> Iterator[NumberFeature | TextFeature]:
    """What the kernel has to aggregate for a measure, and for the moment at which its window loses a row."""
    match measure:
        case Sequence():
            yield measure
            yield Pending(measure)
        case Ratio() | Quantile():
            return  # made of other measures
        case Recency(of):
            yield Last(of)
        case _:
            yield measure
    if isinstance(measure, Aggregate) and measure.of.window is not None:
        yield First(measure.of)


def _sources(features: tuple[NumberFeature | TextFeature, ...]) -> tuple[SourcePlan, ...]:
    used = {selection.source for feature in features for selection in selections_of(feature)}
    if "purchase_lines" in used:
        used.add("purchases")  # which orders count
    return tuple(_source(name, features) for name in SOURCES if name in used)


def _source(name: str, features: tuple[NumberFeature | TextFeature, ...]) -> SourcePlan:
    texts: set[str] = set()
    numbers: set[str] = set()
    selections: dict[Selection, None] = {}
    moments: dict[Selection, None] = {}
    for feature in features:
        mine = [selection for selection in selections_of(feature) if selection.source == name]
        selections.update(dict.fromkeys(mine))
        texts |= {field for selection in mine for field, _ in selection.where}
        if isinstance(feature, Sequence):
            moments.update(dict.fromkeys(mine))
        if mine and isinstance(feature, Preference):
            texts.add(feature.field)
            numbers |= {feature.by} if feature.by else set()
        if mine and isinstance(feature, Sum):
            numbers.add(feature.field)
    return SourcePlan(name, tuple(sorted(texts)), tuple(sorted(numbers)), tuple(selections), tuple(moments))
