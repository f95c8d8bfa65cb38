"""A process of its own for `test_durable_log_store.py`: which log store a session uses is fixed when it starts.

Arguments: the jar of the log store, an empty folder. Prints one JSON object: what each kind of damage led to.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spark_jobs.settings import SparkSettings
from spark_jobs.storage.session import start_session

WRITERS, COMMITS_EACH, ROWS = 4, 5, 10


def main(jar: str, folder: Path) -> dict[str, object]:
    jars = (*filter(None, os.environ["DATABANK_SPARK_JARS"].split(",")), jar)
    spark = start_session(SparkSettings("local[2]", 1024, str(folder / "spark"), jars), "log store")
    table = folder / "table"
    for _ in range(4):
        append(spark, table)
    log = table / "_delta_log"
    found: dict[str, object] = {
        "rows": rows_of(spark, copied(table, "sound")),
        "checksums": (log / ".00000000000000000003.json.crc").exists(),
        "flipped": rows_of(spark, damaged(table, "flipped", lambda content: content.replace(b'{"add"', b'{"xdd"'))),
        "emptied": rows_of(spark, damaged(table, "emptied", lambda _content: b"", with_checksum=False)),
    }
    shared = folder / "shared"
    append(spark, shared)
    with ThreadPoolExecutor(WRITERS) as pool:
        for ended in [pool.submit(append, spark, shared, commits=COMMITS_EACH) for _ in range(WRITERS)]:
            ended.result()
    left = [path.name for path in (shared / "_delta_log").iterdir() if path.name.endswith(".tmp")]
    found |= {"shared": rows_of(spark, shared), "left behind": left}
    spark.stop()
    return found


def append(spark: SparkSession, table: Path, *, commits: int = 1) -> None:
    for _ in range(commits):
        spark.range(ROWS).write.format("delta").mode("append").save(str(table))


def copied(table: Path, name: str) -> Path:
    """Under another name nothing of the table is cached."""
    return Path(shutil.copytree(table, table.with_name(name)))


def damaged(table: Path, name: str, change: Callable[[bytes], bytes], *, with_checksum: bool = True) -> Path:
    newest = copied(table, name) / "_delta_log" / "00000000000000000003.json"
    before = newest.read_bytes()
    after = change(before)
    assert after != before, "the damage hit nothing"
    newest.write_bytes(after)
    if not with_checksum:  # a file system that lost a file's bytes has lost their checksums as well
        newest.with_name(f".{newest.name}.crc").unlink()
    return newest.parents[1]


def rows_of(spark: SparkSession, table: Path) -> int | str:
    try:
        return spark.read.format("delta").load(str(table)).count()
    except (PySparkException, Py4JError) as error:
        return str(error)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
