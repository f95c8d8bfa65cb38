"""Tags that look at tags: in which order they are answered, what they inherit, on which sources they depend."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.tagging.definitions import (
    UNKNOWN,
    AllOf,
    AnyOf,
    Catalogue,
    Comparison,
    Condition,
    Head,
    NotOf,
    Rule,
    Sensitivity,
    Tag,
)
from spark_jobs.tagging.measures import (
    Attribute,
    Distribution,
    Given,
    Measure,
    Preference,
    Quantile,
    Ratio,
    Score,
    Selection,
    Sequence,
    Sum,
    TagValue,
    Then,
)


def put_together(head: Head, tags: list[Tag], problems: list[str]) -> Catalogue:
    """The catalogue: each tag behind those that it uses, with their rule hashes and their classes."""
    names = [tag.name for tag in tags]
    problems += [f"tag '{name}' is defined twice" for name in sorted({n for n in names if names.count(n) > 1})]
    known = {tag.name: tag for tag in tags}
    for tag in tags:
        problems += [f"tag '{tag.name}': {problem}" for problem in _problems_of(tag, known)]
    whole: dict[str, Tag] = {}
    for name in _in_order(known, problems):
        tag = known[name]
        used = [whole[other] for other in tags_used(tag.rule) if other in whole]
        classes = {*tag.classes, *_inherited(tag.rule, head), *(one for other in used for one in other.classes)}
        uses = tuple((other.name, other.rule_hash) for other in used)
        whole[name] = replace(tag, classes=tuple(sorted(classes)), uses=uses)
    return Catalogue(head, tuple(whole.values()))


def tags_used(rule: Rule) -> tuple[str, ...]:
    """The tags whose answers a rule looks at, in order."""
    return tuple(sorted({measure.tag for measure in measures_of(rule) if isinstance(measure, TagValue)}))


def with_used(tag: Tag, catalogue: Catalogue) -> tuple[Tag, ...]:
    """The tag and all that it uses, directly or through others."""
    known = {one.name: one for one in catalogue.tags}
    found: dict[str, Tag] = {}
    waiting = [tag.name]
    while waiting:
        one = known[waiting.pop()]
        found[one.name] = one
        waiting += [name for name, _ in one.uses if name not in found]
    return tuple(found.values())


def narrowed(catalogue: Catalogue, names: Collection[str]) -> Catalogue:
    """The tags of these names with all that they use; all tags where none is named. TerminalError for unknown names."""
    if not names:
        return catalogue
    known = {tag.name: tag for tag in catalogue.tags}
    if unknown := [name for name in names if name not in known]:
        raise TerminalError(f"found no definitions of {listed(unknown)}; those that exist: {listed(known)}")
    kept = {one.name for name in names for one in with_used(known[name], catalogue)}
    return Catalogue(catalogue.head, tuple(tag for tag in catalogue.tags if tag.name in kept))


def measures_of(rule: Rule) -> tuple[Measure, ...]:
    """Every measure that a rule looks at, parts of ratios and quantiles included, each once."""
    found: dict[Measure, None] = {}
    roots = [rule.value] if rule.value is not None else []
    for measure in (*roots, *(m for level in rule.levels for m in _measured(level.when))):
        found.update(dict.fromkeys(_with_parts(measure)))
    return tuple(found)


def comparisons_of(condition: Condition) -> Iterator[Comparison]:
    """Every comparison of a condition."""
    match condition:
        case Comparison():
            yield condition
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from comparisons_of(part)
        case NotOf(part):
            yield from comparisons_of(part)


def _measured(condition: Condition) -> Iterator[Measure]:
    for comparison in comparisons_of(condition):
        yield comparison.measure
        if comparison.other is not None:
            yield comparison.other


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


def _in_order(known: dict[str, Tag], problems: list[str]) -> list[str]:
    graph = {name: [used for used in tags_used(tag.rule) if used in known] for name, tag in sorted(known.items())}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        problems.append(f"tags use each other in a circle: {' -> '.join(error.args[1])}")
        return sorted(known)


def _problems_of(tag: Tag, known: dict[str, Tag]) -> Iterator[str]:
    unknown = [name for name in tags_used(tag.rule) if name not in known]
    if unknown:
        yield f"unknown tags {listed(unknown)}; those that exist: {listed(known)}"
    drafts = [name for name in tags_used(tag.rule) if name in known and known[name].state == "draft"]
    if drafts and tag.state != "draft":
        yield f"it is {tag.state}, and looks at drafts: {listed(drafts)}; publish those, or make it a draft as well"
    for level in tag.rule.levels:
        for comparison in comparisons_of(level.when):
            if isinstance(comparison.measure, TagValue) and comparison.measure.tag in known:
                used = known[comparison.measure.tag].rule
                # Where a measure's own text is the answer, anything may be one.
                values = {one.value for one in used.levels} | {used.otherwise}
                strange = {str(value) for value in comparison.operands if isinstance(value, str)} - values
                if strange and (used.levels or UNKNOWN in strange):
                    yield (
                        f"'{comparison.measure.tag}' is never {listed(strange)}; its answers: {listed(values)} "
                        "(what follows from an unknown answer is unknown by itself)"
                    )


def _inherited(rule: Rule, head: Head) -> Iterator[Sensitivity]:
    kinds = {"attribute": head.attributes, "imported": head.imported, "manual": head.manual, "score": head.scores}
    declared = {(kind, name): one for kind, names in kinds.items() for name, one in names}
    declared |= {("property", known.name): known.sensitivity for known in head.properties}
    for measure in measures_of(rule):
        for thing in _spoken_of(measure):
            if (found := declared.get(thing, "none")) != "none":
                yield found


def _spoken_of(measure: Measure) -> Iterator[tuple[str, str]]:
    """What a measure looks at by a name that the head declares: kind and name."""
    match measure:
        case Attribute(name):
            yield "attribute", name
        case Given(kind, name):
            yield kind, name
        case Score(model):
            yield "score", model
        case TagValue() | Ratio() | Quantile():
            return  # made of other tags and measures
        case Sequence(first, other, _) | Then(first, other, _):
            for selection in (first, other):
                yield from _fields(selection)
        case _:
            yield from _fields(measure.of)
            if measure.of.source == "events" and isinstance(measure, Sum | Preference | Distribution):
                by = () if isinstance(measure, Sum) or measure.by is None else (measure.by,)
                yield from (("property", field) for field in (measure.field, *by))


def _fields(selection: Selection) -> Iterator[tuple[str, str]]:
    if selection.source == "events":
        yield from (("property", one.field) for one in selection.where)
