"""Askers that never stop while snapshots are loaded: each answer must be of one snapshot, and never of an older one.

Every tag of every person has the number of its publication as its value, so that a mix shows in any answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.testclient import TestClient

from tests.profile_lake import LakeWriter, master_id, phone

PERSONS = range(1, 21)
ASKERS = 4


def publish_number(lake: LakeWriter) -> None:
    """The next publication."""
    lake.next()
    if lake.number == 1:
        for person in PERSONS:
            lake.person(person)
            lake.holds(person, "phone", phone(person))
    lake.publish({person: {tag: str(lake.number) for tag in lake.tags} for person in PERSONS})


@dataclass(slots=True)
class Seen:
    """What the askers found wrong, and which publications they saw."""

    wrong: list[str] = field(default_factory=list)
    publications: set[int] = field(default_factory=set)
    answers: int = 0


@contextmanager
def hammered(ask: Callable[[], Any]) -> Iterator[Seen]:
    """Ask all the time while the block runs. `ask`: one batch, as the response."""
    seen, stop = Seen(), threading.Event()
    askers = [threading.Thread(target=_ask, args=(ask, seen, stop), daemon=True) for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    try:
        yield seen
        until = seen.answers + 2 * ASKERS
        while seen.answers < until and not seen.wrong:  # what is in force now is asked for as well
            time.sleep(0.01)
    finally:
        stop.set()
        for asker in askers:
            asker.join(10)


def batch(client: TestClient) -> Callable[[], Any]:
    """A batch of all persons, by phone and by master id in turn."""
    identifiers = [
        {"type": "phone", "value": phone(person)} if person % 2 else {"type": "person_id", "value": master_id(person)}
        for person in PERSONS
    ]
    return lambda: client.post("/v1/profiles:batch", json={"identifiers": identifiers})


def _ask(ask: Callable[[], Any], seen: Seen, stop: threading.Event) -> None:
    newest = 0
    while not stop.is_set():
        response = ask()
        if response.status_code != 200:
            seen.wrong.append(f"status {response.status_code}: {response.text}")
            return
        body = response.json()
        values = {(tag["value"], tag["version"].rpartition("-v")[2]) for one in body["profiles"] for tag in one["tags"]}
        number = str(body["publication"])
        counts = {len(one.get("tags", ())) for one in body["profiles"]}
        if values != {(number, number)} or counts != {2} or body["snapshot_id"] != f"snapshot-{number}":
            seen.wrong.append(f"publication {number} of {body['snapshot_id']} has {values}, {counts} tags a person")
        if body["publication"] < newest:
            seen.wrong.append(f"publication {number} after {newest}")
        newest = body["publication"]
        seen.publications.add(newest)
        seen.answers += 1
