"""`python -m migration VERB`: moves the history of an old system in, with a proof, and switches readers over."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any

from spark_jobs.errors import ended

_PURPOSES = {
    "plan": "freeze which files are taken, exactly as they are now",
    "copy": "copy every chunk that is not copied yet; every record gets its place",
    "requeue": "map refused records anew by the mended mapping, and go on with it",
    "settle": "of rows with one natural key keep exactly one, across files and the live stream",
    "verify": "read source and target again and compare them without tolerance, derived rows as well",
    "derive": "make orders and purchase events what the order lines say",
    "shadow": "ask old and new side the same questions and compare the answers",
    "cutover": "switch the readers' view to the new side, when the live stream has passed a barrier and all is green",
    "rollback": "switch the readers' view back to the old side",
    "finish": "leave readers on the new side for good, where all is green; no plan moves the view afterwards",
    "run": "plan, copy, settle, derive and verify in one go; with --cutover also shadow and cutover",
    "report": "write what an auditor keeps: a page, the same as JSON, all chunks as CSV",
    "status": "where every plan stands",
}


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", metavar="FILE", help="settings file; default: the one DATABANK_SETTINGS names")
    common.add_argument("--plan", metavar="ID", help="plan to work on; default: the job's in force, made last")
    common.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    parser = argparse.ArgumentParser(prog="python -m migration", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, purpose in _PURPOSES.items():
        verb = verbs.add_parser(name, parents=[common], help=purpose, description=purpose)
        if name == "status":
            continue
        verb.add_argument("--job", metavar="FILE", required=True, help="migration job (YAML)")
        read, checked = "folder of the files; default: the one the job names", "refuse a plan that reads another folder"
        verb.add_argument("--source", metavar="DIR", help=read if name in ("plan", "run") else checked)
        _add_special(name, verb)
    return parser


def _add_special(name: str, verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(
        repair=None,
        report=None,
        without_refused=False,
        reread=False,
        cutover=False,
        parallel=None,
        rate=None,
        now=False,
    )
    if name in ("plan", "run"):
        verb.add_argument("--without-refused", action="store_true", help="plan without the files that cannot be taken")
        verb.add_argument("--reread", action="store_true", help="read files again whose size and time are as planned")
    if name in ("copy", "run"):
        verb.add_argument("--parallel", type=_positive, metavar="N", help="chunks at a time; default: the job's, or 2")
        verb.add_argument("--rate", metavar="BYTES", help="bytes a second, such as 50MB; default: the job's")
        verb.add_argument("--now", action="store_true", help="begin outside of the job's hours as well")
    if name == "copy":
        verb.add_argument("--repair", metavar="CHUNK", help="replace what the target holds of one chunk")
    if name == "requeue":
        verb.add_argument("--chunk", metavar="CHUNK", help="records of this chunk only; default: of all")
        verb.add_argument("--reason", metavar="TEXT", default="", help="why, for the plan's history")
    if name in ("verify", "finish", "run", "report"):
        verb.add_argument("--report", metavar="DIR", help="where the report is written; default: the data directory")
    if name == "run":
        verb.add_argument("--cutover", action="store_true", help="go on with shadow and cutover")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0, 1 (terminal), 75 (try again), 70 (defect), 2 (usage) or 130 (interrupted)."""
    args = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)  # it reports every closed connection
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return ended(f"migration {args.verb}", lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    if args.verb == "status":
        from migration import status  # noqa: PLC0415 - it needs no Spark

        states = status.states(args)
        if args.json:
            sys.stdout.write(json.dumps(states) + "\n")
        else:
            status.print_status(states)
        return 0
    if args.verb == "report":
        from migration import report  # noqa: PLC0415 - it needs no Spark

        return _answer(args, report.make(args))
    from migration import verbs  # noqa: PLC0415 - `--help` must not wait for pyspark
    from migration.estimate import plan_text  # noqa: PLC0415

    facts = verbs.execute(args.verb, args)
    if args.verb == "plan" and not args.json:
        sys.stdout.write(plan_text(facts))
        return 0
    return _answer(args, facts)


def _answer(args: argparse.Namespace, facts: Mapping[str, Any]) -> int:
    sys.stdout.write(json.dumps(facts) + "\n" if args.json else "".join(f"{k}: {v}\n" for k, v in facts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
