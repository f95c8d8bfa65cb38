"""The live stream as a file: real purchases and simulated behaviour in time order, as sites and tills send them.

Added on purpose: the seam (purchases of the last two days of history, sent again), messages sent twice, and broken
messages. None of the broken ones holds an identifier that could not be read.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from services.demo.export_source import LIVE_SINCE, SEAM_SINCE, WORKSPACE, sql_moment
from spark_jobs.contracts.events import purchase_event_id
from spark_jobs.contracts.identifiers import refusal

SEAM_BASKETS = 300
RESENT = 60
_RESENT_WITHIN = 400  # messages

# The till knows the loyalty card, nothing else.
_TILL = {"app": "till", "terminal": "pos", "channel": "store", "campaign": None}


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the file; messages are in order of (occurred_at, event_id)."""

    occurred_at: str
    event_id: str
    line: bytes
    lines_bought: int = 0


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """What the file holds; `quarantined` by the reason that ingest gives, `refused` by the collector's reason."""

    messages: int = 0
    purchases: int = 0
    purchase_lines: int = 0
    behaviour: int = 0
    seam_baskets: int = 0
    seam_lines: int = 0
    resent: int = 0
    distinct_events: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    refused_identifiers: dict[str, int] = field(default_factory=dict)


def write_live(con: duckdb.DuckDBPyConnection, folder: Path, *, seed: int, sample: float) -> LiveCounts:
    """Write events.jsonl; takes the generator's behaviour.jsonl away, as each event is to be sent once."""
    behaviour_file = folder / "behaviour.jsonl"
    purchases = list(_purchases(con, f"transaction_timestamp >= {sql_moment(LIVE_SINCE)}"))
    seam = _seam(con, seed=seed, wanted=round(SEAM_BASKETS * sample))
    behaviour = [_behaviour(line) for line in behaviour_file.read_bytes().splitlines()]
    messages = sorted([*purchases, *seam, *behaviour], key=lambda message: (message.occurred_at, message.event_id))
    chance = random.Random(f"{seed}/live")  # noqa: S311 - a seeded choice must not be random
    again = chance.sample(range(len(messages)), min(max(5, round(RESENT * sample)), len(messages)))
    broken = list(_broken_messages(messages, chance))
    lines = _woven(messages, again, [line for _, line in broken], chance)
    with (folder / "events.jsonl").open("wb") as file:
        file.writelines(line + b"\n" for line in lines)
    behaviour_file.unlink()
    return LiveCounts(
        messages=len(messages) + len(again) + len(broken),
        purchases=len(purchases),
        purchase_lines=sum(message.lines_bought for message in purchases),
        behaviour=len(behaviour),
        seam_baskets=len(seam),
        seam_lines=sum(message.lines_bought for message in seam),
        resent=len(again),
        distinct_events=len({message.event_id for message in messages}),
        quarantined=dict(Counter(reason for reason, _ in broken)),
        refused_identifiers=_refused([*behaviour, *(messages[index] for index in again)]),
    )


def _purchases(con: duckdb.DuckDBPyConnection, where: str) -> Iterator[Message]:
    """One message per basket with all its lines; money as text with two decimals."""
    money = ", ".join(
        f"{name} := CAST({name} AS VARCHAR)"
        for name in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
    )
    con.execute(f"""
        SELECT household_id, store_id, basket_id, strftime(transaction_timestamp, '%Y-%m-%dT%H:%M:%S.%fZ'), count(*),
               CAST(to_json(list(
                   struct_pack(product_id := CAST(product_id AS VARCHAR), quantity := quantity, {money})
                   ORDER BY product_id)) AS VARCHAR)
        FROM transactions WHERE {where} GROUP BY household_id, store_id, basket_id, transaction_timestamp
    """)
    while rows := con.fetchmany(4_096):
        for row in rows:
            yield _purchase(*map(str, row[:4]), count=row[4], bought=row[5])


