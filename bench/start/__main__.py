"""`python -m bench.start`: the same job in new JVMs, with and without the archive in turn; CPU seconds and ratio.

The size is the number of appends to a Delta table. CPU seconds are the operating system's, of Python and of the JVM.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from services.setup.resolved import environment, resolved

SIZES = (1, 10, 30)
ROWS = 1000


def main(argv: list[str] | None = None) -> int:
    """Print a line for each size: median CPU seconds of both, and the ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench.start", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each, in turn (default 5)")
    parser.add_argument("--job", nargs=2, metavar=("APPENDS", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.job:
        return _job(int(args.job[0]), Path(args.job[1]))
    known = environment(resolved())
    if not known["DATABANK_SPARK_CLASSES"]:
        sys.stderr.write("there is no archive to compare with; `./databank status` makes one\n")
        return 1
    sys.stdout.write("appends  with: CPU-s  without: CPU-s  ratio\n")
    for size in SIZES:
        pairs = [
            (_cpu_of(size, known), _cpu_of(size, known | {"DATABANK_SPARK_CLASSES": ""})) for _ in range(args.runs)
        ]
        fast, slow = (statistics.median(one) for one in zip(*pairs, strict=True))
        ratio = statistics.median(slow / fast for fast, slow in pairs)
        sys.stdout.write(f"{size:7}  {fast:11.1f}  {slow:14.1f}  {ratio:5.2f}\n")
        sys.stdout.flush()
    return 0


def _cpu_of(size: int, told: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", "bench.start", "--job", str(size), folder]
        subprocess.run(command, env=told, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _job(appends: int, folder: Path) -> int:
    from spark_jobs.storage import practice  # noqa: PLC0415 - who compares needs no Spark

    spark = practice.begin(folder)
    table = str(folder / "table")
    for _ in range(appends):
        spark.range(ROWS).write.format("delta").mode("append").save(table)
    rows = spark.read.format("delta").load(table).count()
    practice.end(spark)
    return int(rows != appends * ROWS)


if __name__ == "__main__":
    sys.exit(main())
