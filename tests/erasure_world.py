"""A small lake of three persons, made by the jobs themselves; one of them is to be erased.

Ann has a login, a member number, a phone and a device of her own; at the till she stood before Bob, and he before Cy.
She first was two persons, who became one. Bob once typed her phone into a form.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCE_CHANGES, AUDIENCE_DELIVERIES, AUDIENCE_PUBLICATIONS, AUDIENCES
from spark_jobs.contracts.core import EVENTS
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_DELIVERIES, TAG_PUBLICATIONS, TAG_REFUSED
from spark_jobs.contracts.erasing import RULES
from spark_jobs.contracts.events import purchase_event_id
from spark_jobs.contracts.tables import STREAMED
from spark_jobs.erasure import erase_job, running
from spark_jobs.ingest.job import Stream, take_in
from spark_jobs.people.bitmaps import bitmap_of, packed
from spark_jobs.people.resolve import with_person
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.sessions import job as sessions_job
from spark_jobs.settings import Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import published_map, published_snapshot
from spark_jobs.storage.vacuum import vacuum
from tests.spark.identity_rows import resolve, settings
from tests.tag_tables import add

NOON = datetime(2017, 11, 3, 12, tzinfo=UTC)
SECRET = "her own words 7c1f"
CLEAR = "ann@example.org"
KAFKA = "topic string, partition int, offset bigint, timestamp timestamp, value binary"
SCOPES = {"login": "shop", "member_no": "grocery", "device": "web"}
HERS = ("login:ann@example.org", "member_no:A77", "phone:+8613912345678", "device:ann")
OTHERS = ("login:bob@example.org", "device:bobs", "login:cy@example.org", "device:cys")


@dataclass(frozen=True, slots=True)
class World:
    """The lake, the key, and what of Ann must not be found in it any more; what went into topics: topic, key, value."""

    lake: Lake
    key_file: Path
    topics: list[tuple[str, str, str | None]] = field(default_factory=list)

    def settings(self) -> Settings:
        return replace(settings(self.lake), root_key_file=self.key_file)

    def token(self, name: str) -> bytes:
        """The token of `type:value`, as a collector makes it."""
        kind, _, value = name.partition(":")
        return Tokeniser(load_root_keys(self.key_file)).token(kind, SCOPES.get(kind, ""), value)

    def named(self, name: str) -> str:
        """An identifier as the command line takes it without a value in clear."""
        kind = name.partition(":")[0]
        return f"{kind}@{SCOPES.get(kind, '')}:token:{self.token(name).hex()}"

    def canaries(self) -> list[bytes]:
        """Bytes that only Ann's rows hold: tokens, also as messages spell them, and what she wrote."""
        tokens = [self.token(name) for name in HERS]
        return [*tokens, *(token.hex().encode() for token in tokens), SECRET.encode()]

    def message(self, event_id: str, minutes: float, *names: str, **changed: Any) -> bytes:
        given = [
            {"type": kind, "scope": SCOPES.get(kind, ""), "token": self.token(name).hex(), "kid": "k1"}
            for name in names
            for kind in [name.partition(":")[0]]
        ]
        content = {
            "event_id": event_id,
            "workspace_id": "grocery",
            "source": "web",
            "name": "page_view",
            "occurred_at": (NOON + timedelta(minutes=minutes)).isoformat(),
            "identifiers": given,
            "authenticated": True,
            "touchpoint": {"app": "shop", "terminal": "pc"},
            "properties": {},
        }
        return json.dumps({**content, **changed}).encode()

    def purchase(self, order: str, minutes: float, *names: str, lines: int = 1) -> bytes:
        line = {"quantity": 1, "sales_value": "2.50", "retail_disc": "0.00", "coupon_disc": "0.00"}
        line |= {"coupon_match_disc": "0.00"}
        given = [{**line, "product_id": str(number)} for number in range(lines)]
        bought = {"order_id": order, "store_id": "9", "lines": given}
        event_id = purchase_event_id("grocery", order, "9")
        return self.message(event_id, minutes, *names, name="purchase", properties=bought)

    def first(self) -> list[bytes]:
        """What the topic holds: before Ann's two ids became one."""
        login, number, phone, device = HERS
        bob, bobs, cy, cys = OTHERS
        clear = [{"type": "login", "scope": "shop", "value": CLEAR}]
        return [
            self.message("ann-1", 1, login, device, properties={"said": SECRET}),
            self.message("ann-2", 2, device, authenticated=False),
            self.message("ann-3", 3, login, phone),
            self.message("ann-4", 4, number),
            self.message("bob-1", 5, bob, bobs),
            self.message("bob-form", 6, bob, phone, authenticated=False, properties={"form": "of Bob"}),
            self.message("cy-1", 7, cy, cys),
            *(self.message(f"till-{at}", at, *who, authenticated=bool(who[1:])) for at, who in self._at_the_till()),
            self.purchase("1", 8, login),
            self.purchase("2", 9, bob, lines=2),
            self.purchase("3", 9, login, lines=0),
            self.message("clear", 9, identifiers=clear),
            b"{broken",
        ]

    def second(self) -> list[bytes]:
        """What makes Ann one person."""
        login, number, *_ = HERS
        return [self.message("ann-5", 200, number, login)]

    def _at_the_till(self) -> Sequence[tuple[int, tuple[str, ...]]]:
        login, bob, cy, till = HERS[0], OTHERS[0], OTHERS[2], "device:till"
        return [
            *((10, (login, till)), (20, (till,)), (30, (login, till))),
            *((60, (bob, till)), (70, (till,)), (80, (bob, till))),
            *((100, (cy, till)), (110, (cy, till))),
        ]

    def receive(self, values: Sequence[bytes], stream_id: str, number: int, *, later: timedelta = timedelta()) -> None:
        """One batch of the stream, as if it had come an hour after noon, or later."""
        at, first = NOON + timedelta(hours=6) + later, 1000 * number
        rows = [("databank.events", 0, first + place, at, value) for place, value in enumerate(values)]
        stream = Stream(self.lake, f"ingest/{stream_id}", ("grocery",), self.key_file)
        take_in(self.lake.spark.createDataFrame(rows, KAFKA), number, stream)

    def erase(self, **given: Any) -> dict[str, Any]:
        """The job of erasure."""
        args = {"person": None, "run": False, "certificate": None, "author": None, "reason": None}
        wanted = argparse.Namespace(**{**args, "grace_minutes": 0, **given})
        erase_job.preflight(self.settings(), wanted)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(running, "send_all", self._send_all)
            return erase_job.run(self.lake.spark, self.settings(), wanted)

    def _send_all(self, messages: DataFrame, *_: Any, **__: Any) -> int:
        self.topics.extend((row["topic"], row["key"], row["value"]) for row in messages.collect())
        return len(self.topics)

    def map(self) -> DataFrame:
        return published_map(self.lake, published_snapshot(self.lake))

    def masters(self) -> dict[str, tuple[str, int]]:
        """Whose login is whose: name to master id and number."""
        names = {self.token(name): name for name in (HERS[0], OTHERS[0], OTHERS[2])}
        rows = self.map().where("type = 'login'").select("token", "person_id", "person_no").collect()
        return {names[bytes(row[0])][6:9]: (row[1], row[2]) for row in rows if bytes(row[0]) in names}

    def events_of(self, person_id: str) -> set[str]:
        """Ids of the events that readers join to a person."""
        rows = with_person(delta.read(self.lake, EVENTS), self.map()).where(F.col("person_id") == person_id)
        return {row["event_id"] for row in rows.select("event_id").collect()}


