"""`python -m bench.identity`: links per CPU second of connected components, of the identity job, and of peers.

Each is measured in a process of its own over the same files, from when Spark is up and has done a small one until the
labels are written. `components` are labels alone, `verb` is `identity components` with its counts, `identity` is the
whole job over a ledger of these links, from the ledger to the published snapshot.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from bench.identity import measures
from services.setup.resolved import environment, resolved

# Beyond it a peer that holds an object for each link, or writes each step, takes the machine for an hour.
MOST_FOR = {"rustworkx": 30_000_000, "stars": 30_000_000, "identity": 30_000_000}


def main(argv: list[str] | None = None) -> int:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(prog="python -m bench.identity", description=__doc__)
    parser.add_argument("--links", default="3,10,30", help="sizes in million links (default %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each measure, in turn (default %(default)s)")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(measures.MEASURES)}")
    parser.add_argument("--folder", type=Path, required=True, help="where links and results are put; large")
    parser.add_argument("--wide", action="store_true", help="ids are any 64 bits, not the numbers of a dictionary")
    parser.add_argument(
        "--budget", type=int, default=200_000_000, help="links that one task may finish (default %(default)s)"
    )
    parser.add_argument("--driver-mb", type=int, default=3_072, help="memory of Spark's Java (default %(default)s)")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "LINKS"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        name, links = args.measure
        sys.stdout.write(json.dumps(measures.measure(name, int(links), args)) + "\n")
        return 0
    for million in map(float, args.links.split(",")):
        _print_size(int(million * 1e6), args)
    return 0


def _print_size(links: int, args: argparse.Namespace) -> None:
    names = args.only.split(",") if args.only else [n for n in measures.MEASURES if links <= MOST_FOR.get(n, links)]
    found: dict[str, list[measures.Facts]] = {name: [] for name in names}
    for _ in range(args.runs):
        for name in names:
            found[name].append(_measured(name, links, args))
    head = f"{links / 1e6:g} million links"
    sys.stdout.write(f"{head:22}    CPU-s  M links/CPU-s  wall s  memory MB  a task MB  disk MB\n")
    for name, measured in found.items():
        cpu, wall = (statistics.median(one[key] for one in measured) for key in ("cpu_s", "wall_s"))
        most = [max(one[key] for one in measured) for key in ("memory_mb", "task_mb", "disk_mb")]
        line = f"{name:22} {cpu:8.1f} {links / cpu / 1e6:14.3f} {wall:7.1f} {most[0]:10} {most[1]:10} {most[2]:8}"
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _measured(name: str, links: int, args: argparse.Namespace) -> measures.Facts:
    given = ["--folder", str(args.folder), "--budget", str(args.budget), "--driver-mb", str(args.driver_mb)]
    wide = ["--wide"] if args.wide else []
    command = [sys.executable, "-P", "-m", "bench.identity", *given, *wide, "--measure", name, str(links)]
    answer = subprocess.run(
        command, env=environment(resolved()), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if answer.returncode:
        raise RuntimeError(f"{name} of {links} links failed: {answer.stderr[-2000:]}")
    facts: measures.Facts = json.loads(answer.stdout.splitlines()[-1])
    return facts


if __name__ == "__main__":
    sys.exit(main())
