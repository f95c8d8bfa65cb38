"""What questions about tags are answered from: states that were published, by which definitions, and what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS, TAG_TIMERS, TAG_VERSIONS
from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging.evidence import Answer
from spark_jobs.tagging.publications import Publication, exactly, publication_from, states_of
from spark_jobs.tagging.versions import TagVersion


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


def published(lake: Lake, workspace: str) -> Publication:
    """The state in force; TerminalError where nothing was published yet."""
    found = in_force(lake, workspace)
    if found is None:
        raise TerminalError(f"{lake.root}: no tags of {workspace} are published; start `databank tags run` first")
    return found


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
    found = rows.where(F.col("version").isin(*wanted)).select("tag", "definition", "head", "watermark").collect()
    return {row["tag"]: Kept(row["definition"], row["head"], json.loads(row["watermark"])) for row in found}


def answer_in(lake: Lake, publication: Publication, tag: str, *, person_no: int, otherwise: str) -> Answer:
    """What a publication says of one person: files are skipped by the person's number."""
    mine = f"{exactly(publication.state.workspace, [publication.generation])} AND person_no = {person_no}"
    rows = delta.read(lake, PERSON_TAGS).where(mine).where(F.col("tag") == tag)
    values = rows.select("value", F.unix_micros("next_change_at").alias("at")).collect()
    if values:
        return Answer(values[0]["value"], values[0]["at"])
    waiting = delta.read(lake, TAG_TIMERS).where(mine).select(F.explode("waiting").alias("one"))
    due = waiting.where(F.col("one.tag") == tag).select(F.col("one.at").alias("at")).collect()
    return Answer(otherwise, due[0]["at"] if due else None)


def changes_of(lake: Lake, workspace: str, tag: str, *, person_no: int) -> DataFrame:
    """Rows of `tags.changes` of one tag of one person that were published, with `published_at`."""
    generations = states(lake, workspace).select("generation", "published_at")
    rows = delta.read(lake, TAG_CHANGES).where(F.col("workspace_id") == workspace)
    mine = rows.where((F.col("person_no") == person_no) & (F.col("tag") == tag))
    # A generation is published once, so this join cannot add rows.
    return mine.join(generations, on="generation", how="inner")


def known_since(lake: Lake, workspace: str, tag: str) -> DataFrame:
    """`number` and `base_at` of the states that have the tag."""
    # Names of tags are a-z, 0-9 and _: nothing of them means anything in a path.
    has_tag = F.get_json_object("state", f"$.tags.{tag}.rule").isNotNull()
    return states(lake, workspace).where(has_tag).select("number", "base_at")
