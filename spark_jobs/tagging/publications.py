"""Generations: what a run writes counts when one append to `tags.publications` says so, and not before.

A generation of a state is named by the number that it would have in the row of states, and by the run. Of two runs
beside each other, which aim at the same number, one publishes; what the other wrote, and what a run wrote that died,
counts nowhere, and is deleted once its number is taken. Answers as of a moment before take no number: theirs are named
by the time at which they were asked for, and go with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import TAG_PUBLICATIONS
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.rows import REFUSES
from spark_jobs.tagging.versions import State, definition_text, state_from, watermark

Kind = Literal["current", "as_of"]

# As-of answers are somebody's question, not a state: they go after a week.
AS_OF_KEPT_DAYS = 7
_AS_OF = "as_of-"  # behind every number, so that no state's end takes them along
# A run that died aimed at one of the numbers that were next then; so many back were cleaned long ago.
NUMBERS_LOOKED_AT = 10


@dataclass(frozen=True, slots=True)
class Publication:
    """One row of `tags.publications`."""

    generation: str
    number: int
    kind: Kind
    state: State
    limits: dict[str, list[int]]
    populations: dict[str, dict[str, int]]
    persons: int
    rows: int
    changes: int
    published_at: datetime | None = None  # None until it is
    refused: int = 0

    @property
    def populations_shown(self) -> dict[str, dict[str, int]]:
        """Without sensitive tags: what a run prints is read by more people than may see those."""
        return {name: found for name, found in self.populations.items() if not self.state.tags[name].classes}

    def as_row(self, published_at: datetime) -> tuple[object, ...]:
        """The row, in the order of the contract."""
        values: dict[str, object] = {
            "workspace_id": self.state.workspace,
            "generation": self.generation,
            "number": self.number,
            "kind": self.kind,
            "base_at": moment_of(self.state.base),
            "snapshot_id": self.state.snapshot_id,
            "published_at": published_at,
            "persons": self.persons,
            "rows": self.rows,
            "changes": self.changes,
            "state": _text(self.state.as_facts()),
            "limits": _text(self.limits),
            "populations": _text(self.populations),
            "refused": self.refused,
        }
        return tuple(values[name] for name in TAG_PUBLICATIONS.column_names)


@dataclass(frozen=True, slots=True)
class Everybody:
    """Persons of whom a source knows something, how many of them refuse, and the one tag that these have; '': none."""

    persons: int
    refused: int = 0
    tag: str = ""

    def with_values(self, tag: str) -> int:
        """How many have a value of a tag, `otherwise` included."""
        return self.persons if tag == self.tag else self.persons - self.refused


def populations_of(
    catalogue: Catalogue, counted: Sequence[Row], everybody: Everybody, *, most: int
) -> dict[str, dict[str, int]]:
    """Tag to value to persons, the `otherwise` value included; of many the most frequent, and those with a band.

    In: tag (its number), value, count; of value null the persons that have another value than `otherwise`.
    """
    populations: dict[str, dict[str, int]] = {}
    for number, tag in enumerate(catalogue.tags):
        values = {row["value"]: row["count"] for row in counted if row["tag"] == number}
        values[tag.rule.otherwise] = everybody.with_values(tag.name) - values.pop(None, 0)
        banded = {value for value, _, _ in tag.expect}
        ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
        populations[tag.name] = dict([*ordered[:most], *(item for item in ordered[most:] if item[0] in banded)])
    return populations


def publication_from(row: Row) -> Publication:
    """The publication that a row tells of."""
    return Publication(
        generation=row["generation"],
        number=row["number"],
        kind=row["kind"],
        state=state_from(json.loads(row["state"])),
        limits=json.loads(row["limits"]),
        populations=json.loads(row["populations"]),
        persons=row["persons"],
        rows=row["rows"],
        changes=row["changes"],
        published_at=row["published_at"].astimezone(UTC),
        # The first run of a release adds the columns that came with it.
        refused=(row["refused"] or 0) if "refused" in row else 0,
    )


def generation_of(kind: Kind, number: int, run_id: str) -> str:
    """The name of what a run writes: of states names ascend with the numbers that they aim at, of others with time."""
    return f"{number:012d}-{run_id}" if kind == "current" else f"{_asked_at(datetime.now(UTC))}-{run_id}"


def _asked_at(moment: datetime) -> str:
    return f"{_AS_OF}{moment:%Y%m%dT%H%M%S}"


def kind_of(state: State, in_force: Publication | None) -> Kind:
    """A moment before the state in force is looked at, and replaces nothing."""
    return "as_of" if in_force is not None and state.base < in_force.state.base else "current"


def leftovers(workspace: str, number: int, kept: Iterable[str], *, now: datetime) -> str:
    """SQL condition on what no reader needs once a number is taken: all but the generations that are kept.

    Whoever aims at a later number may be writing still, and is left alone, as are as-of answers for a week.
    """
    names = ", ".join(f"'{name}'" for name in sorted(kept))
    old = f"generation < '{generation_of('current', number + 1, '')}' AND generation NOT IN ({names})"
    week = now - timedelta(days=AS_OF_KEPT_DAYS)
    asked = f"generation >= '{_AS_OF}' AND generation < '{_asked_at(week)}'"
    return f"workspace_id = '{workspace}' AND (generation IS NULL OR ({old}) OR ({asked}))"


def looked_at(state: State, now: datetime) -> str:
    """SQL condition on publications as of the state's moment that stay for another day at least."""
    since = _asked_at(now - timedelta(days=AS_OF_KEPT_DAYS - 1))
    base = f"TIMESTAMP '{moment_of(state.base).isoformat()}'"
    return f"workspace_id = '{state.workspace}' AND kind = 'as_of' AND generation >= '{since}' AND base_at = {base}"


