"""Why a person has a tag: rule, facts and identifiers, evaluated once more; reads one person's rows, writes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_MAP
from spark_jobs.contracts.tables import table_named
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.naming import named, shown
from spark_jobs.people.refusals import refusals_of
from spark_jobs.questions import persons
from spark_jobs.questions.persons import Held, Person
from spark_jobs.settings import Settings, Workspace
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import asking
from spark_jobs.tagging.asking import Kept
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.definitions import Catalogue, Tag
from spark_jobs.tagging.evidence import SUBJECT, Answer, counted_rows, evaluated
from spark_jobs.tagging.facts import facts_of
from spark_jobs.tagging.limits import limits_named
from spark_jobs.tagging.moment import Moment, moment_at
from spark_jobs.tagging.plan import Plan, compile_plan
from spark_jobs.tagging.publications import Publication
from spark_jobs.tagging.recalling import catalogue_from
from spark_jobs.tagging.told import MEASURED_DDL, measured_kernel
from spark_jobs.tagging.versions import state_of, tables_read

# Facts that are listed, the newest; all of them are counted.
MOST_FACTS = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """A tag as it was published: by which definition, of which tables and versions, for which moment."""

    publication: Publication
    catalogue: Catalogue
    plan: Plan
    moment: Moment
    watermark: Mapping[str, str]

    @property
    def tag(self) -> Tag:
        """The tag that is asked for."""
        return self.catalogue.tags[-1]


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
    """The explanation of the state in force; TerminalError where its evidence does not give what it says.

    Of a sensitive tag neither the value nor what it follows from is told: only whether it follows. Of a person who
    refuses profiling nothing is told but that.
    """
    lake, workspace = Lake(spark, settings.storage_root), settings.workspace(args.workspace)
    publication = asking.published(lake, workspace.name)
    version = asking.version_in(publication, args.tag)
    question = _question(publication, asking.kept_of(lake, publication), args.tag, workspace)
    asked = persons.as_of(lake, publication.state.snapshot_id, settings.root_key_file)
    person = persons.person_of(asked, args.person)
    if refused := persons.refused(asked, person, publication, tag=args.tag, refusals=refusals_of(settings)):
        return refused
    held = persons.held_by(asked, person)
    tables = _tables(asked, question, person, held)
    facts = facts_of(tables, question.plan, question.moment, workspace=workspace.name).persist()
    try:
        answer = _agreed(lake, question, person, facts)
        told: dict[str, object] = {"withheld": list(publication.state.classes_of(args.tag))}
        if not version.classes:
            told = {**_since(lake, question, person, answer), "measures": _measures(question, facts)}
            told |= _evidence(asked, question, person, held, tables=tables)
    finally:
        facts.unpersist()
    return {**_head(question, person), **told}


def _head(question: Question, person: Person) -> dict[str, object]:
    """What the answer is of, and what it was computed by."""
    publication, tag = question.publication, question.tag.name
    version = publication.state.tags[tag]
    return {
        "workspace": publication.state.workspace,
        "tag": tag,
        "person_id": person.person_id,
        "state": version.state,
        "rule": version.rule,
        "version": version.version,
        "base_at": _text(publication.state.base),
        "snapshot_id": publication.state.snapshot_id,
        "publication": publication.number,
        "watermark": dict(question.watermark),
        "agrees": True,
    }


def _question(publication: Publication, kept: Mapping[str, Kept], tag: str, workspace: Workspace) -> Question:
    """The question; TerminalError where what was published cannot be computed any more as it was."""
    head = kept[tag].head
    if head is None:
        raise TerminalError(
            f"publication {publication.number} is of a release that kept no heads of catalogues; start `tags run` for "
            "a new base time, and ask again"
        )
    catalogue = catalogue_from(head, {name: one.definition for name, one in kept.items()}, tag)
    state = publication.state
    moment = moment_at(
        moment_of(state.base), workspace.zone, complete_since=workspace.history_complete_since, catalogue=catalogue
    )
    stamps = kept[tag].watermark
    known = state_of(catalogue, moment, snapshot_id=state.snapshot_id, stamps=stamps, refusals=state.refusals)
    now = known.tags[tag]
    if now.version != state.tags[tag].version:
        what = "rule" if now.rule != state.tags[tag].rule else "zone, its clock changes, or history_complete_since"
        raise TerminalError(
            f"tag '{tag}' was published as version {state.tags[tag].version}, and the same definition is version "
            f"{now.version} today: {what} mean something else now. Start `tags run`, and ask again"
        )
    return Question(publication, catalogue, compile_plan(catalogue), moment, stamps)


def _tables(asked: Asked, question: Question, person: Person, held: list[Held]) -> dict[str, DataFrame]:
    """The tables as they were read for the publication, of what has a subject this person's rows alone."""
    tables = {IDENTITY_MAP.name: persons.map_of(asked, person)}
    for name in tables_read(question.plan.sources):
        if name == IDENTITY_MAP.name:
            continue
        table, version = table_named(name), int(question.watermark[name].partition("@")[0])
        try:
            rows = delta.read(asked.lake, table, version=version)
        except AnalysisException as error:
            raise TerminalError(
                f"version {version} of {name}, which the tags in force were computed from, is not kept any more; start "
                "`tags run`, and ask again"
            ) from error
        tables[name] = rows.where(persons.holds(held)) if "subject_token" in table.column_names else rows
    return tables


