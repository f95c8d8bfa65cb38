"""Connected components of any list of links: each id, and the smallest id that it is connected with."""

from __future__ import annotations

import argparse
import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ByteType, IntegerType, LongType, ShortType, StringType

from spark_jobs.errors import TerminalError
from spark_jobs.identity import components, link_files
from spark_jobs.identity.link_files import Form
from spark_jobs.identity.packing import PACKED, READ, REFUSED
from spark_jobs.settings import Settings
from spark_jobs.storage import checkpoints, runs
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.hadoop import file_system

ALL_WORKSPACES = "all"
# Lines that tell what the others look like.
FIRST_LINES = 1_000
# Of 5 billion texts, two meet in one number with a chance of a half under one seed.
MOST_SEEDS = 10
_INTEGERS = (ByteType, ShortType, IntegerType, LongType)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the links are, where the answer goes, and what the file does not say of itself."""
    parser.add_argument("--links", required=True, metavar="FILE", help="CSV or Parquet, a file or a folder of them")
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder of Parquet files: id, component")
    parser.add_argument("--columns", metavar="A,B", help="columns of a Parquet file; default: its only two")
    parser.add_argument("--delimiter", help="what stands between the ids of a line; default: what is found there")
    parser.add_argument("--header", action="store_true", help="the first line names the columns")
    parser.add_argument("--text", action="store_true", help="ids are texts, though the first ones look like numbers")
    parser.add_argument(
        "--root-link-budget",
        type=int,
        default=components.ROOT_LINK_BUDGET,
        help="links that one task may finish (default %(default)s; at most 64 bytes each)",
    )


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Label every id of the links; nothing is written where a line is no link."""
    lake, began = Lake(spark, settings.storage_root), time.monotonic()
    files, path = file_system(lake, args.out)
    if files.exists(path):
        raise TerminalError(f"--out {args.out} is there already; name a folder that is not, or remove it")
    with (
        runs.recorded(lake, "components", ALL_WORKSPACES) as recorded,
        checkpoints.scratch(lake, "components", recorded.run_id) as scratch,
    ):
        links, form = _opened(lake, args)
        facts = _labelled(links, form, scratch, args)
        recorded.rows_in, recorded.rows_out = facts["links"], facts["ids"]
        recorded.detail.update(facts)
    return {**facts, "out": args.out, "seconds": round(time.monotonic() - began, 1)}


def _opened(lake: Lake, args: argparse.Namespace) -> tuple[DataFrame, Form]:
    """The file as it is, in lines or in two columns, and how to read it."""
    files, path = file_system(lake, args.links)
    if not files.exists(path):
        raise TerminalError(f"--links {args.links} is not there; paths without a scheme are those of {files.getUri()}")
    names = [path.getName()] if files.isFile(path) else [file.getPath().getName() for file in files.listStatus(path)]
    if any(name.endswith(".parquet") for name in names):
        return _columns(lake.spark.read.parquet(args.links), args)
    lines = lake.spark.read.text(args.links)
    first = [row["value"] for row in lines.limit(FIRST_LINES).collect()]
    return lines, link_files.form_of(first, delimiter=args.delimiter, has_names=args.header, is_text=args.text)


def _columns(rows: DataFrame, args: argparse.Namespace) -> tuple[DataFrame, Form]:
    wanted = args.columns.split(",") if args.columns else rows.columns
    if len(wanted) != 2 or not set(wanted) <= set(rows.columns):
        raise TerminalError(
            f"{args.links} has the columns {', '.join(rows.columns)}, wanted two of them; name these with --columns A,B"
        )
    kinds = [rows.schema[name].dataType for name in wanted]
    is_text = args.text or all(isinstance(kind, StringType) for kind in kinds)
    if not is_text and not all(isinstance(kind, _INTEGERS) for kind in kinds):
        found = ", ".join(f"{name} {kind.simpleString()}" for name, kind in zip(wanted, kinds, strict=True))
        raise TerminalError(
            f"{args.links} has {found}; wanted two whole numbers or two texts; --text makes texts of them"
        )
    kind = "string" if is_text else "bigint"
    ends = [F.col(f"`{name}`").cast(kind).alias(end) for name, end in zip(wanted, ("a", "b"), strict=True)]
    return rows.select(*ends), Form(None, None, is_text)


def _labelled(links: DataFrame, form: Form, scratch: Scratch, args: argparse.Namespace) -> dict[str, int]:
    """Write the answer; how many links, ids and components."""
    packed = scratch.keep(links.mapInArrow(link_files.contracting(form), PACKED), "components_stars")
    counted = {row["kind"]: row for row in _notes(packed).collect()}
    if REFUSED in counted:
        refused = counted[REFUSED]
        raise TerminalError(
            f"{refused['rows']} lines of {args.links} are no links, such as {refused['first']}; nothing was written; "
            "mend them, or make them comments with #"
        )
    read = counted[READ]["rows"] if READ in counted else 0
    words = None
    if form.is_text:
        words, seed = _dictionary(links, form, scratch)
        if seed != form.seed:
            reseeded = link_files.contracting(link_files.with_seed(form, seed))
            packed = scratch.keep(links.mapInArrow(reseeded, PACKED), "components_stars_again")
    found = components.labels_of(packed, scratch.keep, budget=args.root_link_budget)
    answer = found.toDF("id", "component") if words is None else _in_words(found, words)
    answer.write.mode("errorifexists").parquet(args.out)
    written = links.sparkSession.read.schema(answer.schema).parquet(args.out)
    is_first = F.col("id") == F.col("component")
    sums = written.agg(F.count(F.lit(1)).alias("ids"), F.count_if(is_first).alias("components"))
    return {"links": int(read), **{name: int(number) for name, number in sums.collect()[0].asDict().items()}}


def _notes(packed: DataFrame) -> DataFrame:
    """kind, rows, first: what was read and refused."""
    first = F.first(F.decode(F.col("a"), "UTF-8")).alias("first")
    return packed.where(F.col("kind").isin(READ, REFUSED)).groupBy("kind").agg(F.sum("rows").alias("rows"), first)


def _dictionary(links: DataFrame, form: Form, scratch: Scratch) -> tuple[DataFrame, int]:
    """node, text of every text, and the seed under which no two of them have one number."""
    for seed in range(MOST_SEEDS):
        seeded = link_files.dictionary(link_files.with_seed(form, seed))
        found = links.mapInArrow(seeded, "node bigint, text string").groupBy("node")
        words = scratch.keep(found.agg(F.min("text").alias("text"), F.max("text").alias("other")), f"texts_{seed}")
        if words.where(F.col("text") != F.col("other")).isEmpty():
            return words.select("node", "text"), seed
    raise TerminalError(f"under each of {MOST_SEEDS} seeds two texts have one 64-bit number; give ids that are numbers")


def _in_words(found: DataFrame, words: DataFrame) -> DataFrame:
    """id, component: the texts again; a component's is the smallest of its texts."""
    # words and found have each node once, names each root once, so these joins cannot add rows.
    spelled = found.join(words, on="node", how="inner")
    names = spelled.groupBy("root").agg(F.min("text").alias("component"))
    return spelled.join(names, on="root", how="inner").select(F.col("text").alias("id"), "component")
