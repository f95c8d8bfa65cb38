"""`python -m services event_logs`: deletes Spark's event logs that nobody has written to for a number of days."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import hdfs

from spark_jobs.errors import RetryableError, TerminalError, ended
from spark_jobs.settings import load

FOLDER = "/databank/spark-events"
DAY_MS = 24 * 60 * 60 * 1000


def main(argv: list[str] | None = None) -> int:
    """Print how many went and stayed, as one JSON object; 0, 1, 75 or 70 as everywhere."""
    parser = argparse.ArgumentParser(prog="python -m services event_logs", description=__doc__)
    parser.add_argument("--settings", metavar="FILE", help="default: what DATABANK_SETTINGS names")
    parser.add_argument("--days", type=int, default=30, help="how long they stay (default 30)")
    args = parser.parse_args(argv)
    return ended("event_logs", lambda: _delete_and_print(args))


def _delete_and_print(args: argparse.Namespace) -> int:
    url = load(args.settings).webhdfs_url
    if url is None:  # the embedded stack keeps none
        sys.stdout.write(json.dumps({"deleted": 0, "kept": 0}) + "\n")
        return 0
    try:
        counts = delete_old(
            hdfs.InsecureClient(url, user="databank"), before_ms=(time.time() * 1000) - args.days * DAY_MS
        )
    except hdfs.HdfsError as error:
        raise TerminalError(f"HDFS refused: {error}") from error
    except OSError as error:
        raise RetryableError(f"HDFS does not answer: {error}; is the NameNode running?") from error
    sys.stdout.write(json.dumps(counts) + "\n")
    return 0


def delete_old(client: Any, *, before_ms: float) -> dict[str, int]:  # noqa: ANN401 - the client has no types
    """Delete logs last written before the moment; a log is a file, or a folder of files whose newest counts."""
    counts = {"deleted": 0, "kept": 0}
    for name, status in client.list(FOLDER, status=True):
        place = f"{FOLDER}/{name}"
        written = [one["modificationTime"] for _, one in client.list(place, status=True)] if _is_folder(status) else []
        is_old = max([status["modificationTime"], *written]) < before_ms
        if is_old:
            client.delete(place, recursive=True)
        counts["deleted" if is_old else "kept"] += 1
    return counts


def _is_folder(status: dict[str, Any]) -> bool:
    return str(status["type"]) == "DIRECTORY"


if __name__ == "__main__":
    sys.exit(main())
