"""Write files for a receiver: tags of one published state, ids made for that receiver alone, and a manifest.

The folder appears with all that is in it; the same export of the same state is made once.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCES
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_PUBLICATIONS, TAG_REFUSED, TAG_VERSIONS
from spark_jobs.contracts.identity import IDENTITY_MAP, IDENTITY_SNAPSHOTS, PERSONS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.exports import rows as frames
from spark_jobs.exports.choosing import chosen
from spark_jobs.exports.definition import Export, read_export
from spark_jobs.exports.manifest import NAME, Basis, Counts, File, Selection, folder_of, is_expired, manifest
from spark_jobs.exports.pseudonyms import for_receiver
from spark_jobs.exports.writing import write_files
from spark_jobs.people import refusing
from spark_jobs.people.refusals import Refusals, refusals_of
from spark_jobs.people.system_time import known_at, newest_at
from spark_jobs.settings import Settings
from spark_jobs.storage import checkpoints, delta, folders, runs
from spark_jobs.storage.delta import Lake

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """person_id of all who may be exported, rows of `tags.person_tags`, and how many refuse profiling."""

    everybody: DataFrame
    tags: DataFrame
    refused: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which exports."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="PATH", help="definitions of exports (YAML), or folders of them"
    )
    parser.add_argument("--check", action="store_true", help="check the definitions, export nothing")


def preflight(_settings: Settings, args: argparse.Namespace) -> dict[str, object] | None:
    """Refuse what is wrong with the definitions before Spark starts; with --check that is all."""
    exports = [read_export(path) for path in definitions_in(args.files)]
    names = [export.name for export in exports]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TerminalError(f"exports {', '.join(twice)} stand in two files; wanted: a name for each")
    return {"exports": names} if args.check else None


def definitions_in(paths: Sequence[Path]) -> list[Path]:
    """The files, and in place of each folder the `*.yaml` in it; TerminalError where that is nothing."""
    found = [one for path in paths for one in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    if missing := [str(path) for path in found if not path.is_file()]:
        raise TerminalError(f"found no files {', '.join(missing)}; wanted: definitions of exports, or folders of them")
    if not found:
        raise TerminalError(f"found no *.yaml in {', '.join(map(str, paths))}; put definitions of exports there")
    return found


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Make each export; where its files lie, and how many rows they have."""
    return export_all(Lake(spark, settings.storage_root), settings, map(read_export, definitions_in(args.files)))


def export_all(lake: Lake, settings: Settings, exports: Iterable[Export]) -> dict[str, object]:
    """Make each of these exports; by name, where its files lie, how many rows they have, and how many refused."""
    made = {}
    refusals = refusals_of(settings)
    for export in exports:
        settings.workspace(export.workspace)
        with runs.recorded(lake, "exports", export.workspace) as record:
            facts = _export(lake, export, refusals, key_file=settings.root_key_file, run_id=record.run_id)
            record.rows_in = record.rows_out = facts["rows"]
            record.detail = {"export": export.name, **facts}
        made[export.name] = facts
    return {"exports": made}


def _export(lake: Lake, export: Export, refusals: Refusals, *, key_file: Path, run_id: str) -> dict[str, Any]:
    basis, otherwise = _basis(lake, export, refusals)
    home = f"{lake.root}/exports/{export.workspace}/{export.name}"
    expired = _expire(lake, home)
    place = f"{home}/{folder_of(export, basis)}"
    if folders.exists(lake, place):
        said = json.loads(folders.read_text(lake, f"{place}/{NAME}"))
        counts = Counts(int(said["rows"]), int(said.get("refused", 0)))
        return _facts(place, counts, changed=False, expired=expired)
    with checkpoints.scratch(lake, "exports", run_id) as scratch:
        made = f"{scratch.folder}/{export.name}"
        published = _published(lake, export, basis, otherwise=otherwise, refusals=refusals)
        found = frames.wide(published.everybody, published.tags, export, otherwise)
        count = write_files(_for_receiver(lake, found, export, basis, key_file=key_file), export, made)
        counts = Counts(count, published.refused)
        text = json.dumps(
            manifest(export, basis, _files(lake, made), counts=counts, made_at=datetime.now(UTC)),
            ensure_ascii=False,
            indent=1,
        )
        folders.write_text(lake, f"{made}/{NAME}", text + "\n")
        is_ours = folders.put_in_place(lake, made, place)
    log.info("%s: %d rows for %s", export.name, count, export.receiver)
    return _facts(place, counts, changed=is_ours, expired=expired)


