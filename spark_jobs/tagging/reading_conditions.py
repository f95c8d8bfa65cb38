"""Conditions and levels of a definition, from YAML to values; every problem is noted."""

from __future__ import annotations

from dataclasses import replace

from spark_jobs.findings import Findings, Keys, listed, shown
from spark_jobs.tagging.definitions import (
    UNKNOWN,
    AllOf,
    AnyOf,
    Comparison,
    ComparisonKind,
    Condition,
    Level,
    NotOf,
)
from spark_jobs.tagging.measures import Count, Distribution, Filter, Measure, Ratio, Selection, Sum
from spark_jobs.tagging.reading_where import WINDOW_UNITS, Context, in_order, read_span
from spark_jobs.tagging.vocabulary import MeasureType, decimals_of, type_of

NUMBER: tuple[ComparisonKind, ...] = ("at_least", "above", "at_most", "below")
SHARE_OF = "share_of"
KINDS_OF: dict[MeasureType, tuple[str, ...]] = {
    "number": (*NUMBER, "present"),
    "instant": ("within", "older_than", "present"),
    "text": ("equals", "in", "present"),
    "duration": ("present",),
    "shares": (SHARE_OF,),
}
COMBINATIONS = ("all", "any", "not")
LEVEL_KEYS: Keys = {"value": True, "when": True}
TIMES_KEYS: Keys = {"times": True, "measure": True}
SHARE_KEYS: Keys = {"value": True, **dict.fromkeys(NUMBER, False)}
_NOTHING = AllOf(())


def read_levels(raw: object, context: Context, *, otherwise: str) -> tuple[Level, ...]:
    """The levels in declared order."""
    findings = context.findings
    if not isinstance(raw, list) or not raw:
        findings.add("levels", f"found {shown(raw)}, wanted a list of at least one level")
        return ()
    levels: list[Level] = []
    for number, item in enumerate(raw, start=1):
        where = f"levels[{number}]"
        given = findings.mapping(item, where, LEVEL_KEYS)
        value = findings.text(given.get("value"), f"{where}.value")
        if value in {UNKNOWN, otherwise, *(level.value for level in levels)} and value:
            findings.add(f"{where}.value", f"'{value}' is taken: by unknown, by otherwise or by a level above")
        levels.append(Level(value, read_condition(given.get("when"), f"{where}.when", context)))
    return tuple(levels)


def read_condition(raw: object, where: str, context: Context) -> Condition:
    """`all`, `any`, `not`, or measures with their comparisons, all of which must hold."""
    if isinstance(raw, dict) and len(raw) == 1 and next(iter(raw)) in COMBINATIONS:
        return _combined(next(iter(raw)), next(iter(raw.values())), where, context)
    parts: list[Condition] = []
    measures = context.measures
    for name, comparisons in context.findings.entries(raw, where).items():
        if name not in measures:
            context.findings.add(
                where, f"unknown measure '{name}'; those that exist: {listed(measures)}, or one of all, any, not"
            )
        elif (measure := measures[name]) is not None:
            parts += _comparisons(measure, comparisons, f"{where}.{name}", context)
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _combined(kind: str, raw: object, where: str, context: Context) -> Condition:
    place = f"{where}.{kind}"
    if kind == "not":
        return NotOf(read_condition(raw, place, context))
    if not isinstance(raw, list) or not raw:
        context.findings.add(place, f"found {shown(raw)}, wanted a list of conditions")
        return _NOTHING
    parts = tuple(read_condition(part, f"{place}[{n}]", context) for n, part in enumerate(raw, start=1))
    return AllOf(parts) if kind == "all" else AnyOf(parts)


def _comparisons(measure: Measure, raw: object, where: str, context: Context) -> list[Condition]:
    allowed = KINDS_OF[type_of(measure)]
    found: list[Condition] = []
    for kind, operand in context.findings.entries(raw, where).items():
        if kind not in allowed:
            context.findings.add(
                where, f"unknown comparison '{kind}' of a {type_of(measure)}; those that exist: {listed(allowed)}"
            )
        elif isinstance(measure, Distribution):
            found += _share_of(measure, operand, f"{where}.{kind}", context)
        else:
            found.append(_comparison(measure, (kind, operand), f"{where}.{kind}", context))
    return found


def _comparison(measure: Measure, given: tuple[str, object], where: str, context: Context) -> Comparison:
    kind, operand = given
    findings = context.findings
    match kind:
        case "present":
            return Comparison(measure, "present", (findings.true_or_false(operand, where),))
        case "equals":
            return Comparison(measure, "equals", (findings.text(operand, where, is_needed=True),))
        case "in":
            return Comparison(measure, "in", _texts(operand, where, findings))
        case "older_than" if isinstance(operand, dict):
            return _older_than_times(measure, operand, where, context)
        case "within" | "older_than":
            span = read_span(operand, where, findings, units=WINDOW_UNITS)
            return Comparison(measure, "within" if kind == "within" else "older_than", (span,))
        case _:
            return _of_number(measure, given, where, findings)


def _of_number(measure: Measure, given: tuple[str, object], where: str, findings: Findings) -> Comparison:
    kind, raw = next(known for known in NUMBER if known == given[0]), given[1]
    decimals = decimals_of(measure)
    if decimals is None:
        return Comparison(measure, kind, (findings.decimal(raw, where),))
    return Comparison(measure, kind, (findings.scaled(raw, decimals, where),))


def _texts(raw: object, where: str, findings: Findings) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw:
        findings.add(where, f"found {shown(raw)}, wanted a list of texts")
        return ()
    return tuple(sorted({findings.text(value, where, is_needed=True) for value in raw}))


def _older_than_times(measure: Measure, raw: dict[object, object], where: str, context: Context) -> Comparison:
    # `{times: 2, measure: rhythm}`: longer ago than twice the person's own rhythm.
    findings, measures = context.findings, context.measures
    given = findings.mapping(raw, where, TIMES_KEYS)
    durations = {name for name, known in measures.items() if known is not None and type_of(known) == "duration"}
    name = findings.choice(given.get("measure"), where, durations, what="rhythm")
    times = findings.decimal(given.get("times"), where)
    if times <= 0:
        findings.add(where, f"found times {shown(given.get('times'))}, wanted a number above 0")
    return Comparison(measure, "older_than_times", (float(times),), other=measures[name] if name else measure)


def _share_of(measure: Distribution, raw: object, where: str, context: Context) -> list[Condition]:
    # The share of one value is a ratio: rows that have it over rows that have any.
    given = context.findings.mapping(raw, where, SHARE_KEYS)
    value = given.pop("value", None)
    values = _texts(value if isinstance(value, list) else [value], where, context.findings)
    if not given:
        context.findings.add(where, f"found no comparison, wanted one of: {listed(NUMBER)}")
    part, whole = (
        _part(measure, wanted, context)
        for wanted in (Filter(measure.field, "in", values), Filter(measure.field, "present", (True,)))
    )
    return [_of_number(Ratio(part, whole), (kind, limit), where, context.findings) for kind, limit in given.items()]


def _part(measure: Distribution, wanted: Filter, context: Context) -> Measure:
    of: Selection = replace(measure.of, where=in_order([*measure.of.where, wanted]))
    if measure.by is None:
        return Count(of)
    return Sum(of, measure.by, context.sources[of.source].numbers[measure.by])
