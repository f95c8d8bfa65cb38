"""What a value of a source's type becomes in a column of the contracts, and what cannot become one without a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping as Keys
from enum import Enum, auto

from migration.chunks import Layout
from migration.mapping import Cast, JsonOf, Mapping, Rule, identifiers_of
from spark_jobs.contracts.schema import Column

# Before the name of a type that Spark does not read exactly, in `Looked.types`.
UNREADABLE = "unreadable "
# Instead of a type: the column is not in the file but in the names of its folders, as text (`sources.partitions`).
FOLDER = "folder"
# Spark's own forms of times in JSON end at milliseconds.
JSON_TIMES = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
FLOATS = ("float", "double")
# Decimal digits that each may need ...
_INTEGERS = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
# ... and that each is sure to hold. A double gives back a decimal of 15 digits as it was.
_HELD = {"int": 9, "bigint": 18, "double": 15}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


class Way(Enum):
    """From a type to another one."""

    SAME = auto()  # as it is
    WIDER = auto()  # every value has a place
    CHECKED = auto()  # the values that stay what they are
    TEXT = auto()  # what the rules for texts say
    LOCAL = auto()  # a time without a zone: the mapping names it


def way(source: str, target: str) -> Way | None:
    """The way from a source's type to a contract's (both as Spark writes them); None where there is none."""
    if source == target:
        return Way.SAME
    if source == "string":
        return None if target.startswith(("binary", "array")) else Way.TEXT
    ways = {
        "string": Way.WIDER if source in (*_INTEGERS, "boolean", "date") or _DECIMAL.fullmatch(source) else None,
        "boolean": Way.CHECKED if source in _INTEGERS else None,
        "timestamp": Way.LOCAL if source in ("timestamp_ntz", "date") else None,
        "date": Way.CHECKED if source == "timestamp_ntz" else None,
    }
    return ways[target] if target in ways else _way_of_numbers(source, target)


def _way_of_numbers(source: str, target: str) -> Way | None:
    if not all(kind in (*_INTEGERS, *FLOATS) or _DECIMAL.fullmatch(kind) for kind in (source, target)):
        return None
    if source in FLOATS:
        return Way.WIDER if target == "double" else Way.CHECKED
    whole, decimals = _digits(source, _INTEGERS)
    if target == "double":
        return Way.WIDER if whole + decimals <= _HELD["double"] else Way.CHECKED
    held, held_decimals = _digits(target, _HELD)
    return Way.WIDER if whole <= held and decimals <= held_decimals else Way.CHECKED


def _digits(kind: str, integers: Keys[str, int]) -> tuple[int, int]:
    """Digits before and after the point."""
    if found := _DECIMAL.fullmatch(kind):
        return int(found[1]) - int(found[2]), int(found[2])
    return integers[kind], 0


def type_problem(layout: Layout, mapping: Mapping) -> str:
    """Why columns of these types do not fit the mapping; '' where they do, and where every field is text."""
    if set(layout.types) <= {"string", FOLDER}:
        return ""
    types = ["string" if kind == FOLDER else kind for kind in layout.types]
    kinds = dict(zip(layout.header, types, strict=True))
    columns = {column.name: column for column in mapping.table.columns}
    found = [text for rule in mapping.rules for text in _problems(rule, columns[rule.target], kinds)]
    return "; ".join(dict.fromkeys(found))


def _problems(rule: Rule, column: Column, kinds: Keys[str, str]) -> list[str]:
    if isinstance(rule, JsonOf):
        unfit = [name for name in rule.sources if UNREADABLE in kinds[name] or "binary" in kinds[name]]
        return [_unfit(name, kinds[name], "text of JSON") for name in unfit]
    wanted = {identifier.source: "a clear identifier" for identifier in identifiers_of(rule)}
    found = [_unfit(name, kinds[name], to) for name, to in wanted.items() if way(kinds[name], "string") is None]
    if isinstance(rule, Cast):
        kind, how = kinds[rule.source], way(kinds[rule.source], column.type)
        if how is None:
            found.append(_unfit(rule.source, kind, f"{rule.target} ({column.type})"))
        elif how is Way.TEXT and column.type == "timestamp" and rule.pattern is None:
            found.append(f"column {rule.source!r} is text: {rule.target} needs a `format` like 'yyyy-MM-dd HH:mm:ss'")
    return found


def _unfit(name: str, kind: str, target: str) -> str:
    if UNREADABLE in kind:
        return (
            f"column {name!r} is {kind.replace(UNREADABLE, '')}, which Spark does not read exactly; "
            "export it in another type (times in microseconds), or `ignore` it"
        )
    return f"column {name!r} is {kind}, which cannot become {target} without a guess; export it in another type"