def states_of(workspace: str) -> str:
    """SQL condition on the publications that were or are in force."""
    return f"workspace_id = '{workspace}' AND kind = 'current'"


def exactly(workspace: str, generations: Sequence[str]) -> str:
    """SQL condition on the rows of these generations."""
    names = ", ".join(f"'{name}'" for name in sorted(generations))
    return f"workspace_id = '{workspace}' AND generation IN ({names})"


@dataclass(frozen=True, slots=True)
class Labels:
    """What all rows of a generation carry, and what those of each tag do."""

    generation: str
    state: State
    names: tuple[str, ...]

    def values(self, answers: DataFrame) -> DataFrame:
        """Rows of `tags.person_tags`."""
        of_tags = {"version": self._each("version"), "classes": self._each("classes"), "tag": self._names()}
        return answers.where(F.col("tag") >= 0).withColumns({**self._shared(), **of_tags})

    def timers(self, answers: DataFrame, timer: int) -> DataFrame:
        """Rows of `tags.timers`."""
        names = F.array(*[F.lit(name) for name in self.names])
        named = F.transform(
            "waiting", lambda one: F.struct(F.element_at(names, one["tag"] + 1).alias("tag"), one["at"].alias("at"))
        )
        return answers.where(F.col("tag") == timer).withColumns({**self._shared(), "waiting": named})

    def refused(self, persons: DataFrame, tag: str) -> DataFrame:
        """Rows of `tags.refused`. In: person_no, person_id, each person once; the tag that says who refuses."""
        shared = {name: column for name, column in self._shared().items() if name != "next_change_at"}
        return persons.withColumns({**shared, "tag": F.lit(tag)})

    def unmoved(self, answers: DataFrame, first: int) -> DataFrame:
        """tag, person_id, value of the answers under limits that did not move; their numbers go down from `first`."""
        rows = answers.where((F.col("tag") <= first) & (F.col("tag") != REFUSES))
        return rows.withColumn("tag", F.lit(first) - F.col("tag")).select(
            self._names().alias("tag"), "person_id", "value"
        )

    def versions(self, catalogue: Catalogue, stamps: dict[str, str]) -> list[tuple[Any, ...]]:
        """Rows of `tags.versions`."""
        state, base_at, head = self.state, moment_of(self.state.base), definition_text(catalogue.head)
        return [
            (
                state.workspace,
                tag.name,
                state.tags[tag.name].version,
                state.tags[tag.name].rule,
                base_at,
                state.snapshot_id,
                json.dumps(watermark(tag, catalogue, stamps), sort_keys=True),
                definition_text(tag),
                head,
            )
            for tag in catalogue.tags
        ]

    def _shared(self) -> dict[str, Column]:
        return {
            "workspace_id": F.lit(self.state.workspace),
            "next_change_at": F.timestamp_micros("next_change_at"),
            "base_at": F.lit(moment_of(self.state.base)),
            "snapshot_id": F.lit(self.state.snapshot_id),
            "generation": F.lit(self.generation),
        }

    def _names(self) -> Column:
        return F.element_at(F.array(*[F.lit(name) for name in self.names]), F.col("tag") + 1)

    def _each(self, field: str) -> Column:
        values = [F.lit(getattr(self.state.tags[name], field)) for name in self.names]
        return F.element_at(F.array(*values), F.col("tag") + 1)


def _text(facts: object) -> str:
    return json.dumps(facts, sort_keys=True, ensure_ascii=False)