def _agreed(lake: Lake, question: Question, person: Person, facts: DataFrame) -> Answer:
    """What was published, if the facts give just that."""
    publication, tag = question.publication, question.tag
    limits = limits_named(publication.limits, question.plan)
    found = evaluated(facts, question.plan, question.moment, limits)
    published = asking.answer_in(lake, publication, tag.name, person_no=person.person_no, otherwise=tag.rule.otherwise)
    if found == published:
        return published
    newest = asking.published(lake, publication.state.workspace)
    if newest.number > publication.number + 1:  # the state that was asked may be deleted by now
        raise RetryableError("newer states were published meanwhile; ask again, and the newest is explained")
    differs = "" if publication.state.tags[tag.name].classes else f": published is {published}, evidence gives {found}"
    raise TerminalError(
        f"tag '{tag.name}' of person {person.person_id} does not follow from its evidence{differs}. Rule "
        f"{tag.rule_hash}, version {publication.state.tags[tag.name].version}; start `tags run`; if it stays, report it"
    )


def _measures(question: Question, facts: DataFrame) -> list[dict[str, object]]:
    limits = limits_named(question.publication.limits, question.plan)
    kernel = measured_kernel(question.plan, question.moment, limits, question.catalogue.head)
    return [row.asDict() for row in facts.mapInArrow(kernel, MEASURED_DDL).collect()]


def _since(lake: Lake, question: Question, person: Person, answer: Answer) -> dict[str, object]:
    """The level, and since when: the last change, or the first state that has the tag."""
    workspace, tag = question.publication.state.workspace, question.tag.name
    changes = asking.changes_of(lake, question.publication, tag, person_no=person.person_no)
    changes = changes.where(F.col("person_id") == person.person_id)
    last = changes.orderBy(F.desc("state_version")).limit(1).select("cause", F.unix_micros("base_at").alias("at"))
    rows = last.collect()
    if not rows:
        first = asking.known_since(lake, workspace, tag).orderBy("number").limit(1)
        rows = first.select(F.lit("first").alias("cause"), F.unix_micros("base_at").alias("at")).collect()
    due = answer.next_change_at
    return {
        "level": answer.value,
        "since": _text(int(rows[0]["at"])),
        "cause": rows[0]["cause"],
        "next_change_at": None if due is None else _text(due),
    }


def _evidence(
    asked: Asked, question: Question, person: Person, held: list[Held], *, tables: Mapping[str, DataFrame]
) -> dict[str, object]:
    """The facts that the rule counted, how many of each source, and how they came to the person."""
    workspace = question.publication.state.workspace
    rows = counted_rows(tables, question.plan, question.catalogue, question.moment, workspace=workspace)
    counted = rows.groupBy("source", *SUBJECT).count().collect()
    by_source: dict[str, int] = {}
    by_identifier: dict[str, int] = {}
    for row in counted:
        name = shown(row["subject_type"], row["subject_scope"], bytes(row["subject_token"]))
        by_source[row["source"]] = by_source.get(row["source"], 0) + row["count"]
        by_identifier[name] = by_identifier.get(name, 0) + row["count"]
    newest = rows.withColumn("at_us", F.unix_micros("at")).orderBy(F.desc("at_us"), "source", "ref").limit(MOST_FACTS)
    facts = [
        {
            "source": row["source"],
            "id": row["ref"],
            "at": _text(int(row["at_us"])),
            "identifier": shown(row["subject_type"], row["subject_scope"], bytes(row["subject_token"])),
            "counted_for": row["counted_for"],
        }
        for row in newest.collect()
    ]
    return {
        "facts_counted": dict(sorted(by_source.items())),
        "facts": facts,
        "facts_left_out": sum(by_source.values()) - len(facts),
        "identity": persons.ways(asked, person, held, by_identifier),
    }


def _text(instant_us: int) -> str:
    return moment_of(instant_us).isoformat()
