"""`python -m bench.migration.tokens`: distinct identifiers made tokens a CPU second, in the Arrow kernel of a copy.

The peer is the same kernel with one value after the other by the rules of `contracts.identifiers`; each size is its own
number of distinct values, in batches as Spark sends them. Median of several runs, CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from spark_jobs.contracts.identifiers import refusal
from spark_jobs.protection.keys import create_root_key_file, load_root_keys
from spark_jobs.protection.tokens import TokenColumn, Tokeniser, replace_columns

SIZES = (100_000, 300_000, 1_000_000)
BATCH = 50_000  # `spark.sql.execution.arrow.maxRecordsPerBatch`
_MAKERS: dict[str, Callable[[int], str]] = {
    "phone": lambda n: f"13{n * 7_919 % 10**9:09d}",
    "member_no": lambda n: f"M{n}",
    "openid": lambda n: f"o{n * 1_000_003 % 10**12:012d}GZUI0egBJY1",
}


def main(argv: list[str] | None = None) -> int:
    """Print a line for each type and size."""
    parser = argparse.ArgumentParser(prog="python -m bench.migration.tokens", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each, in turn (default %(default)s)")
    args = parser.parse_args(argv)
    with TemporaryDirectory() as folder:
        key_file = Path(folder) / "root.json"
        create_root_key_file(key_file)
        tokeniser = Tokeniser(load_root_keys(key_file))
    sys.stdout.write("type        distinct  M a CPU-s  one by one  ratio\n")
    for kind, make in _MAKERS.items():
        for size in SIZES:
            values = [make(number) for number in range(size)]
            found = [(_kernel(tokeniser, kind, values), _one_by_one(tokeniser, kind, values)) for _ in range(args.runs)]
            ours, peer = (size / statistics.median(side) / 1e6 for side in zip(*found, strict=True))
            sys.stdout.write(f"{kind:10} {size:9,} {ours:10.2f} {peer:11.2f} {ours / peer:6.1f}\n")
            sys.stdout.flush()
    return 0


def _kernel(tokeniser: Tokeniser, kind: str, values: list[str]) -> float:
    """CPU seconds of all batches."""
    batches = pa.table({"clear": values}).to_batches(max_chunksize=BATCH)
    column = TokenColumn("clear", "token", kind, "shop", "why")
    began = time.process_time()
    for batch in batches:
        replace_columns(batch, [column], [], tokeniser=tokeniser)
    return time.process_time() - began


def _one_by_one(tokeniser: Tokeniser, kind: str, values: list[str]) -> float:
    began = time.process_time()
    for value in values:
        if refusal(kind, value) is None:
            tokeniser.token(kind, "shop", value)
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
