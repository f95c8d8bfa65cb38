"""Mapping files (YAML) become mappings; every problem of a file stands in one message."""

from __future__ import annotations

from collections.abc import Mapping as Keys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from migration.dialects import DIALECT_KEYS, JSON_FORMATS, TEXT_FORMATS, dialect_of, dialect_problems, name_problems
from migration.documents import key_problems, read_yaml, version_of
from migration.mapping import (
    EPOCHS,
    Cast,
    Constant,
    DayOf,
    Identifier,
    JsonOf,
    Mapping,
    Rule,
    TokenOf,
    TokensOf,
    header_problem,
    identifiers_of,
    parents_of,
    sources_of,
)
from migration.mapping_table import TABLE, TABLE_KEYS, key_of_split_problems, source_problems, source_table_of
from spark_jobs.contracts.core import IDENTIFIER_STRUCT, ORIGIN, WORKSPACE
from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.contracts.schema import Column, Table
from spark_jobs.contracts.tables import table_named
from spark_jobs.errors import TerminalError

# What the platform fills in by itself.
FILLED = frozenset({WORKSPACE.name, *(column.name for column in ORIGIN)})
# Of these each column has a type, so that a time needs no pattern and a token may be there already.
TYPED_FORMATS = ("parquet", "orc", TABLE)
FORMATS = (*sorted(TEXT_FORMATS), *TYPED_FORMATS)
QUARANTINE, LEAVE_OUT = "quarantine", "leave_out"
ORDERING_TYPES = ("timestamp", "date")  # of columns that can say which of two rows is newer

MAPPING_KEYS: dict[str, tuple[type, bool]] = {
    "target": (str, True),
    "files": (str, False),
    "format": (str, True),
    **TABLE_KEYS,
    **DIALECT_KEYS,
    "zone": (str, True),
    "accepted_bad_share": (float, True),
    "newest_by": (str, False),
    "ignore": (list, False),
    "columns": (dict, True),
}
# What says how much is copied, and of a record not what becomes of it: it may change while records are refused.
_NO_RULES = ("accepted_bad_share", "files")
_CAST_KEYS: dict[str, tuple[type, bool]] = {
    "from": (str, True),
    "format": (str, False),
    "min": (float, False),
    "since": (str, False),
    "until": (str, False),
}
_TOKEN_KEYS: dict[str, tuple[type, bool]] = {"type": (str, True), "scope": (str, True)}
TOKENS_KEYS: dict[str, tuple[type, bool]] = {"from": (str, True), **_TOKEN_KEYS, "when_refused": (str, False)}


def load_mapping(path: Path) -> Mapping:
    """Read and check one mapping file; TerminalError lists every problem of it."""
    return parse_mapping(read_yaml(path), where=str(path))


def parse_mapping(given: Keys[str, Any], *, where: str) -> Mapping:
    """The mapping of a parsed file; TerminalError lists every problem of it."""
    problems = key_problems(where, given, MAPPING_KEYS)
    table = None if problems else _table(given["target"])
    if not problems and table is None:
        problems.append(f"{where}: target {given['target']!r} is no table of the contracts")
    if problems or table is None:
        raise TerminalError("; ".join(problems))
    problems = [*_value_problems(where, given), *_column_problems(where, given["columns"], table)]
    problems += [f"{where}: {text}" for text in source_problems(given)]
    read = [_rule(where, name, rule, problems) for name, rule in given["columns"].items()]
    rules = tuple(rule for rule in read if rule is not None)
    is_typed = given["format"] in TYPED_FORMATS
    found = [(rule.target, text) for rule in rules for text in _rule_problems(rule, table, is_typed=is_typed)]
    problems += [f"{where}: columns.{target}{text}" for target, text in found]
    problems += [f"{where}: {text}" for text in _newest_problems(given.get("newest_by"), table, rules)]
    clear = _clear_problems(rules, given["format"])
    problems += [f"{where}: {text}" for text in (*clear, *key_of_split_problems(given, rules))]
    names = {name for rule in rules for name in sources_of(rule)}.union(map(str, given.get("ignore", [])))
    problems += [f"{where}: {text}" for text in name_problems(given, names)]
    if problems:
        raise TerminalError("; ".join(problems))
    mapping = Mapping(
        table=table,
        files=given.get("files", ""),
        format=given["format"],
        dialect=dialect_of(given),
        zone=given["zone"],
        accepted_bad_share=float(given["accepted_bad_share"]),
        rules=rules,
        ignored=tuple(given.get("ignore", [])),
        version=version_of({key: value for key, value in given.items() if key not in _NO_RULES}),
        source_table=source_table_of(given),
        newest_by=given.get("newest_by", ""),
    )
    header = mapping.dialect.header
    if header and (problem := header_problem(header, mapping)):
        raise TerminalError(f"{where}: header: {problem}")
    return mapping


