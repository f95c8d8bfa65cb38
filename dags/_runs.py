"""What all runs share: how often a task is tried, how long it may take, who is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, DeadlineAlert, DeadlineReference, SyncCallback

from _telling import on_deadline, on_failure

# A new state of tags is published and shown in SQL; what waits for it starts then.
PUBLISHED = Asset("databank_published_tags")

DEFAULTS: Mapping[str, Any] = {
    "owner": "databank",
    # Only what can succeed unchanged is tried again (`_spark.py` fails the rest): after 1, 2 and 4 minutes, or up
    # to twice as long.
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(hours=6),
    "on_failure_callback": on_failure,
}


def within(most: timedelta) -> DeadlineAlert:
    """A run that takes longer than this since it was queued is told of; it goes on."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=most, callback=SyncCallback(on_deadline)
    )
