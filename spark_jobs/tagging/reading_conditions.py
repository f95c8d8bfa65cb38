"""Conditions and levels of a definition, from YAML to values; every problem is noted."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from spark_jobs.tagging.definitions import (
    UNKNOWN,
    AllOf,
    AnyOf,
    Comparison,
    ComparisonKind,
    Condition,
    Level,
    Measure,
    NotOf,
)
from spark_jobs.tagging.findings import Findings, listed, shown
from spark_jobs.tagging.reading_measures import read_span
from spark_jobs.tagging.vocabulary import MeasureType, decimals_of, type_of

Measures = Mapping[str, Measure | None]

_NUMBER: tuple[ComparisonKind, ...] = ("at_least", "above", "at_most", "below")
KINDS_OF: dict[MeasureType, tuple[ComparisonKind, ...]] = {
    "number": (*_NUMBER, "present"),
    "instant": ("within", "older_than", "present"),
    "text": ("equals", "in", "present"),
    "duration": ("present",),
}
_COMBINATIONS = ("all", "any", "not")
_NOTHING = AllOf(())


def read_levels(raw: object, measures: Measures, findings: Findings, *, otherwise: str) -> tuple[Level, ...]:
    """The levels in declared order."""
    if not isinstance(raw, list) or not raw:
        findings.add("levels", f"found {shown(raw)}, wanted a list of at least one level")
        return ()
    levels: list[Level] = []
    for number, item in enumerate(raw, start=1):
        where = f"levels[{number}]"
        given = findings.mapping(item, where, required={"value", "when"})
        value = findings.text(given.get("value"), f"{where}.value")
        if value in {UNKNOWN, otherwise, *(level.value for level in levels)} and value:
            findings.add(f"{where}.value", f"'{value}' is taken: by unknown, by otherwise or by a level above")
        levels.append(Level(value, read_condition(given.get("when"), f"{where}.when", measures, findings)))
    return tuple(levels)


def read_condition(raw: object, where: str, measures: Measures, findings: Findings) -> Condition:
    """`all`, `any`, `not`, or measures with their comparisons, all of which must hold."""
    if isinstance(raw, dict) and len(raw) == 1 and next(iter(raw)) in _COMBINATIONS:
        return _combined(next(iter(raw)), next(iter(raw.values())), where, measures=measures, findings=findings)
    parts: list[Condition] = []
    for name, comparisons in findings.entries(raw, where).items():
        if name not in measures:
            findings.add(
                where, f"unknown measure '{name}'; those that exist: {listed(measures)}, or one of all, any, not"
            )
            continue
        measure = measures[name]
        if measure is not None:
            parts += _comparisons(measure, comparisons, f"{where}.{name}", measures=measures, findings=findings)
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _combined(kind: str, raw: object, where: str, *, measures: Measures, findings: Findings) -> Condition:
    place = f"{where}.{kind}"
    if kind == "not":
        return NotOf(read_condition(raw, place, measures, findings))
    if not isinstance(raw, list) or not raw:
        findings.add(place, f"found {shown(raw)}, wanted a list of conditions")
        return _NOTHING
    parts = tuple(read_condition(part, f"{place}[{n}]", measures, findings) for n, part in enumerate(raw, start=1))
    return AllOf(parts) if kind == "all" else AnyOf(parts)


def _comparisons(
    measure: Measure, raw: object, where: str, *, measures: Measures, findings: Findings
) -> list[Condition]:
    allowed = KINDS_OF[type_of(measure)]
    found: list[Condition] = []
    for kind, operand in findings.entries(raw, where).items():
        if kind not in allowed:
            findings.add(
                where, f"unknown comparison '{kind}' of a {type_of(measure)}; those that exist: {listed(allowed)}"
            )
            continue
        found.append(_comparison(measure, (kind, operand), f"{where}.{kind}", measures=measures, findings=findings))
    return found


def _comparison(
    measure: Measure, given: tuple[str, object], where: str, *, measures: Measures, findings: Findings
) -> Comparison:
    kind, operand = given
    match kind:
        case "present":
            if not isinstance(operand, bool):
                findings.add(where, f"found {shown(operand)}, wanted true or false")
            return Comparison(measure, "present", (bool(operand),))
        case "equals":
            return Comparison(measure, "equals", (findings.text(operand, where),))
        case "in":
            values = operand if isinstance(operand, list) and operand else [None]
            if values == [None]:
                findings.add(where, f"found {shown(operand)}, wanted a list of texts")
            return Comparison(measure, "in", tuple(sorted({findings.text(value, where) for value in values})))
        case "older_than" if isinstance(operand, dict):
            return _older_than_times(measure, operand, where, measures=measures, findings=findings)
        case "within" | "older_than":
            span = read_span(operand, where, findings, units=("hours", "days", "months"))
            return Comparison(measure, "within" if kind == "within" else "older_than", (span,))
        case _:
            number = _scaled(operand, measure, where, findings)
            return Comparison(measure, next(k for k in _NUMBER if k == kind), (number,))


def _older_than_times(
    measure: Measure, raw: dict[object, object], where: str, *, measures: Measures, findings: Findings
) -> Comparison:
    # `{times: 2, measure: rhythm}`: longer ago than twice the person's own rhythm.
    given = findings.mapping(raw, where, required={"times", "measure"})
    durations = {name for name, known in measures.items() if known is not None and type_of(known) == "duration"}
    name = findings.choice(given.get("measure"), where, durations, what="rhythm")
    times = _decimal(given.get("times"), where, findings)
    if times <= 0:
        findings.add(where, f"found times {shown(given.get('times'))}, wanted a number above 0")
    return Comparison(measure, "older_than_times", (float(times),), other=measures[name] if name else measure)


def _scaled(raw: object, measure: Measure, where: str, findings: Findings) -> int | float:
    number, decimals = _decimal(raw, where, findings), decimals_of(measure)
    if decimals is None:
        return float(number)
    scaled = number.scaleb(decimals)
    if scaled != scaled.to_integral_value():
        findings.add(where, f"found {shown(raw)}, wanted at most {decimals} decimals")
    return int(scaled)


def _decimal(raw: object, where: str, findings: Findings) -> Decimal:
    try:
        number = Decimal(str(raw))
        if not isinstance(raw, bool) and number.is_finite():
            return number
    except InvalidOperation:
        pass
    findings.add(where, f"found {shown(raw)}, wanted a number")
    return Decimal(0)