def make(lake: Lake, key_file: Path) -> World:
    """The whole lake: events, identity in two runs, visits, tags and audiences."""
    world = World(lake, key_file)
    for table in STREAMED:
        delta.ensure(lake, table)
    world.receive(world.first(), "one", 0)
    resolve(lake)
    world.receive(world.second(), "one", 1)
    resolve(lake)
    days = argparse.Namespace(since=NOON.date(), until=NOON.date() + timedelta(days=2))
    sessions_job.run(lake.spark, world.settings(), days)
    _tag(world)
    return world


def _tag(world: World) -> None:
    """Every person has a tag and is in an audience; one generation of each is in force."""
    known = {"base_at": NOON, "snapshot_id": "s", "version": "v", "classes": ""}
    mine = {"workspace_id": "grocery", "generation": "g1"}
    people = [{"person_id": one, "person_no": number} for one, number in world.masters().values()]
    add(world.lake, PERSON_TAGS, [{**mine, **known, **one, "tag": "vip", "value": "true"} for one in people])
    change = {"state_version": 1, "tag": "vip", "new_value": "true", "cause": "first"}
    add(world.lake, TAG_CHANGES, [{**mine, **known, **one, **change} for one in people])
    ann = next(one for one in people if one["person_id"] == world.masters()["ann"][0])
    add(world.lake, TAG_REFUSED, [{**mine, **known, **ann, "tag": ""}])
    numbers = {"number": 1, "kind": "current", "published_at": NOON, "persons": 3, "rows": 3, "changes": 3}
    numbers |= {"refused": 1}
    told = {"state": "{}", "limits": "{}", "populations": "{}"}
    add(world.lake, TAG_PUBLICATIONS, [{**mine, **known, **numbers, **told}])
    chosen = {"_persons": people, "vips": people, "ann_alone": people[:0]}
    chosen["ann_alone"] = [{"person_id": "", "person_no": world.masters()["ann"][1]}]
    add(world.lake, AUDIENCES, [_audience(name, who, {**mine, **known}) for name, who in chosen.items()])
    audiences = json.dumps({name: {"persons": len(who)} for name, who in chosen.items() if name != "_persons"})
    of_audiences = {"number": 1, "tags_number": 1, "tags_generation": "g1", "published_at": NOON, "persons": 3}
    of_audiences |= {"refused": 0, "changes": 0, "refusals": "{}", "audiences": audiences}
    add(world.lake, AUDIENCE_PUBLICATIONS, [{**mine, **known, **of_audiences}])
    entered = {"state_version": 1, "audience": "vips", "change": "enter", "cause": "first"}
    changes = [{**mine, **known, **entered, **one, "survivor_id": one["person_id"]} for one in people]
    # Cy once was one with Ann.
    merged = {"state_version": 1, "audience": "once", "change": "exit", "cause": "merge"}
    cy = next(one for one in people if one["person_id"] == world.masters()["cy@"][0])
    changes.append({**mine, **known, **merged, **cy, "survivor_id": ann["person_id"]})
    add(world.lake, AUDIENCE_CHANGES, changes)
    for table in (TAG_DELIVERIES, AUDIENCE_DELIVERIES):
        add(world.lake, table, [{**mine, "number": 1, "messages": 3, "delivered_at": NOON}])


def _audience(name: str, who: Sequence[dict[str, Any]], known: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    members = bitmap_of(np.array([one["person_no"] for one in who], dtype=np.uint32))
    return {**known, "audience": name, "chunk": 0, "members": bytearray(packed(members)), "persons": len(who)}


def emptied(lake: Lake) -> None:
    """A vacuum without any retention: no file of before is left."""
    for table in RULES:
        if delta.exists(lake, table):
            path = lake.path_of(table)
            text = "'delta.deletedFileRetentionDuration' = 'interval 0 hours'"
            lake.spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ({text})")
            vacuum(lake, table)
