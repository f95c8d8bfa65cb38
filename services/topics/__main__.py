"""`python -m services topics`: makes the topics of the contracts that the brokers of the settings do not have."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.topics import making
from spark_jobs import brokers
from spark_jobs.errors import RetryableError, ended
from spark_jobs.settings import Settings, load


def main(argv: list[str] | None = None) -> int:
    """Print the names of the topics that were made, as one JSON object; 0, 1, 75 or 70 as everywhere."""
    parser = argparse.ArgumentParser(prog="python -m services topics", description=__doc__)
    parser.add_argument("--settings", metavar="FILE", help="default: what DATABANK_SETTINGS names")
    args = parser.parse_args(argv)
    return ended("topics", lambda: _say(_make(load(args.settings))))


def _say(made: list[str]) -> int:
    sys.stdout.write(json.dumps({"made": made}) + "\n")
    return 0


def _make(settings: Settings) -> list[str]:
    servers = settings.kafka_bootstrap_servers
    try:
        admin = KafkaAdminClient(bootstrap_servers=servers.split(","), **brokers.client_options(settings.kafka_account))
        with contextlib.closing(admin):
            return making.make_missing(admin)
    except (KafkaError, OSError) as error:
        raise RetryableError(f"Kafka on {servers} does not answer: {error}; is it running?") from error


if __name__ == "__main__":
    sys.exit(main())
