"""Definitions as `tags.versions` keeps them become values again: what was published is explained without its files.

`definitions.canonical` names each dataclass and makes lists of tuples; what JSON cannot tell apart, decimals from texts
and sets from lists, follows from the field that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from spark_jobs.errors import TerminalError
from spark_jobs.tagging import measures
from spark_jobs.tagging.definitions import (
    AllOf,
    AnyOf,
    Catalogue,
    Comparison,
    Head,
    Level,
    NotOf,
    Property,
    Rule,
    Tag,
)

_KINDS: Mapping[str, type] = {
    **{kind.__name__: kind for kind in (AllOf, AnyOf, Comparison, Head, Level, NotOf, Property, Rule, Tag)},
    **{
        name: getattr(measures, name)
        for name in (
            *("Attribute", "Between", "Count", "Days", "Distribution", "Filter", "First", "Given", "Last"),
            *("Preference", "Quantile", "Ratio", "Recency", "Rhythm", "Score", "Selection", "Sequence", "Since"),
            *("Span", "Sum", "TagValue", "Then"),
        )
    },
}


def tag_from(text: str) -> Tag:
    """The tag of a definition in `tags.versions`; TerminalError where another release has other words."""
    found = _read(text)
    if not isinstance(found, Tag):
        raise _strange(f"a {type(found).__name__}")
    return found


def head_from(text: str) -> Head:
    """The head of a catalogue in `tags.versions`; TerminalError where another release has other words."""
    found = _read(text)
    if not isinstance(found, Head):
        raise _strange(f"a {type(found).__name__}")
    return found


def catalogue_from(head: str, definitions: Mapping[str, str], tag: str) -> Catalogue:
    """The catalogue of one tag and all that it uses, each behind those; the tag itself is the last.

    In: texts of the head and of all definitions of a publication, by tag.
    """
    found: dict[str, Tag] = {}
    _put(tag, definitions, found)
    return Catalogue(head_from(head), tuple(found.values()))


def _put(name: str, definitions: Mapping[str, str], found: dict[str, Tag]) -> None:
    tag = tag_from(definitions[name])
    for used, _ in tag.uses:
        if used not in found:
            _put(used, definitions, found)
    found[name] = tag


def _read(text: str) -> object:
    try:
        return _recalled(json.loads(text))
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise _strange(f"{type(error).__name__} {error}") from error


def _strange(found: str) -> TerminalError:
    return TerminalError(
        f"a definition in tags.versions cannot be read ({found}): another release wrote it. Start `tags run` for a new "
        "base time, and ask again"
    )


def _recalled(content: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(content, list):
        return tuple(_recalled(item) for item in content)
    if not isinstance(content, dict):
        return content
    ((name, fields),) = content.items()
    return _KINDS[name](**_exact(name, {field: _recalled(value) for field, value in fields.items()}))


def _exact(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values of a dataclass, sets and decimals put right."""
    match name:
        case "Head":
            return {**values, "unrecorded": frozenset(values["unrecorded"])}
        case "Preference":
            return {**values, "at_least_share": Decimal(values["at_least_share"])}
        case "Comparison" if isinstance(values["measure"], measures.Ratio) and values["kind"] != "present":
            return {**values, "operands": tuple(map(Decimal, values["operands"]))}
        case "Tag":
            bands = [(value, Decimal(least), Decimal(largest)) for value, least, largest in values["expect"]]
            most = values.get("most_change")
            return {**values, "expect": tuple(bands), "most_change": None if most is None else Decimal(most)}
        case _:
            return values