def _facts(place: str, counts: Counts, *, changed: bool, expired: int) -> dict[str, Any]:
    return {"folder": place, "rows": counts.rows, "refused": counts.refused, "changed": changed, "expired": expired}


def _basis(lake: Lake, export: Export, refusals: Refusals) -> tuple[Basis, dict[str, str]]:
    """The state of tags in force, and the value of each tag where a person has no row."""
    if not delta.exists(lake, TAG_PUBLICATIONS):
        raise TerminalError(f"{lake.root}: no tags are published; run `databank tags run` first")
    states = delta.read(lake, TAG_PUBLICATIONS).where(
        (F.col("workspace_id") == export.workspace) & (F.col("kind") == "current")
    )
    newest = states.orderBy(F.desc("number")).limit(1).collect()
    if not newest:
        raise TerminalError(f"no tags of {export.workspace} are published; run `databank tags run` first")
    state = json.loads(newest[0]["state"])
    _refuse(export, state["tags"], refusals)
    versions = {name: {key: state["tags"][name][key] for key in ("rule", "version")} for name in export.tags}
    base_at, rows = newest[0]["base_at"].astimezone(UTC), newest[0]["rows"]
    basis = Basis(
        newest[0]["generation"],
        base_at,
        newest[0]["snapshot_id"],
        versions,
        rows,
        refusals=refusals.text or state.get("refusals", ""),
    )
    if export.audience:
        basis = replace(basis, audience=chosen(lake, export, basis))
    wanted = {name: state["tags"][name]["version"] for name in (*export.tags, refusals.tag) if name}
    told = delta.read(lake, TAG_VERSIONS).where(F.col("tag").isin(*wanted) & F.col("version").isin(*wanted.values()))
    found = {row["tag"]: json.loads(row["definition"]) for row in told.select("tag", "definition").collect()}
    return basis, {name: found[name]["Tag"]["rule"]["Rule"]["otherwise"] for name in wanted}


def _refuse(export: Export, tags: Mapping[str, Mapping[str, str]], refusals: Refusals) -> None:
    """Tags that do not exist, the one that says who refuses among them, and sensitive ones that are not allowed."""
    if refusals.tag and refusals.tag not in tags:
        raise TerminalError(
            f"export {export.name}: {export.workspace} publishes no tag {refusals.tag!r}, which [profiles] refusal_tag "
            "names: nobody's refusal would be honoured; compute the tag first, or correct the setting"
        )
    if unknown := sorted(set(export.tags) - set(tags)):
        raise TerminalError(
            f"export {export.name}: no tags {', '.join(unknown)} are published; "
            f"wanted: some of {', '.join(sorted(tags))}"
        )
    classes = {name: set(filter(None, tags[name].get("classes", "").split(","))) for name in export.tags}
    if sensitive := {
        name: found - set(export.classes) for name, found in classes.items() if found - set(export.classes)
    }:
        named = "; ".join(f"{name} ({', '.join(sorted(found))})" for name, found in sorted(sensitive.items()))
        raise TerminalError(
            f"export {export.name}: tags of sensitive classes: {named}. Leave them out; or, where the purpose allows "
            "them, name their classes under `classes`"
        )


def _published(
    lake: Lake, export: Export, basis: Basis, *, otherwise: Mapping[str, str], refusals: Refusals
) -> Published:
    """Everybody but those who refuse profiling, and the tags of all.

    RetryableError where rows of the generation are gone: newer states came meanwhile, and it was deleted.
    """
    version = delta.current_version(lake, PERSON_TAGS)
    tags = delta.read(lake, PERSON_TAGS, version=version).where(
        (F.col("workspace_id") == export.workspace) & (F.col("generation") == basis.generation)
    )
    if (found := tags.count()) != basis.rows:
        raise RetryableError(
            f"export {export.name}: generation {basis.generation} has {found:,} rows, wanted {basis.rows:,}: newer "
            "states were published meanwhile; start the export again, and it takes the newest"
        )
    people, at = _map(lake, basis), _moment(basis)
    everybody = frames.people(people, at)
    if basis.audience is not None:
        everybody = frames.members(people, at, _bitmaps(lake, export, basis.audience))
    refusers = list(_refusing(lake, basis, Published(everybody, tags), otherwise=otherwise, refusals=refusals))
    if not refusers:
        return Published(everybody, tags)
    who = refusing.together(*refusers)
    # Unique on both sides: of persons each has one row.
    refused = everybody.join(who, "person_id", "left_semi").count()
    return Published(everybody.join(who, "person_id", "left_anti"), tags, refused)


