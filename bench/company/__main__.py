"""`python -m bench.company generate|score`: make the company, or score a platform's map against its truth."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.company.generation import Plan, generate
from bench.company.households import read_households
from bench.company.scoring import score
from spark_jobs.errors import TerminalError, ended


def main(argv: list[str] | None = None) -> int:
    """Do the verb; 0 where it was done."""
    args = _parser().parse_args(argv)
    return ended(f"bench.company {args.verb}", lambda: _do(args))


def _do(args: argparse.Namespace) -> int:
    answer = _generate(args) if args.verb == "generate" else _score(args)
    print(json.dumps(answer, indent=2, sort_keys=True, ensure_ascii=False))
    return 0


def _generate(args: argparse.Namespace) -> dict[str, object]:
    if not 0 < args.sample <= 1:
        raise TerminalError(f"--sample is {args.sample}, wanted more than 0 and at most 1")
    return generate(Plan(args.seed, args.sample), read_households(args.households), args.out)


def _score(args: argparse.Namespace) -> dict[str, object]:
    return score(args.truth, args.map, key_file=args.key_file, events=args.events)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.company", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("generate", help="write export/members.csv, live/behaviour.jsonl and truth/ under --out")
    make.add_argument("--households", type=Path, required=True, help="Parquet, one row per real household")
    make.add_argument("--out", type=Path, required=True, metavar="DIR")
    make.add_argument("--seed", type=int, required=True)
    make.add_argument("--sample", type=float, default=1.0, help="share of silent members and visitors; default 1")
    rate = verbs.add_parser("score", help="precision and recall of an identity map, attribution of events")
    rate.add_argument("--truth", type=Path, required=True, metavar="DIR")
    rate.add_argument("--map", type=Path, required=True, help="Parquet or JSON: type, scope, token, person_id, ...")
    rate.add_argument("--key-file", type=Path, required=True, help="root key file that the tokens were made with")
    rate.add_argument("--events", type=Path, help="Parquet or JSON: event_id, person_id")
    return parser


if __name__ == "__main__":
    sys.exit(main())
