"""All values that a tag of a person had, over time, with the cause of each change; nothing is written."""

from __future__ import annotations

import argparse

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.identity.naming import named
from spark_jobs.people.refusals import refusals_of
from spark_jobs.questions import persons
from spark_jobs.settings import Settings
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import asking
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.recalling import tag_from

# Changes that are listed, the newest; all of them are counted.
MOST_CHANGES = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose tag."""
    parser.add_argument("person", metavar="PERSON", help="a master id, or TYPE:VALUE, TYPE@SCOPE:VALUE")
    parser.add_argument("tag", metavar="TAG", help="name of the tag")
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose tags are asked")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what names nothing before Spark starts."""
    settings.workspace(args.workspace)
    named(args.person)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The changes in order; a value of null is the tag's `otherwise` value, or none while the tag did not exist.

    Of a person who refuses profiling nothing is told but that.

    TerminalError for a tag of a sensitive class: whom it concerns is not told.
    """
    lake, workspace = Lake(spark, settings.storage_root), settings.workspace(args.workspace)
    publication = asking.published(lake, workspace.name)
    version = asking.version_in(publication, args.tag)
    if version.classes:
        raise TerminalError(
            f"tag '{args.tag}' is of class {version.classes}: its values are not told here; who may see them reads the "
            "view tags.sensitive_changes"
        )
    asked = persons.as_of(lake, publication.state.snapshot_id, settings.root_key_file)
    person = persons.person_of(asked, args.person)
    if told := persons.refused(asked, person, publication, tag=args.tag, refusals=refusals_of(settings)):
        return told
    changes = asking.changes_of(lake, publication, args.tag, person_no=person.person_no)
    # Rows of a time when the tag was sensitive stay hidden.
    mine = changes.where((F.col("person_id") == person.person_id) & (F.coalesce("classes", F.lit("")) == ""))
    timed = mine.withColumns({"base_us": F.unix_micros("base_at"), "published_us": F.unix_micros("published_at")})
    newest = timed.orderBy(F.desc("state_version")).limit(MOST_CHANGES).collect()
    count = len(newest) if len(newest) < MOST_CHANGES else mine.count()
    first = asking.known_since(lake, workspace.name, args.tag).orderBy("number").limit(1)
    since = first.select(F.unix_micros("base_at").alias("at")).collect()[0]["at"]
    kept = asking.kept_of(lake, publication)[args.tag]
    return {
        "workspace": workspace.name,
        "tag": args.tag,
        "person_id": person.person_id,
        "known_since": moment_of(int(since)).isoformat(),
        "otherwise": tag_from(kept.definition).rule.otherwise,
        "changes": [_told(row) for row in reversed(newest)],
        "changes_left_out": count - len(newest),
    }


def _told(row: Row) -> dict[str, object]:
    return {
        "publication": int(row["state_version"]),
        "base_at": moment_of(int(row["base_us"])).isoformat(),
        "published_at": moment_of(int(row["published_us"])).isoformat(),
        "old_value": row["old_value"],
        "new_value": row["new_value"],
        "cause": row["cause"],
        "version": row["version"],
        "snapshot_id": row["snapshot_id"],
    }