def _refusing(
    lake: Lake, basis: Basis, published: Published, *, otherwise: Mapping[str, str], refusals: Refusals
) -> Iterator[DataFrame]:
    """person_id of those who refuse profiling: by the tag of this state, by the notes of now, and by those of then."""
    if basis.refusals and delta.exists(lake, TAG_REFUSED):
        # Nothing was computed of them, though they may have taken the refusal back by now.
        yield delta.read(lake, TAG_REFUSED).where(F.col("generation") == basis.generation).select("person_id")
    if refusals.tag:
        yield refusing.by_tag(published.everybody, published.tags, refusals.tag, otherwise[refusals.tag])
    if refusals.notes:
        registry: DataFrame | None = None
        if delta.exists(lake, PERSONS):
            registry = newest_at(delta.read(lake, PERSONS), ("person_id",), _known_us(lake, basis.snapshot_id))
        yield refusing.by_notes(refusals.notes, frames.held_at(_map(lake, basis), _moment(basis)), registry)


def _bitmaps(lake: Lake, export: Export, audience: Selection) -> DataFrame:
    """The audience's rows of `tags.audiences`; RetryableError where some are gone: newer ones came meanwhile."""
    version = delta.current_version(lake, AUDIENCES)
    rows = delta.read(lake, AUDIENCES, version=version).where(
        (F.col("workspace_id") == export.workspace)
        & (F.col("generation") == audience.generation)
        & (F.col("audience") == audience.name)
    )
    found = rows.agg(F.coalesce(F.sum("persons"), F.lit(0))).collect()[0][0]
    if found != audience.persons:
        raise RetryableError(
            f"export {export.name}: audience {audience.name} of publication {audience.number} is not there as a whole "
            "any more: newer ones were published meanwhile; start the export again"
        )
    return rows


def _for_receiver(lake: Lake, rows: DataFrame, export: Export, basis: Basis, *, key_file: Path) -> DataFrame:
    """The rows as they are written: `person` and identifiers are ids that this receiver alone has."""
    theirs = partial(for_receiver, receiver=export.receiver, key_file=key_file)
    if export.identifiers:
        tokens = frames.identifiers(_map(lake, basis), _moment(basis), export.identifiers)
        rows = frames.with_identifiers(rows, theirs(tokens, "token"), as_text=export.format == "csv")
    more = [frames.IDENTIFIERS] if export.identifiers else []
    return theirs(rows, "person_id").select(F.col("person_id").alias(frames.PERSON), *export.columns, *more)


def _map(lake: Lake, basis: Basis) -> DataFrame:
    return known_at(delta.read(lake, IDENTITY_MAP), _known_us(lake, basis.snapshot_id))


def _moment(basis: Basis) -> Column:
    return F.timestamp_micros(F.lit(int(basis.base_at.timestamp() * 1_000_000)))


def _known_us(lake: Lake, snapshot_id: str) -> int:
    """Since when the snapshot is known; of one that was published again, the last time."""
    moments = delta.read(lake, IDENTITY_SNAPSHOTS).where(F.col("snapshot_id") == snapshot_id)
    return int(moments.agg(F.unix_micros(F.max("published_at"))).collect()[0][0])


def _files(lake: Lake, folder: str) -> list[File]:
    """Every file with its hash, computed where it lies; one row a file comes here."""
    read = lake.spark.read.format("binaryFile").load(folder)
    hashed = read.select(F.element_at(F.split("path", "/"), -1).alias("name"), "length", F.sha2("content", 256))
    return [File(*row) for row in hashed.collect()]


def _expire(lake: Lake, home: str) -> int:
    """Delete what this export made and nobody may have any more; how many folders."""
    now = datetime.now(UTC)
    gone = [
        name
        for name in folders.children(lake, home)
        if is_expired(folders.read_text(lake, f"{home}/{name}/{NAME}"), now)
    ]
    for name in gone:
        folders.delete(lake, f"{home}/{name}")
    return len(gone)
