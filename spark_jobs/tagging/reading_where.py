"""Which rows a measure looks at, from YAML to values: source, filters, window; every problem is noted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from spark_jobs.findings import Findings, Keys, listed, shown
from spark_jobs.tagging.definitions import Head
from spark_jobs.tagging.measures import Filter, FilterKind, Measure, Selection, Span, Unit
from spark_jobs.tagging.vocabulary import Source, Sources, counted

SPAN = r"(\d{1,5}) (hour|day|month)s?"
UNITS: dict[str, Unit] = {"hour": "hours", "day": "days", "month": "months"}
WINDOW_UNITS: tuple[Unit, ...] = ("hours", "days", "months")

TEXT_FILTERS: tuple[FilterKind, ...] = ("in", "not_in", "present")
NUMBER_FILTERS: tuple[FilterKind, ...] = ("at_least", "above", "at_most", "below", "present")

# What every measure over rows may say beside its kind.
SELECTING: Keys = {"window": False, "where": False}


@dataclass(frozen=True, slots=True)
class Context:
    """What a measure may refer to: where problems go, the catalogue's head, its sources, measures that stand above."""

    findings: Findings
    head: Head
    sources: Sources
    measures: Mapping[str, Measure | None]


def read_span(raw: object, where: str, findings: Findings, *, units: tuple[Unit, ...] = WINDOW_UNITS) -> Span:
    """A length such as `90 days`; a problem where it is none."""
    match = re.fullmatch(SPAN, raw.strip()) if isinstance(raw, str) else None
    if match and int(match[1]) > 0 and UNITS[match[2]] in units:
        return Span(int(match[1]), UNITS[match[2]])
    findings.add(
        where, f"found {shown(raw)}, wanted a number above 0 and one of {listed(units)}, such as '90 {units[-1]}'"
    )
    return Span(1, units[-1])


def read_selection(raw: Mapping[str, object], source: object, where: str, context: Context) -> Selection:
    """Rows of a source; `raw` may hold `where` and `window`."""
    findings = context.findings
    name = findings.choice(source, where, counted(context.sources), what="source")
    filters: list[Filter] = []
    if name is not None and "where" in raw:
        for field, wanted in findings.entries(raw["where"], f"{where}.where").items():
            filters += _filters(field, wanted, f"{where}.where", (name, context))
    window = read_span(raw["window"], f"{where}.window", findings) if "window" in raw else None
    return Selection(name or "members", in_order(filters), window)


def in_order(filters: list[Filter]) -> tuple[Filter, ...]:
    """The filters in an order of their own: the same ones are the same selection, however they were written."""
    return tuple(sorted(set(filters), key=repr))


def _filters(field: str, raw: object, where: str, of: tuple[str, Context]) -> list[Filter]:
    name, context = of
    source: Source = context.sources[name]
    fields = (*source.texts, *source.numbers)
    if context.findings.choice(field, where, fields, what=f"field of {name}") is None:
        return []
    place = f"{where}.{field}"
    if field in source.numbers:
        return _of_number(field, raw, place, (source.numbers[field], context.findings))
    if not isinstance(raw, dict):
        return [Filter(field, "in", _values(raw, place, context.findings))]
    return _of_text(field, raw, place, context.findings)


def _of_text(field: str, raw: dict[object, object], where: str, findings: Findings) -> list[Filter]:
    found: list[Filter] = []
    for kind, operand in findings.entries(raw, where).items():
        known = findings.choice(kind, where, TEXT_FILTERS, what="filter of a text")
        if known == "present":
            found.append(Filter(field, "present", (findings.true_or_false(operand, f"{where}.{kind}"),)))
        elif known is not None:
            named: FilterKind = "in" if known == "in" else "not_in"
            found.append(Filter(field, named, _values(operand, f"{where}.{kind}", findings)))
    return found


def _of_number(field: str, raw: object, where: str, of: tuple[int, Findings]) -> list[Filter]:
    decimals, findings = of
    if not isinstance(raw, dict):
        findings.add(where, f"found {shown(raw)}, wanted comparisons of a number: {listed(NUMBER_FILTERS)}")
        return []
    found: list[Filter] = []
    for kind, operand in findings.entries(raw, where).items():
        known = next((name for name in NUMBER_FILTERS if name == kind), None)
        if known is None:
            findings.choice(kind, where, NUMBER_FILTERS, what="filter of a number")
        elif known == "present":
            found.append(Filter(field, known, (findings.true_or_false(operand, f"{where}.{kind}"),), is_number=True))
        else:
            number = findings.scaled(operand, decimals, f"{where}.{kind}")
            found.append(Filter(field, known, (number,), is_number=True))
    return found


def _values(raw: object, where: str, findings: Findings) -> tuple[str, ...]:
    values = raw if isinstance(raw, list) else [raw]
    if not values:
        findings.add(where, "found an empty list, wanted at least one value")
    return tuple(sorted({findings.text(value, where, is_needed=True) for value in values}))
