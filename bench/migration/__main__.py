"""`python -m bench.migration`: rows per CPU second of a verified copy, and of its peers over the same rows.

Each peer is measured in a process of its own, from when Spark is up until the work is done; CPU seconds are those of
the whole process tree. Peers: Spark reading the rows and writing them into Delta with its default settings, DuckDB's
COPY, and delta-rs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from bench.migration import measures
from services.setup.resolved import environment, resolved

ROWS_A_FILE = 2_500_000


def main(argv: list[str] | None = None) -> int:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(prog="python -m bench.migration", description=__doc__)
    parser.add_argument("--rows", default="10,30,100", help="sizes in million rows (default %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each measure, in turn (default %(default)s)")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(measures.MEASURES)}")
    parser.add_argument("--folder", type=Path, required=True, help="where rows and tables are put; large")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "ROWS"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        name, rows = args.measure
        sys.stdout.write(json.dumps(measures.measure(name, int(rows), args.folder)) + "\n")
        return 0
    names = args.only.split(",") if args.only else list(measures.MEASURES)
    for million in map(float, args.rows.split(",")):
        _print_size(int(million * 1e6), names, args.runs, args.folder)
    return 0


def _print_size(rows: int, names: list[str], runs: int, folder: Path) -> None:
    _measured("rows", rows, folder)
    found: dict[str, list[measures.Facts]] = {}
    for _ in range(runs):
        for name in names:
            for what, facts in _measured(name, rows, folder).items():
                found.setdefault(what, []).append(facts)
    plain = statistics.median(one["cpu_s"] for one in found.get(measures.PLAIN, [{"cpu_s": float("nan")}]))
    sys.stdout.write(f"{rows / 1e6:g} million rows   CPU-s  M rows/CPU-s  of plain  wall s  memory MB\n")
    for what, measured in found.items():
        cpu, wall = (statistics.median(one[key] for one in measured) for key in ("cpu_s", "wall_s"))
        memory = max(one["memory_mb"] for one in measured)
        line = f"{what:22} {cpu:8.1f} {rows / cpu / 1e6:13.3f} {cpu / plain:9.2f} {wall:7.1f} {memory:10}"
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _measured(name: str, rows: int, folder: Path) -> dict[str, measures.Facts]:
    command = [sys.executable, "-P", "-m", "bench.migration", "--folder", str(folder), "--measure", name, str(rows)]
    told = environment(resolved())
    answer = subprocess.run(command, env=told, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(f"{name} of {rows} rows failed: {answer.stderr[-2000:]}")
    facts: dict[str, measures.Facts] = json.loads(answer.stdout.splitlines()[-1])
    return facts


if __name__ == "__main__":
    sys.exit(main())
