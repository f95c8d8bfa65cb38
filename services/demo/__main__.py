"""`./databank demo`: one year of a real grocery chain moves in while live events arrive, and every figure is proved."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from rich.console import Console

from services.demo import report, summary
from services.demo.export import SEED
from services.demo.options import Options
from services.demo.run import run
from services.setup import paths
from spark_jobs.errors import ended

NOT_PROVED = 1


def main(argv: list[str] | None = None) -> int:
    """0 where every figure is equal on both sides, 1 where one is not or a person must act, 75, 70, 2 or 130."""
    parser = argparse.ArgumentParser(prog="./databank demo", description=__doc__)
    parser.add_argument("--sample", type=_share, default=1.0, metavar="SHARE", help="share of households; default 1")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of sample and simulation; default {SEED}")
    parser.add_argument(
        "--plant", choices=["missing-row"], help="take one row out before the proof, to see it turn red"
    )
    parser.add_argument("--home", type=Path, default=paths.state_dir(), metavar="DIR", help="default: .databank")
    parser.add_argument("--json", action="store_true", help="print the facts as one JSON object on standard output")
    args = parser.parse_args(argv)
    console = Console(stderr=args.json)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = Options(args.home.resolve(), args.sample, args.seed, plants_missing_row=args.plant is not None)
    return ended(
        "databank demo",
        lambda: _run(options, console, as_json=args.json),
        when_interrupted="interrupted; everything it started has been stopped",
    )


def _run(options: Options, console: Console, *, as_json: bool) -> int:
    outcome = run(options, console)
    report.write(outcome, options.report)
    summary.show(outcome, console)
    if as_json:
        sys.stdout.write(json.dumps(summary.facts(outcome), default=str) + "\n")
    return 0 if outcome.is_proved else NOT_PROVED


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0 and at most 1")
    return share


if __name__ == "__main__":
    sys.exit(main())
