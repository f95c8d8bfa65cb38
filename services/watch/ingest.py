"""`python -m services ingest_watch`: does the stream of live events keep up, and what does it refuse?

It looks twice at what the topic holds and the stream has not taken in: behind and on its way is no fault, behind and
not nearer is one. What was refused is counted by the stream itself, in `ops.runs`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass

from services.watch import checkpoints, measured
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError, TerminalError, ended
from spark_jobs.ingest import backlog
from spark_jobs.settings import Settings, load
from trino_catalog.connection import connected

# Of the last hour. A restarted stream is no longer there twice: a batch is one row, however often it was tried.
_TAKEN_IN = """SELECT coalesce(sum(rows_in), 0), coalesce(sum(rows_quarantined), 0), coalesce(sum(rows_duplicate), 0)
FROM lake.ops.runs WHERE job = 'ingest' AND started_at > current_timestamp - INTERVAL '1' HOUR"""


@dataclass(frozen=True, slots=True)
class Seen:
    """Messages: not taken in at two moments, and of the last hour read, refused, there already."""

    behind_before: int
    behind: int
    read: int
    refused: int
    duplicate: int

    @property
    def refused_percent(self) -> float:
        """Share of the last hour's messages."""
        return 100 * self.refused / self.read if self.read else 0.0


def main(argv: list[str] | None = None) -> int:
    """Print what was seen as one JSON object; 0, 1 (too much is refused), 75 (it does not keep up) or 70."""
    parser = argparse.ArgumentParser(
        prog="python -m services ingest_watch", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--settings", metavar="FILE", help="default: what DATABANK_SETTINGS names")
    parser.add_argument(
        "--most-behind", type=int, default=100_000, help="messages that may wait for the stream (default 100,000)"
    )
    parser.add_argument(
        "--most-refused-percent", type=float, default=5.0, help="of an hour's messages, of 1,000 at least (default 5)"
    )
    parser.add_argument("--pause-s", type=float, default=30.0, help="between the two looks (default 30)")
    args = parser.parse_args(argv)
    return ended("ingest_watch", lambda: _watch(load(args.settings), args))


def _watch(settings: Settings, args: argparse.Namespace) -> int:
    seen = look(settings, pause_s=args.pause_s)
    sys.stdout.write(
        json.dumps(
            {
                "behind": seen.behind,
                "read": seen.read,
                "refused": seen.refused,
                "refused_percent": round(seen.refused_percent, 2),
                "duplicate": seen.duplicate,
            }
        )
        + "\n"
    )
    measured.write(
        settings.metrics_dir,
        "databank_ingest",
        {
            "databank_ingest_behind_messages": ("what the topic holds and the stream has not taken in", seen.behind),
            "databank_ingest_refused_ratio": ("of the last hour's messages", seen.refused_percent / 100),
            "databank_ingest_watched_seconds": ("when this was looked at, Unix time", time.time()),
        },
    )
    judge(seen, most_behind=args.most_behind, most_refused_percent=args.most_refused_percent)
    return 0


def look(settings: Settings, *, pause_s: float) -> Seen:
    """Look at broker and checkpoint, twice where something waits, and at what the last hour's batches counted."""
    before = behind = _behind(settings)
    if before:
        time.sleep(pause_s)
        behind = _behind(settings)
    with connected(settings.trino_url, account=settings.trino_account) as trino:
        read, refused, duplicate = (int(value) for value in trino.ask(_TAKEN_IN).one())
    return Seen(before, behind, read, refused, duplicate)


FEW = 1000  # messages of an hour, below which a share says nothing


def judge(seen: Seen, *, most_behind: int, most_refused_percent: float) -> None:
    """RetryableError where the stream does not keep up, TerminalError where it refuses too much."""
    if seen.behind > most_behind and seen.behind >= seen.behind_before:
        raise RetryableError(
            f"the stream is {seen.behind:,} messages behind and was {seen.behind_before:,} before; wanted: "
            f"{most_behind:,} at most, or fewer each time. Does it run (`databank-ingest`), and has it cores enough?"
        )
    if seen.read >= FEW and seen.refused_percent > most_refused_percent:
        raise TerminalError(
            f"{seen.refused:,} of {seen.read:,} messages of the last hour were refused ({seen.refused_percent:.1f} %); "
            f"wanted: {most_refused_percent:g} % at most. `SELECT source_object, reason, count(*) FROM quarantine.rows "
            "WHERE stage = 'ingest' GROUP BY 1, 2` says which and why; they are kept. Ask the source what it changed"
        )


def _behind(settings: Settings) -> int:
    # The checkpoint first: a topic that grows in between makes it look further behind, never nearer.
    taken = checkpoints.taken(settings)
    return backlog.missing(backlog.ends(settings, EVENTS_TOPIC.name), taken)


if __name__ == "__main__":
    sys.exit(main())
