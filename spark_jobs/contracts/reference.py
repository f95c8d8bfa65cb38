"""`python -m spark_jobs.contracts.reference`: the reference of tables, topics and identifiers, as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import TABLES
from spark_jobs.contracts.topics import TOPICS

_HEAD = """# Tables, topics and identifiers

Generated from `spark_jobs/contracts` by `python -m spark_jobs.contracts.reference > docs/tables.md`; a test compares.
Instants are UTC and end in `_at`, UTC days in `_date`. *Personal* is the class of personal data: `pseudonym` (a token
or number that stands for a person), `personal` or `sensitive`.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_tables(), *_topics(), *_identifiers()]) + "\n"


def _tables() -> Iterator[str]:
    for table in TABLES:
        yield f"## {table.name}\n"
        yield f"Grain: {table.grain}.\n"
        yield f"Key: {_code(table.key)}. {_layout(table)} Contract `{table.contract_hash}`.\n"
        yield "| column | type | null | personal | meaning |"
        yield "|---|---|---|---|---|"
        for column in table.columns:
            null = "yes" if column.nullable else "no"
            personal = "" if column.personal == "none" else column.personal
            yield f"| `{column.name}` | `{column.type}` | {null} | {personal} | {column.meaning} |"
        yield ""


def _layout(table: Table) -> str:
    parts = [
        f"Partitioned by {_code(table.partition_by)}." if table.partition_by else "",
        f"Clustered by {_code(table.cluster_by)}." if table.cluster_by else "",
        f"Statistics on {_code(table.statistics_on)}." if table.statistics_on else "",
    ]
    return " ".join(part for part in parts if part)


def _topics() -> Iterator[str]:
    yield "# Topics\n"
    yield "| topic | grain | key | partitions | kept, days |"
    yield "|---|---|---|---|---|"
    for topic in TOPICS:
        days = topic.retention_ms // 86_400_000
        yield f"| `{topic.name}` | {topic.grain} | {topic.key} | {topic.partitions} | {days} |"
    yield ""


def _identifiers() -> Iterator[str]:
    yield "# Identifier types\n"
    yield "| type | priority | owners at most | unique per person | belongs to |"
    yield "|---|---|---|---|---|"
    for kind in IDENTIFIER_TYPES.values():
        owner = "one person" if kind.sharing == "exclusive" else "one person at a time"
        unique = "yes" if kind.unique_per_person else "no"
        yield f"| `{kind.name}` | {kind.priority} | {kind.owner_limit} | {unique} | {owner} |"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(reference())
