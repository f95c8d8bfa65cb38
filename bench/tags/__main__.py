"""`python -m bench.tags`: rows per CPU second of the kernel of tags, for few rules and for many, and of DuckDB.

The kernel gets what Spark hands to it: facts of whole persons in batches of 10,000. DuckDB answers the uniform rules
with one FILTER each in one GROUP BY, from the same rows in memory; both must find the same number of persons per rule.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.tags.rows import Rows, facts_of_rows, moment_of_bench, orders, rows_of
from bench.tags.rules import LEAST, uniform, write_mixed, write_uniform
from spark_jobs.tagging.answers import answer_kernel
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.plan import compile_plan

BATCH = 10_000  # of Spark, by default

Found = Counter[int]


def main(argv: list[str] | None = None) -> int:
    """Print a line for each size, set and number of rules."""
    parser = argparse.ArgumentParser(prog="python -m bench.tags", description=__doc__)
    parser.add_argument("--rows", default="0.3,1,3", help="sizes in million rows (default %(default)s)")
    parser.add_argument("--rules", default="30,300", help="numbers of rules (default %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each measure (default %(default)s)")
    args = parser.parse_args(argv)
    sys.stdout.write("M rows  rules         kernel M/CPU-s  DuckDB M/CPU-s  ratio  values found\n")
    for million in map(float, args.rows.split(",")):
        rows = rows_of(int(million * 1e6))
        for count in map(int, args.rules.split(",")):
            _compare(rows, count, args.runs)
    return 0


def _compare(rows: Rows, count: int, runs: int) -> None:
    kernel, found, size = _kernel(rows, count, runs, write=write_uniform)
    table = orders(rows)
    peer, wanted = _measured(lambda: _duckdb(table, count), runs)
    if found != wanted:
        raise RuntimeError(
            f"{count} uniform rules: kernel and DuckDB disagree on {sum((found - wanted).values())} values"
        )
    _print(size, f"{count} uniform", size / kernel, peer=size / peer, values=found.total())
    kernel, found, size = _kernel(rows, count, runs, write=write_mixed)
    _print(size, f"{count} mixed", size / kernel, peer=None, values=found.total())


def _print(size: int, what: str, kernel: float, *, peer: float | None, values: int) -> None:
    other = f"{peer / 1e6:15.3f} {kernel / peer:6.1f}" if peer else " " * 22
    sys.stdout.write(f"{size / 1e6:6.2f}  {what:12} {kernel / 1e6:15.3f} {other} {values:13,}\n")
    sys.stdout.flush()


def _kernel(rows: Rows, count: int, runs: int, *, write: Callable[[Path, int], Catalogue]) -> tuple[float, Found, int]:
    """CPU seconds; persons per rule; how many facts there are."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue = write(Path(folder), count)
    plan, at = compile_plan(catalogue), moment_of_bench(catalogue)
    numbers = [int(tag.name.removeprefix("rule_")) for tag in catalogue.tags]
    facts = facts_of_rows(rows, plan, at)
    batches = facts.to_batches(max_chunksize=BATCH)

    def once() -> Found:
        found: Found = Counter()
        for batch in answer_kernel(plan, at, {})(batches):
            for one in batch.column("tag").value_counts().to_pylist():
                if one["values"] >= 0:
                    found[numbers[one["values"]]] += one["counts"]
        return found

    return *_measured(once, runs), facts.num_rows


def _duckdb(table: pa.Table, count: int) -> Found:
    rules = [
        f"coalesce(sum(cents) FILTER (store = '{store}' AND cents > {above * 100}), 0) >= {LEAST * 100} AS rule_{n}"
        for n, (store, above) in enumerate(uniform(count))
    ]
    with duckdb.connect() as database:
        database.register("orders", table)
        persons = f"SELECT {', '.join(rules)} FROM orders GROUP BY person"
        counts = ", ".join(f"count_if(rule_{n})" for n in range(count))
        numbers = database.sql(f"SELECT {counts} FROM ({persons})").fetchall()[0]
    return Counter({n: number for n, number in enumerate(numbers) if number})


def _measured(action: Callable[[], Found], runs: int) -> tuple[float, Found]:
    """The median of CPU seconds, of all threads, and what was found."""
    seconds, found = [], Counter[int]()
    for _ in range(runs):
        began = time.process_time()
        found = action()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds), found


if __name__ == "__main__":
    sys.exit(main())
