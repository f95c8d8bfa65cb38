"""What questions about tags are answered from: states that were published, by which definitions, and what changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS
from spark_jobs.contracts.derived import (
    PERSON_TAGS,
    TAG_CHANGES,
    TAG_PUBLICATIONS,
    TAG_REFUSED,
    TAG_TIMERS,
    TAG_VERSIONS,
)
from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.settings import Workspace
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging.calendar import day_of, start_of_day
from spark_jobs.tagging.evidence import Answer
from spark_jobs.tagging.in_use import Uses
from spark_jobs.tagging.publications import Publication, exactly, publication_from, states_of
from spark_jobs.tagging.versions import TagVersion

_BACK = {"latest": 0, "previous": 1}
MOST_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Kept:
    """What `tags.versions` keeps of one version: texts of definition and head, and the tables read, by name."""

    definition: str
    head: str | None
    watermark: Mapping[str, str]


def states(lake: Lake, workspace: str) -> DataFrame:
    """Rows of `tags.publications` that were or are in force."""
    return delta.read(lake, TAG_PUBLICATIONS).where(states_of(workspace))


def in_force(lake: Lake, workspace: str) -> Publication | None:
    """The state in force; None before the first."""
    if not delta.exists(lake, TAG_PUBLICATIONS):
        return None
    newest = states(lake, workspace).orderBy(F.desc("number")).limit(1).collect()
    return publication_from(newest[0]) if newest else None


def in_force_at(spark: SparkSession, root: str, workspace: str) -> Publication | None:
    """The state in force of a lake whose storage root is given; None before the first."""
    return in_force(Lake(spark, root), workspace)


def uses_of_audiences(lake: Lake, workspace: str) -> Uses:
    """Tag to the audiences in force that go by it."""
    if not delta.exists(lake, AUDIENCE_PUBLICATIONS):
        return {}
    rows = delta.read(lake, AUDIENCE_PUBLICATIONS).where(F.col("workspace_id") == workspace)
    newest = rows.orderBy(F.desc("number")).select("audiences").limit(1).collect()
    told: dict[str, dict[str, list[str]]] = json.loads(newest[0]["audiences"]) if newest else {}
    found: dict[str, list[str]] = {}
    for name, audience in sorted(told.items()):
        for tag in audience["tags"]:
            found.setdefault(tag, []).append(f"audience {name}")
    return {tag: tuple(users) for tag, users in found.items()}


def uses_of_audiences_at(spark: SparkSession, root: str, workspace: str) -> Uses:
    """The same of a lake whose storage root is given."""
    return uses_of_audiences(Lake(spark, root), workspace)


def published(lake: Lake, workspace: str) -> Publication:
    """The state in force; TerminalError where nothing was published yet."""
    found = in_force(lake, workspace)
    if found is None:
        raise TerminalError(f"{lake.root}: no tags of {workspace} are published; start `databank tags run` first")
    return found


def rows_of(lake: Lake, publication: Publication) -> DataFrame:
    """Rows of `tags.person_tags` of a publication: of the state in force and the one before it they are there."""
    return delta.read(lake, PERSON_TAGS).where(exactly(publication.state.workspace, [publication.generation]))


def named(lake: Lake, text: str, workspace: Workspace) -> Publication:
    """The state that a text names: `latest`, `previous`, a number, a generation, an identity snapshot, or a day.

    A day names the last state that held at its beginning on the workspace's clocks, a snapshot the last state of it.
    TerminalError where there is none.
    """
    found = states(lake, workspace.name).where(_is_named(text, published(lake, workspace.name).number, workspace))
    rows = found.orderBy(F.desc("number")).limit(1).collect()
    if not rows:
        raise TerminalError(
            f"no state of the tags of {workspace.name} is '{text}'; wanted latest, previous, a number, a generation, "
            "an identity snapshot or a day such as 2018-01-01, of tags.publications"
        )
    return publication_from(rows[0])


def _is_named(text: str, newest: int, workspace: Workspace) -> Column:
    if text in _BACK:
        return F.col("number") == newest - _BACK[text]
    if text.isdecimal() and len(text) <= MOST_DIGITS:
        return F.col("number") == int(text)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return F.col("base_at") <= F.lit(start_of_day(day_of(text), workspace.zone))
    return (F.col("generation") == text) | (F.col("snapshot_id") == text)


def version_in(publication: Publication, tag: str) -> TagVersion:
    """The version of a tag in a publication; TerminalError names the tags that it has."""
    if tag not in publication.state.tags:
        raise TerminalError(
            f"publication {publication.number} of {publication.state.workspace} has no tag '{tag}'; "
            f"it has: {listed(publication.state.tags)}"
        )
    return publication.state.tags[tag]


def kept_of(lake: Lake, publication: Publication) -> dict[str, Kept]:
    """What is kept of every tag's version in a publication; as many rows as the catalogue has tags."""
    wanted = [version.version for version in publication.state.tags.values()]
    rows = delta.read(lake, TAG_VERSIONS).where(F.col("workspace_id") == publication.state.workspace)
    # A version is a hash of the tag's name as well, so one tag has one row.
    # The first run of a release adds the columns that came with it.
    head = F.col("head") if "head" in rows.columns else F.lit(None).cast("string").alias("head")
    found = rows.where(F.col("version").isin(*wanted)).select("tag", "definition", head, "watermark").collect()
    return {row["tag"]: Kept(row["definition"], row["head"], json.loads(row["watermark"])) for row in found}


