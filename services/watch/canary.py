"""`python -m services canary`: sends one event and waits until SQL shows it; is all between them at work?"""

from __future__ import annotations

import argparse
import json
import sys
from time import time

from services.watch import looking, measured, sending
from spark_jobs.errors import ended
from spark_jobs.settings import Settings, load
from trino_catalog.connection import connected


def main(argv: list[str] | None = None) -> int:
    """Print the event and the seconds that it took, as one JSON object; 0, 1, 75 or 70 as everywhere."""
    parser = argparse.ArgumentParser(prog="python -m services canary", description=__doc__)
    parser.add_argument("--settings", metavar="FILE", help="default: what DATABANK_SETTINGS names")
    parser.add_argument("--workspace", metavar="NAME", help="default: the first of the settings")
    parser.add_argument("--most-s", type=float, default=120, help="how long it may take (default 120)")
    args = parser.parse_args(argv)
    return ended("canary", lambda: _check(load(args.settings), args))


def _check(settings: Settings, args: argparse.Namespace) -> int:
    workspace = settings.workspace(args.workspace) if args.workspace else settings.workspaces[0]
    canary = sending.new(workspace.name)
    place = sending.send(canary, settings)
    with connected(settings.trino_url, account=settings.trino_account) as trino:
        seconds = looking.wait_until_seen(canary, place, trino, most_s=args.most_s)
    measured.write(
        settings.metrics_dir,
        "databank_canary",
        {
            "databank_canary_seconds": ("from acknowledgement to SQL, of the last check that succeeded", seconds),
            "databank_canary_last_success_seconds": ("when the check succeeded last, Unix time", time()),
        },
    )
    sys.stdout.write(json.dumps({"event_id": canary.event_id, "seconds": round(seconds, 1)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
