"""A small lake with orders and triggers beside published tags, a store, and campaigns, for the tests of activation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from deltalake import write_deltalake

from services.activation.adapters import Adapter
from services.activation.campaigns import Campaign, read_campaign
from services.activation.store import opened_store
from services.activation.waves import Doors
from services.profiles.lake import opened_lake
from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS, AUDIENCES
from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.triggers import TRIGGER_RUNS, TRIGGERS
from spark_jobs.people.bitmaps import by_chunk, packed
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from tests.profile_lake import WORKSPACE, LakeWriter, master_id, phone

INSTANT = pa.timestamp("us", "UTC")
WIN_BACK: dict[str, Any] = {
    "campaign": "win_back",
    "owner": "tests",
    "purpose": "A test",
    "receiver": "gateway",
    "audience": {"tag": "dormant", "is": ["true"]},
    "control": {"share": 0.5, "salt": "half"},
    "largest_change": {"persons": 100, "share": 0.5},
    "channel": "sms",
    "adapter": "file",
    "message": {"text": '$shop: $basket "$$5"'},
    "variables": {"shop": {"text": "店"}, "basket": {"tag": "basket"}},
}
REMINDER: dict[str, Any] = {
    **{key: value for key, value in WIN_BACK.items() if key != "control"},
    "campaign": "reminder",
    "audience": {"trigger": "cart_24h"},
    "message": {"text": "$cart"},
    "variables": {"cart": {"field": "object_id"}},
}


OF_AUDIENCE: dict[str, Any] = {**WIN_BACK, "campaign": "to_regulars", "audience": "regulars"}


def campaign_of(folder: Path, given: dict[str, Any], **changed: Any) -> Campaign:
    """The campaign, read from a file; None takes a key away."""
    content = {key: value for key, value in {**given, **changed}.items() if value is not None}
    path = folder / f"{given['campaign']}.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return read_campaign(path)


def people(lake: LakeWriter, *persons: int) -> None:
    """Persons who live and hold a phone."""
    for person in persons:
        lake.person(person)
        lake.holds(person, "phone", phone(person))


@contextmanager
def doors(lake: LakeWriter, folder: Path, adapter: Adapter) -> Iterator[Doors]:
    """What a run works with."""
    with (
        opened_lake(str(lake.root), memory_mb=200, scratch=folder, threads=1) as opened,
        opened_store(f"sqlite:///{folder}/ledger.sqlite") as store,
    ):
        yield Doors(opened, store, adapter, lake.key_file)


def write(lake: LakeWriter, table: Table, columns: dict[str, pa.DataType], rows: list[dict[str, Any]]) -> None:
    """Append rows with some of a table's columns."""
    schema = pa.schema(list({"workspace_id": pa.string(), **columns}.items()))
    where = lake.root / table.schema_name / table.table_name
    where.parent.mkdir(parents=True, exist_ok=True)
    made = pa.Table.from_pylist([{"workspace_id": WORKSPACE, **row} for row in rows], schema=schema)
    write_deltalake(where, made, mode="append")


def write_orders(lake: LakeWriter, *bought: tuple[int, datetime]) -> None:
    """Paid orders of persons, by their phones."""
    token = Tokeniser(load_root_keys(lake.key_file)).token
    money = {name: pa.decimal128(18, 2) for name in ("sales_value", "refunded_value")}
    kinds = {"subject_type": pa.string(), "subject_scope": pa.string(), "subject_token": pa.binary()}
    rows = [
        {
            "subject_type": "phone",
            "subject_scope": "",
            "subject_token": token("phone", "", phone(person)),
            "status": "paid",
        }
        | {"ordered_at": at, "sales_value": Decimal(5), "refunded_value": Decimal(0)}
        for person, at in bought
    ]
    write(lake, ORDERS, {**kinds, **money, "status": pa.string(), "ordered_at": INSTANT}, rows)


def write_triggers(lake: LakeWriter, number: int, at: datetime, states: dict[int, str]) -> None:
    """A run of triggers that counts: person to state."""
    shared = {"number": number, "generation": f"run-{number}", "trigger": "cart_24h", "waits": "24h", "released_at": at}
    rows = [
        {**shared, "object_id": f"cart/{person}", "person_id": master_id(person), "state": state}
        for person, state in states.items()
    ]
    texts = {name: pa.string() for name in ("generation", "trigger", "waits", "object_id", "person_id", "state")}
    write(lake, TRIGGERS, {**texts, "number": pa.int64(), "released_at": INSTANT}, rows)
    of_run = {"number": pa.int64(), "generation": pa.string()}
    write(lake, TRIGGER_RUNS, of_run, [{"number": number, "generation": f"run-{number}"}])


def write_audiences(
    lake: LakeWriter, number: int, members: Mapping[str, Sequence[int]], **told: dict[str, Any]
) -> None:
    """A publication of audiences on the tags in force. told: what it says of an audience otherwise."""
    generation = f"{number:012d}-run"
    rows = [
        {"audience": name, "chunk": chunk, "members": packed(found), "persons": len(found), "generation": generation}
        for name, persons in members.items()
        for chunk, found in by_chunk(np.array(persons, dtype=np.int64))
    ]
    texts = {name: pa.string() for name in ("audience", "generation")}
    numbers = {name: pa.int64() for name in ("chunk", "persons")}
    write(lake, AUDIENCES, {**texts, **numbers, "members": pa.binary()}, rows)
    facts = {
        name: {"persons": len(persons), "classes": "", "tags": ["dormant"], **told.get(name, {})}
        for name, persons in members.items()
    }
    row = {"generation": generation, "number": number, "tags_number": lake.number, "snapshot_id": lake.snapshot_id}
    row |= {"base_at": lake.at, "published_at": lake.at, "persons": len(lake.persons), "audiences": json.dumps(facts)}
    kinds = {name: pa.string() for name in ("generation", "snapshot_id", "audiences")}
    kinds |= {name: pa.int64() for name in ("number", "tags_number", "persons")}
    write(lake, AUDIENCE_PUBLICATIONS, {**kinds, "base_at": INSTANT, "published_at": INSTANT}, [row])
