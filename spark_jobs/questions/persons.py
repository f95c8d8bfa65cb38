"""Whom a question about tags names, as the identity snapshot of the tags knew the person, and what the person holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.identity import asking, looking
from spark_jobs.identity.asking import Asked, End
from spark_jobs.identity.explain_job import path_between
from spark_jobs.identity.naming import named, shown
from spark_jobs.identity.rules import ALWAYS
from spark_jobs.people.refusals import Refusals
from spark_jobs.people.refusing import by_notes
from spark_jobs.people.system_time import moment
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import snapshot_named
from spark_jobs.tagging.asking import is_left_out
from spark_jobs.tagging.publications import Publication

# A person who holds more is a fault: a hub that identity let pass.
MOST_HELD = 1_000
# Searching one path is a few jobs of Spark.
MOST_PATHS = 10


@dataclass(frozen=True, slots=True)
class Person:
    """A living person: master id and number."""

    person_id: str
    person_no: int


@dataclass(frozen=True, slots=True)
class Held:
    """One identifier in one span in which it belongs to the person; `is_for_good`: for ever, so links hold it."""

    number: int
    name: str
    token: bytes
    valid_from: str
    valid_to: str
    is_for_good: bool


def as_of(lake: Lake, snapshot_id: str, key_file: Path) -> Asked:
    """Identity as the snapshot shows it that tags were computed with."""
    return Asked(lake, snapshot_named(lake, snapshot_id), key_file)


def person_of(asked: Asked, text: str) -> Person:
    """Whom a text names: a master id, living or merged, or an identifier; TerminalError where that is nobody."""
    end = asking.end_of(asked, named(text))
    if end.person_id is None:
        raise TerminalError(
            f"{end.name} belongs to nobody for good in snapshot {asked.snapshot.snapshot_id}; `identity resolve` tells "
            "who held it when: name the person by a master id"
        )
    rows = asked.persons().where(F.col("person_id") == end.person_id).select("person_no").collect()
    return Person(end.person_id, int(rows[0]["person_no"]))


def refused(
    asked: Asked, person: Person, publication: Publication, *, tag: str, refusals: Refusals
) -> dict[str, object] | None:
    """What is told of a tag of a person who refuses profiling, as of the publication or by a note of now; else None.

    The tag that says who refuses is told all the same.
    """
    if tag == refusals.tag or not _refuses(asked, person, publication, tag=tag, refusals=refusals):
        return None
    told = {"workspace": publication.state.workspace, "tag": tag, "person_id": person.person_id}
    return {**told, "publication": publication.number, "profiling": "refused"}


def _refuses(asked: Asked, person: Person, publication: Publication, *, tag: str, refusals: Refusals) -> bool:
    if is_left_out(asked.lake, publication, tag, person_no=person.person_no):
        return True
    if not refusals.notes:
        return False
    base = moment(publication.state.base)
    held = map_of(asked, person).where((F.col("valid_from") <= base) & (F.col("valid_to") > base))
    # Of ids that were merged into the person a note is the person's, too.
    ids = asked.persons().where(F.col("survivor_id") == person.person_id)
    return not by_notes(refusals.notes, held, ids).isEmpty()


def map_of(asked: Asked, person: Person) -> DataFrame:
    """Rows of the identity map of one person; files are skipped by the person's number."""
    return asked.map().where((F.col("person_no") == person.person_no) & (F.col("person_id") == person.person_id))


def held_by(asked: Asked, person: Person) -> list[Held]:
    """What the person holds, by number and time; TerminalError where that is more than MOST_HELD."""
    rows = map_of(asked, person).select(
        "identifier_no",
        "type",
        "scope",
        "token",
        (F.col("valid_from") == F.expr(ALWAYS)).alias("is_for_good"),
        F.col("valid_from").alias("since"),
        looking.instant("valid_from"),
        looking.instant("valid_to"),
    )
    found = rows.orderBy("identifier_no", "since").limit(MOST_HELD + 1).collect()
    if len(found) > MOST_HELD:
        raise TerminalError(
            f"person {person.person_id} holds more than {MOST_HELD} identifiers: that is a fault of identity, look for "
            "its hubs with `identity quality`"
        )
    return [
        Held(
            int(row["identifier_no"]),
            shown(row["type"], row["scope"], bytes(row["token"])),
            bytes(row["token"]),
            row["valid_from"],
            row["valid_to"],
            bool(row["is_for_good"]),
        )
        for row in found
    ]


def holds(held: Sequence[Held]) -> Column:
    """Whether a row is of one of these tokens, so that files and row groups without them are passed over."""
    return F.col("subject_token").isin(*[F.lit(bytearray(token)) for token in sorted({one.token for one in held})])


def ways(asked: Asked, person: Person, held: Sequence[Held], counts: dict[str, int]) -> list[dict[str, object]]:
    """Each identifier that brought facts, those with most first: when it belongs to the person, and by which links.

    `path` leads to it from what is the person's when every merge is undone: nothing where it is that itself. It is
    searched for MOST_PATHS identifiers that belong to the person for good; others have none.
    """
    home = End(None, person.person_id, person.person_id, person.person_id)
    told: list[dict[str, object]] = []
    searched = 0
    for name, facts in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        mine = [one for one in held if one.name == name]
        spans = [{"valid_from": one.valid_from, "valid_to": one.valid_to} for one in mine]
        entry: dict[str, object] = {"identifier": name, "facts": facts, "held": spans}
        if mine and mine[0].is_for_good and searched < MOST_PATHS:
            searched += 1
            steps, path = path_between(asked, home, End(mine[0].number, None, person.person_id, name))
            entry |= {"steps": steps, "path": path}
        told.append(entry)
    return told
