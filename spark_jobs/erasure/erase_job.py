"""Erase persons: record a request (--person), carry out all open ones (--run), say what became of one (--certificate).

Nothing comes back: tombstones keep out what happened before, in the stream and in the migration, from the request on.
"""

from __future__ import annotations

import argparse
import uuid
from datetime import timedelta

from pyspark.sql import SparkSession

from spark_jobs.erasure import requesting, running
from spark_jobs.erasure.certificate import certificate
from spark_jobs.errors import TerminalError
from spark_jobs.identity import asking
from spark_jobs.identity.naming import named
from spark_jobs.settings import Settings
from spark_jobs.storage.delta import Lake

# A batch of the stream, or a chunk of a copy, that was under way when a request was recorded has ended by then.
GRACE_MINUTES = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done: one of three."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--person", metavar="PERSON", help="record that this person is to be erased: a master id, or TYPE:VALUE"
    )
    what.add_argument("--run", action="store_true", help="carry out all open requests; a run that was killed goes on")
    what.add_argument("--certificate", metavar="REQUEST", help="what became of a request, and what is outside")
    parser.add_argument("--author", metavar="NAME", help="with --person: who asks for it")
    parser.add_argument("--reason", metavar="TEXT", help="with --person: why; never who the person is")
    parser.add_argument(
        "--grace-minutes",
        type=int,
        default=GRACE_MINUTES,
        metavar="N",
        help="with --run: leave requests that are younger to the next run (default %(default)s)",
    )


def preflight(_settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what names nobody, or says not who asks and why, before Spark starts."""
    if args.person is not None:
        named(args.person)
        if missing := [f"--{name}" for name in ("author", "reason") if not (getattr(args, name) or "").strip()]:
            raise TerminalError(f"--person wants {' and '.join(missing)} as well: an erasure cannot be undone")
    elif args.author or args.reason:
        raise TerminalError("--author and --reason belong to --person")
    if args.certificate is not None:
        try:
            uuid.UUID(args.certificate)
        except ValueError:
            raise TerminalError("--certificate wants the id of a request, as --person printed it") from None
    if args.grace_minutes < 0:
        raise TerminalError(f"--grace-minutes is {args.grace_minutes}, wanted 0 or more")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Facts of what was done: a request's id, what a run took out, or the certificate."""
    lake = Lake(spark, settings.storage_root)
    if args.person is not None:
        return requesting.record(asking.opened(spark, settings), args.person, author=args.author, reason=args.reason)
    if args.certificate is not None:
        return certificate(lake, args.certificate)
    return running.carry_out(lake, settings, grace=timedelta(minutes=args.grace_minutes))