def _table(name: str) -> Table | None:
    try:
        return table_named(name)
    except KeyError:
        return None


def _value_problems(where: str, given: Keys[str, Any]) -> list[str]:
    problems = []
    if given["format"] not in FORMATS:
        problems.append(f"{where}: format {given['format']!r}, wanted one of {', '.join(FORMATS)}")
    if given["format"] in TYPED_FORMATS:
        problems += [f"{where}: {key} is for texts, not for {given['format']}" for key in DIALECT_KEYS if key in given]
    else:
        problems += [f"{where}: {text}" for text in dialect_problems(given)]
    if not 0 <= given["accepted_bad_share"] <= 1:
        problems.append(f"{where}: accepted_bad_share is {given['accepted_bad_share']}, wanted 0 to 1")
    try:
        ZoneInfo(given["zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, a name that no file can have
        problems.append(f"{where}: zone {given['zone']!r} is not a zone name such as 'Asia/Shanghai'")
    return problems


def _column_problems(where: str, columns: Keys[str, Any], table: Table) -> list[str]:
    wanted = set(table.column_names) - FILLED
    problems = [f"{where}: {table.name} has no column {name!r} to map" for name in sorted(set(columns) - wanted)]
    missing = sorted(wanted - set(columns))
    return problems + [f"{where}: column {name!r} has no rule (`value: null` leaves it empty)" for name in missing]


def _rule_problems(rule: Rule, table: Table, *, is_typed: bool) -> list[str]:
    """Why a rule cannot fill its column."""
    column = next((column for column in table.columns if column.name == rule.target), None)
    if column is None:
        return []
    makes = {TokenOf: "binary", TokensOf: f"array<{IDENTIFIER_STRUCT}>", JsonOf: "string", DayOf: "date"}
    if type(rule) in makes and column.type != makes[type(rule)]:
        return [f" is {column.type}, and this rule makes {makes[type(rule)]}"]
    if isinstance(rule, DayOf) and table.types.get(rule.moment) != "timestamp":
        return [f": day_of {rule.moment!r} is no timestamp column of {table.name}"]
    if isinstance(rule, Cast):
        return [] if is_typed else _text_problems(rule, column)  # a plan holds typed columns to their rules
    return _constant_problems(rule, column) if isinstance(rule, Constant) else []


def _text_problems(rule: Cast, column: Column) -> list[str]:
    if column.type == "binary" or column.type.startswith("array"):
        return [f" is {column.type}: only `token` and `tokens` fill it"]
    if column.type == "timestamp" and rule.pattern is None:
        return [" is a timestamp and needs a `format` such as 'yyyy-MM-dd HH:mm:ss'"]
    if column.type != "timestamp" and rule.pattern in EPOCHS:
        return [f" is {column.type}, and {rule.pattern} makes a timestamp"]
    return []


def _constant_problems(rule: Constant, column: Column) -> list[str]:
    if rule.value is None:
        return [] if column.nullable else [" may not be empty, and its value is null"]
    return [] if column.type == "string" else [f" is {column.type}; a constant fills only string columns"]


def _newest_problems(name: str | None, table: Table, rules: tuple[Rule, ...]) -> list[str]:
    """Why a column cannot say which of several rows with one key is the newest."""
    if name is None:
        return []
    # Rows with one key have the same key, and those of one constant the same constant.
    same = {*FILLED, *table.key, *(rule.target for rule in rules if isinstance(rule, Constant))}
    fit = [column.name for column in table.columns if column.type in ORDERING_TYPES and column.name not in same]
    wanted = f"one of {', '.join(fit)}" if fit else f"none: {table.name} has no such column"
    said = f"newest_by is {name!r}, wanted a time or day that is mapped and no part of the key: {wanted}"
    return [] if name in fit else [said]


def _clear_problems(rules: tuple[Rule, ...], form: str) -> list[str]:
    """Identifiers that another rule would copy in clear, by themselves or in the object that they are a part of."""
    secret = {identifier.source for rule in rules for identifier in identifiers_of(rule)}
    if form in JSON_FORMATS:
        secret |= {parent for name in secret for parent in parents_of(name)}
    copied = {name for rule in rules if isinstance(rule, (Cast, JsonOf)) for name in sources_of(rule)}
    return [f"source column {name!r} is an identifier and would be copied in clear" for name in sorted(secret & copied)]


def _rule(where: str, target: str, given: object, problems: list[str]) -> Rule | None:
    """The rule of one column; None and an entry in `problems` where it is not one."""
    label = f"{where}: columns.{target}"
    kinds = [kind for kind in READERS if isinstance(given, dict) and kind in given]
    if not isinstance(given, dict) or len(kinds) != 1:
        problems.append(f"{label}: wanted exactly one of {', '.join(READERS)}")
        return None
    wanted, read = READERS[kinds[0]]
    found = key_problems(label, given, wanted)
    problems += found
    return None if found else read(label, target, given, problems)


def _cast(label: str, target: str, given: dict[str, Any], problems: list[str]) -> Rule:
    for key in ("since", "until"):
        try:
            datetime.fromisoformat(given.get(key, "2000-01-01"))
        except ValueError:
            problems.append(f"{label}: {key} {given[key]!r} is not a UTC time such as '2017-01-31T00:00:00'")
    return Cast(target, given["from"], given.get("format"), given.get("min"), given.get("since"), given.get("until"))


def _constant(label: str, target: str, given: dict[str, Any], problems: list[str]) -> Rule:
    value = given["value"]
    if isinstance(value, (dict, list)):
        problems.append(f"{label}: value is {type(value).__name__}, wanted text, a number or null")
    return Constant(target, None if value is None else str(value))


def _day_of(_label: str, target: str, given: dict[str, Any], _problems: list[str]) -> Rule:
    return DayOf(target, given["day_of"])


def _json_of(_label: str, target: str, given: dict[str, Any], _problems: list[str]) -> Rule:
    return JsonOf(target, tuple(sorted(str(name) for name in given["json"])))


def _token_of(label: str, target: str, given: dict[str, Any], problems: list[str]) -> Rule:
    return TokenOf(target, _identifier(label, given["token"], given, problems))


def _tokens_of(label: str, target: str, given: dict[str, Any], problems: list[str]) -> Rule:
    identifiers = []
    for item in given["tokens"]:
        found = key_problems(f"{label}.tokens", item, TOKENS_KEYS)
        problems += found
        if not found:
            identifiers.append(_identifier(label, item["from"], item, problems))
    return TokensOf(target, tuple(identifiers))


def _identifier(label: str, source: str, given: dict[str, Any], problems: list[str]) -> Identifier:
    if given["type"] not in IDENTIFIER_TYPES:
        problems.append(f"{label}: identifier type {given['type']!r}, wanted one of {', '.join(IDENTIFIER_TYPES)}")
    when_refused = given.get("when_refused", QUARANTINE)
    if when_refused not in (QUARANTINE, LEAVE_OUT):
        problems.append(f"{label}: when_refused is {when_refused!r}, wanted {QUARANTINE} or {LEAVE_OUT}")
    return Identifier(source, given["type"], given["scope"], may_be_left_out=when_refused == LEAVE_OUT)


READERS: dict[str, Any] = {
    "from": (_CAST_KEYS, _cast),
    "value": ({"value": (object, True)}, _constant),
    "day_of": ({"day_of": (str, True)}, _day_of),
    "json": ({"json": (list, True)}, _json_of),
    "token": ({"token": (str, True), **_TOKEN_KEYS}, _token_of),
    "tokens": ({"tokens": (list, True)}, _tokens_of),
}