def _purchase(household: str, store: str, basket: str, occurred_at: str, *, count: int, bought: str) -> Message:
    event_id = purchase_event_id(WORKSPACE, basket, store)
    head = json.dumps(
        {
            "event_id": event_id,
            "workspace_id": WORKSPACE,
            "source": "pos",
            "name": "purchase",
            "occurred_at": occurred_at,
            "identifiers": [{"type": "member_no", "scope": WORKSPACE, "value": household}],
            "authenticated": True,
            "session_key": None,
            "touchpoint": _TILL,
        },
        separators=(",", ":"),
    )
    # DuckDB has made the lines' JSON: parsing and printing it again would cost more than all the rest.
    properties = f'"properties":{{"order_id":"{basket}","store_id":"{store}","lines":{bought}}}'
    return Message(occurred_at, event_id, f"{head[:-1]},{properties}}}".encode(), count)


def _seam(con: duckdb.DuckDBPyConnection, *, seed: int, wanted: int) -> list[Message]:
    within = f"transaction_timestamp >= {sql_moment(SEAM_SINCE)} AND transaction_timestamp < {sql_moment(LIVE_SINCE)}"
    known = sorted(_purchases(con, within), key=lambda message: _rank(seed, message.event_id))
    return known[:wanted]


def _rank(seed: int, event_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}/seam/{event_id}".encode(), digest_size=8).digest()


def _behaviour(line: bytes) -> Message:
    event = json.loads(line)
    return Message(event["occurred_at"], event["event_id"], line)


def _broken_messages(messages: Sequence[Message], chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Reason that ingest must give, and the message."""
    not_json = "not a JSON object of the event schema"
    for number in range(6):
        yield not_json, f'{{"event_id":"cut-{number}","workspace_id":"{WORKSPACE}","name":"page_vi'.encode()
    for _ in range(2):
        yield not_json, b"<html><title>502 Bad Gateway</title></html>"
    for number in range(2):
        yield "not UTF-8", b'{"event_id":"latin-%d","name":"caf\xe9"}' % number
    changes: list[tuple[str, dict[str, object]]] = [
        ("missing event_id", {"event_id": None}),
        ("missing name", {"name": ""}),
        ("occurred_at is not a time", {"occurred_at": "yesterday"}),
        ("unknown workspace", {"workspace_id": "toys"}),
        ("purchase without an identifier", {"name": "purchase"}),
    ]
    for reason, change in changes:
        for number in range(2):
            moment = chance.choice(messages).occurred_at
            yield reason, _anonymous_event(f"broken-{reason.replace(' ', '-')}-{number}", moment, change)


def _anonymous_event(event_id: str, occurred_at: str, change: dict[str, object]) -> bytes:
    event = {
        "event_id": event_id,
        "workspace_id": WORKSPACE,
        "source": "web",
        "name": "page_view",
        "occurred_at": occurred_at,
        "identifiers": [],
        "authenticated": False,
        "session_key": None,
        "touchpoint": {"app": "site", "terminal": "pc", "channel": "direct", "campaign": None},
        "properties": {},
        **change,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _woven(
    messages: Sequence[Message], again: Sequence[int], broken: Sequence[bytes], chance: random.Random
) -> Iterator[bytes]:
    """All lines: a message sent twice comes again a little later, broken ones come anywhere."""
    last = len(messages) - 1
    late: dict[int, list[bytes]] = {}
    for index in again:
        late.setdefault(min(index + chance.randrange(1, _RESENT_WITHIN), last), []).append(messages[index].line)
    for line in broken:
        late.setdefault(chance.randrange(len(messages)), []).append(line)
    for index, message in enumerate(messages):
        yield message.line
        yield from late.get(index, ())


def _refused(messages: Sequence[Message]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for message in messages:
        for given in json.loads(message.line)["identifiers"]:
            reason = refusal(given["type"], given["value"])
            if reason is not None:
                found[reason] += 1
    return dict(found)
