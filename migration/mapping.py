"""A mapping: how the records of one kind of file become the rows of one contract table.

Each target column has exactly one rule: `from` (cast a source column), `value` (a constant), `day_of` (UTC day of
another target column), `json` (source columns as one JSON object), `token` (one identifier) or `tokens` (a list).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spark_jobs.contracts.schema import Table

EVERY_OTHER = "*"  # in `ignore`: every key that no rule names
# Formats of a time as a number since 1970-01-01 UTC, with the decimals that make a microsecond.
EPOCHS = {"epoch_s": 6, "epoch_ms": 3, "epoch_us": 0}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the text of a file is to be read; a record is one line. All but `encoding` is for CSV.

    `quote` and `escape` are '' where there is none; `header` names the columns of files that have no header line;
    `nulls` are the texts that mean null where they stand unquoted.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    header: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Cast:
    """Cast `source`; `since <= value < until`, `value >= minimum`.

    `pattern` is Spark's for dates and times, or one of EPOCHS.
    """

    target: str
    source: str
    pattern: str | None = None
    minimum: float | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row; None for a column that this source does not know."""

    target: str
    value: str | None


@dataclass(frozen=True, slots=True)
class DayOf:
    """The UTC day of another target column."""

    target: str
    moment: str


@dataclass(frozen=True, slots=True)
class JsonOf:
    """Source columns as one JSON object: keys sorted, empty values left out."""

    target: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identifier:
    """A clear identifier of the source that becomes a token.

    A value that identifies nobody refuses the record, or, where `may_be_left_out`, is left out of it and counted.
    """

    source: str
    type_name: str
    scope: str
    may_be_left_out: bool = False


@dataclass(frozen=True, slots=True)
class TokenOf:
    """One identifier as a 16-byte token."""

    target: str
    identifier: Identifier


@dataclass(frozen=True, slots=True)
class TokensOf:
    """Several identifiers as a list of type, scope, token and kid; empty ones are left out."""

    target: str
    identifiers: tuple[Identifier, ...]


Rule = Cast | Constant | DayOf | JsonOf | TokenOf | TokensOf


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table of a database, SCHEMA.NAME, in chunks of about `chunk_rows` rows by ranges of the column `split_by`.

    `where` is a condition in the database's SQL that rows must meet; '' where all do.
    """

    name: str
    split_by: str
    where: str = ""
    chunk_rows: int = 1_000_000

    @property
    def schema(self) -> str:
        """The first part of its name."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping, checked. `zone` is that of the source's time stamps.

    `version` is the hash of its rules: of all but `files` and `accepted_bad_share`.

    `files` is the pattern of their names, '' for a mapping of a table, whose `source_table` says which. Of rows with
    one key the one stays whose `newest_by` is greatest; '' where only their places count.
    """

    table: Table
    files: str
    format: str
    dialect: Dialect
    zone: str
    accepted_bad_share: float
    rules: tuple[Rule, ...]
    ignored: tuple[str, ...]
    version: str
    source_table: SourceTable | None = None
    newest_by: str = ""

    @property
    def source_columns(self) -> frozenset[str]:
        """The header that a file must have, in any order."""
        return frozenset(self.ignored).difference({EVERY_OTHER}).union(*(sources_of(rule) for rule in self.rules))

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Every identifier once, in the order of the rules."""
        found: dict[Identifier, None] = {}
        for rule in self.rules:
            found.update(dict.fromkeys(identifiers_of(rule)))
        return tuple(found)


def identifiers_of(rule: Rule) -> tuple[Identifier, ...]:
    """The identifiers that a rule tokenises."""
    if isinstance(rule, TokenOf):
        return (rule.identifier,)
    return rule.identifiers if isinstance(rule, TokensOf) else ()


def sources_of(rule: Rule) -> tuple[str, ...]:
    """The source columns that a rule reads."""
    if isinstance(rule, Cast):
        return (rule.source,)
    if isinstance(rule, JsonOf):
        return rule.sources
    return tuple(identifier.source for identifier in identifiers_of(rule))


def parents_of(path: str) -> tuple[str, ...]:
    """The objects that a dotted path leads through, from the outermost: `a` and `a.b` of `a.b.c`."""
    parts = path.split(".")
    return tuple(".".join(parts[:end]) for end in range(1, len(parts)))


def header_problem(header: Sequence[str], mapping: Mapping) -> str:
    """Why columns of these names do not fit the mapping; '' where they do."""
    wanted = mapping.source_columns
    problems = [f"column {name!r} is missing" for name in sorted(wanted - set(header))]
    problems += [f"column {name!r} is not mapped (map or `ignore` it)" for name in sorted(set(header) - wanted)]
    problems += [f"column {name!r} stands twice" for name in sorted({n for n in header if header.count(n) > 1})]
    return "; ".join(problems)
