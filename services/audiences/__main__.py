"""`python -m services audiences [EXPRESSION ...]`: how many persons are in audiences and in combinations of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from services.audiences.counting import count
from services.profiles.lake import opened_lake
from spark_jobs import settings as settings_file
from spark_jobs.errors import ended

_MEMORY_MB = 1024
_THREADS = 4


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audience count",
        description="How many persons are in audiences, exactly, by the publication in force.",
        epilog="Names of audiences with &, |, - and brackets, quoted for the shell: 'regulars & dormant - staff'. "
        "& binds before | and -. `everyone` is all persons.",
    )
    parser.add_argument("expressions", nargs="*", metavar="EXPRESSION", help="default: each audience")
    parser.add_argument("--workspace", required=True, metavar="NAME", help="whose audiences")
    parser.add_argument("--settings", metavar="FILE", help="settings file; default: the one DATABANK_SETTINGS names")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Count; 0, 1, 75, 70, 2 and 130 as everywhere."""
    args = _parser().parse_args(argv)
    return ended("audience count", lambda: _count(args))


def _count(args: argparse.Namespace) -> int:
    settings = settings_file.load(args.settings)
    workspace = settings.workspace(args.workspace).name
    scratch = Path(settings.spark.local_dir)
    scratch.mkdir(parents=True, exist_ok=True)
    with opened_lake(settings.storage_root, memory_mb=_MEMORY_MB, scratch=scratch, threads=_THREADS) as lake:
        facts = count(lake, workspace, args.expressions)
    if args.json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return 0
    for text, persons in facts.pop("counts").items():
        sys.stdout.write(f"{persons:>15,}  {text}\n")
    sys.stdout.write("".join(f"{name}: {fact}\n" for name, fact in facts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
