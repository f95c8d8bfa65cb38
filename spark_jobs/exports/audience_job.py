"""Write the files of those exports that are chosen by one audience; all else is as for `exports`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pyspark.sql import SparkSession

from spark_jobs.errors import TerminalError
from spark_jobs.exports import job
from spark_jobs.exports.definition import Export, read_export
from spark_jobs.settings import Settings
from spark_jobs.storage.delta import Lake


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which audience, and where the exports are defined."""
    parser.add_argument("audience", metavar="NAME", help="the audience whose members are exported")
    job.add_arguments(parser)


def preflight(settings: Settings, args: argparse.Namespace) -> dict[str, object] | None:
    """Refuse what is wrong with the definitions before Spark starts; with --check that is all."""
    job.preflight(settings, args)
    exports = _of_audience(args.audience, args.files)
    return {"exports": [export.name for export in exports]} if args.check else None


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Make each export of the audience; where its files lie, and how many rows they have."""
    return job.export_all(Lake(spark, settings.storage_root), settings, _of_audience(args.audience, args.files))


def _of_audience(audience: str, files: list[Path]) -> list[Export]:
    every = [read_export(path) for path in job.definitions_in(files)]
    found = [export for export in every if export.audience == audience]
    if not found:
        names = sorted({export.audience for export in every if export.audience})
        raise TerminalError(
            f"none of these exports is chosen by the audience {audience!r}; found: {', '.join(names) or 'none'}; "
            f"say `audience: {audience}` in a definition"
        )
    return found