def answer_in(lake: Lake, publication: Publication, tag: str, *, person_no: int, otherwise: str) -> Answer:
    """What a publication says of one person: files are skipped by the person's number."""
    is_mine = F.col("person_no") == person_no
    rows = rows_of(lake, publication).where(is_mine & (F.col("tag") == tag))
    values = rows.select("value", F.unix_micros("next_change_at").alias("at")).collect()
    if values:
        return Answer(values[0]["value"], values[0]["at"])
    timers = delta.read(lake, TAG_TIMERS).where(exactly(publication.state.workspace, [publication.generation]))
    waiting = timers.where(is_mine).select(F.explode("waiting").alias("one"))
    due = waiting.where(F.col("one.tag") == tag).select(F.col("one.at").alias("at")).collect()
    return Answer(otherwise, due[0]["at"] if due else None)


def is_left_out(lake: Lake, publication: Publication, tag: str, *, person_no: int) -> bool:
    """Whether a publication has no value of a tag because the person refused profiling."""
    if not delta.exists(lake, TAG_REFUSED):
        return False
    rows = delta.read(lake, TAG_REFUSED).where(exactly(publication.state.workspace, [publication.generation]))
    return not rows.where((F.col("person_no") == person_no) & (F.col("tag") != tag)).isEmpty()


def changes_of(lake: Lake, publication: Publication, tag: str, *, person_no: int) -> DataFrame:
    """Rows of `tags.changes` of one tag of one person up to a publication, with `published_at`.

    What was published meanwhile is left out: value, cause and refusal are told as of one state.
    """
    is_known = F.col("state_version") <= publication.number
    is_asked = (F.col("person_no") == person_no) & (F.col("tag") == tag)
    return _changes(lake, publication.state.workspace, is_asked & is_known)


def changes_between(lake: Lake, workspace: str, after: int, until: int) -> DataFrame:
    """Rows of `tags.changes` that the states behind the number `after`, up to `until`, brought."""
    number = F.col("state_version")
    return _changes(lake, workspace, (number > after) & (number <= until))


def _changes(lake: Lake, workspace: str, condition: Column) -> DataFrame:
    generations = states(lake, workspace).select("generation", "published_at")
    rows = delta.read(lake, TAG_CHANGES).where((F.col("workspace_id") == workspace) & condition)
    # A generation is published once, so this join cannot add rows; those of runs that lost or died it leaves out.
    return rows.join(generations, on="generation", how="inner")


def known_since(lake: Lake, workspace: str, tag: str) -> DataFrame:
    """`number` and `base_at` of the states that have the tag."""
    # Names of tags are a-z, 0-9 and _: nothing of them means anything in a path.
    has_tag = F.get_json_object("state", f"$.tags.{tag}.rule").isNotNull()
    return states(lake, workspace).where(has_tag).select("number", "base_at")
