"""Record that a person is to be erased: who asked, why, and tombstones of what the person holds; nothing in clear."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import Row
from pyspark.sql import functions as F

from spark_jobs.contracts.core import CLOCK_ERROR
from spark_jobs.contracts.erasure import ERASURE_REQUESTS, TOMBSTONES
from spark_jobs.errors import TerminalError
from spark_jobs.identity.asking import Asked
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tombstones import ALWAYS_US, tombstone
from spark_jobs.questions import persons
from spark_jobs.questions.persons import MOST_HELD, Person
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def record(asked: Asked, person_text: str, *, author: str, reason: str) -> dict[str, object]:
    """Record the request and put its tombstones into force; facts without any identifier.

    TerminalError where the text names nobody, or an identifier that belongs to nobody for good.
    """
    person = persons.person_of(asked, person_text)
    held, now, request_id = _held(asked, person), datetime.now(UTC), str(uuid.uuid4())
    masters = asked.persons().where(F.col("survivor_id") == person.person_id).count()
    for_good = len({bytes(row["token"]) for row in held if row["since_us"] == ALWAYS_US})
    stones = _stones(held, request_id, now, asked.key_file)
    spark, lake = asked.lake.spark, asked.lake
    once = Transaction(f"erasure/request/{request_id}", 1)
    # They count once the request is there: a call that dies between the two leaves nothing that anybody goes by.
    delta.append(spark.createDataFrame(stones, TOMBSTONES.ddl), lake, TOMBSTONES, once=once)
    row = (request_id, now, author, reason, asked.snapshot.snapshot_id, masters, for_good)
    delta.append(spark.createDataFrame([row], ERASURE_REQUESTS.ddl), lake, ERASURE_REQUESTS, once=once)
    return {
        "request_id": request_id,
        "requested_at": now.isoformat(),
        "identifiers": for_good,
        "master_ids": masters,
        "next": "`databank upkeep erase --run` carries it out, every week by itself",
    }


def _held(asked: Asked, person: Person) -> list[Row]:
    """token, since_us, until_us of each span in which the person held an identifier."""
    spans = persons.map_of(asked, person).select(
        "token", F.unix_micros("valid_from").alias("since_us"), F.unix_micros("valid_to").alias("until_us")
    )
    held = spans.orderBy("since_us", "token").limit(MOST_HELD + 1).collect()
    if len(held) > MOST_HELD:
        raise TerminalError(
            f"person {person.person_id} holds more than {MOST_HELD} identifiers: that is a fault of identity, and to "
            "erase would erase many; look for its hubs with `identity quality`"
        )
    return held


def _stones(held: list[Row], request_id: str, now: datetime, key_file: Path) -> list[tuple[object, ...]]:
    keys, end = load_root_keys(key_file), now + CLOCK_ERROR
    stones = []
    for row in held:
        since = _EPOCH + timedelta(microseconds=int(row["since_us"]))
        until = min(end, _EPOCH + timedelta(microseconds=int(row["until_us"])))
        if since < until:
            stone = bytearray(tombstone(bytes(row["token"]), keys, keys.active))
            stones.append((request_id, stone, keys.active, since, until))
    return stones
