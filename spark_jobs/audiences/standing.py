"""What a build of audiences stands on: the tags in force, who refuses profiling, and the audiences in force."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.audiences import publications
from spark_jobs.audiences.publications import Publication, TagsState, publication_from
from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS
from spark_jobs.contracts.derived import TAG_PUBLICATIONS, TAG_VERSIONS
from spark_jobs.contracts.identity import IDENTITY_SNAPSHOTS
from spark_jobs.errors import TerminalError
from spark_jobs.people.refusals import Note, fingerprint, noted
from spark_jobs.settings import Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake


@dataclass(frozen=True, slots=True)
class Refusals:
    """Who refuses profiling: the tag that says so ('' for none), notes, and the words that name both."""

    tag: str
    notes: list[Note]
    text: str


def tags_in_force(lake: Lake, workspace: str) -> TagsState:
    """The newest publication of tags; TerminalError where there is none."""
    if not delta.exists(lake, TAG_PUBLICATIONS):
        raise TerminalError(f"{lake.root}: no tags are published; run `databank tags run` first")
    newest = publications_of_tags(lake, workspace).orderBy(F.desc("number")).limit(1).collect()
    if not newest:
        raise TerminalError(f"no tags of {workspace} are published; run `databank tags run` first")
    row = newest[0]
    tags = json.loads(row["state"])["tags"]
    versions = [facts["version"] for facts in tags.values()]
    told = delta.read(lake, TAG_VERSIONS).where((F.col("workspace_id") == workspace) & F.col("version").isin(*versions))
    definitions = {one["tag"]: json.loads(one["definition"]) for one in told.select("tag", "definition").collect()}
    # A snapshot may have been published again since: what its tags were computed on was published before them.
    moments = delta.read(lake, IDENTITY_SNAPSHOTS).where(
        (F.col("snapshot_id") == row["snapshot_id"]) & (F.col("published_at") <= F.lit(row["published_at"]))
    )
    snapshot_us = moments.agg(F.unix_micros(F.max("published_at"))).collect()[0][0]
    if snapshot_us is None:
        raise TerminalError(f"identity snapshot {row['snapshot_id']}, which the tags stand on, is not published")
    return TagsState(
        number=row["number"],
        generation=row["generation"],
        base_at=row["base_at"].astimezone(UTC),
        snapshot_id=row["snapshot_id"],
        snapshot_us=int(snapshot_us),
        rows=row["rows"],
        tags=publications.tags_of(tags, definitions),
    )


def publications_of_tags(lake: Lake, workspace: str) -> DataFrame:
    """Rows of `tags.publications` that were or are in force."""
    rows = delta.read(lake, TAG_PUBLICATIONS)
    return rows.where((F.col("workspace_id") == workspace) & (F.col("kind") == "current"))


def refusals_known(settings: Settings, state: TagsState) -> Refusals:
    """Who refuses profiling; TerminalError where the tag that says so is not published."""
    if settings.profiles is None:
        return Refusals("", [], "")
    tag, notes = settings.profiles.refusal_tag, noted(settings.profiles.url)
    if tag and tag not in state.tags:
        raise TerminalError(
            f"[profiles] refusal_tag is {tag!r}, and no such tag is published: nobody would be known to refuse; "
            "add it to the catalogue, or mend the settings"
        )
    said = f"{tag}@{state.tags[tag].version}" if tag else ""
    return Refusals(tag, notes, f"{said} {len(notes)} {fingerprint(notes)}".strip())


def audiences_in_force(lake: Lake, workspace: str) -> Publication | None:
    """The newest publication of audiences; None before the first."""
    rows = delta.read(lake, AUDIENCE_PUBLICATIONS).where(F.col("workspace_id") == workspace)
    newest = rows.orderBy(F.desc("number")).limit(1).collect()
    return publication_from(newest[0]) if newest else None
