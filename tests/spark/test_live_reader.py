"""The reader of live tags against the stream's own: it counts nothing that the stream refuses, or reads otherwise."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from services.live.messages import ANONYMOUS, OTHER, REFUSED, UNDECIDED, LiveEvent, read
from spark_jobs.ingest.messages import parse_messages
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging.calendar import micros
from tests.spark.test_ingest import RECEIVED, TOKEN, batch, message, purchase

MOMENTS = (
    "2017-11-03T10:00:00Z", "2017-11-03 10:00:00.1", "2017-11-03T10:00:00.123456+08:00", "2017-11-03T10:00:00",
    "2017-11-03T10:00:00.1234567Z", "2017-11-03", "2017-11-3T1:00:00Z", "20171103T100000Z", "2017-11-03T10:00:00-07:30",
    "2017-11-03T24:00:00Z", "2017-02-30T10:00:00Z", "2017-11-03T10:00:60Z", "1989-12-31T23:59:59Z",
    "1990-01-01T00:00:00Z", "2017-11-04T12:00:00Z", "2017-11-04T12:00:00.000001Z", "2017-11-05T00:00:00Z", "",
    "yesterday", None, 1509703200, 1.5,
    "2017-11-03T10:00:00+19:00", "2017-11-03T10:00:00 Europe/Berlin", "2017-W44-5T10:00:00Z", " 2017-11-03T10:00:00Z",
)  # fmt: skip
TEXTS = ("web", "", "  ", " x ", None, 5, True, {"a": 1}, "\u8d85\u5e02", "\t", 'quote"')
IDENTIFIERS: tuple[Any, ...] = (
    [], None, "text", {}, [None], [5],
    [{"type": "device", "token": TOKEN}],
    [{"type": "device", "scope": None, "token": TOKEN, "kid": None, "value": None}],
    [{"type": "device", "scope": "web", "token": TOKEN, "value": "clear"}],
    [{"type": "device", "scope": "web", "token": TOKEN.upper()}],
    [{"type": "device", "scope": "web", "token": TOKEN[:-1]}],
    [{"type": "device", "scope": "web"}],
    [{"type": "badge", "scope": "web", "token": "no token"}],
    [{"type": "badge", "token": TOKEN}, {"type": "cookie", "scope": "web", "token": "f" * 32}],
    [{"type": "cookie", "scope": "a", "token": TOKEN}, {"type": "member_no", "scope": "b", "token": "f" * 32}],
    [{"type": "cookie", "scope": "b", "token": TOKEN}, {"type": "cookie", "scope": "a", "token": "f" * 32}],
    [{"type": "cookie", "scope": "a", "token": TOKEN}, {"type": "cookie", "scope": "a", "token": "0" * 32}],
    [{"type": "device", "scope": 5, "token": TOKEN}],
)  # fmt: skip
TOUCHPOINTS: tuple[Any, ...] = (
    None,
    {},
    "text",
    [],
    5,
    {"app": None},
    {"app": 5},
    {"terminal": "pos", "more": {"x": 1}},
)
LINE = {"product_id": "1", "quantity": "2", "sales_value": "0.50", "retail_disc": "0.10", "coupon_disc": "0.00"}
LINE = {**LINE, "coupon_match_disc": "0.00"}
LINES: tuple[Any, ...] = (
    [LINE], [{**LINE, "quantity": 2}], [{**LINE, "quantity": -1}], [{**LINE, "sales_value": "0.505"}], [LINE, LINE], [],
    [{**LINE, "sales_value": "1e3"}], [{**LINE, "sales_value": 1.5}], [{**LINE, "product_id": ""}], None, "text",
    [{key: value for key, value in LINE.items() if key != "coupon_disc"}], [{**LINE, "sales_value": " 1.00"}],
    [{**LINE, "sales_value": "99999999999999999"}],
)  # fmt: skip


def values() -> list[bytes]:
    """Each part of a message as senders get it wrong, alone and together with others."""
    chance = random.Random(1)
    choices: dict[str, tuple[Any, ...]] = {
        "occurred_at": MOMENTS,
        "identifiers": IDENTIFIERS,
        "touchpoint": TOUCHPOINTS,
    }
    choices |= dict.fromkeys(("event_id", "source", "name", "session_key", "authenticated"), TEXTS)
    choices["workspace_id"] = ("grocery", "toys", "", None, 5)
    made = [
        message(),
        purchase(),
        b"{broken",
        b"\xff\xfe",
        b'["grocery"]',
        b'{"workspace_id":"grocery"}',
        b"{'a':'grocery'}",
    ]
    made += [message(**{name: value}) for name, options in choices.items() for value in options]
    made += [purchase(properties={"order_id": "7", "store_id": "9", "lines": lines}) for lines in LINES]
    made += [purchase(properties=given) for given in (None, "text", {"store_id": "9", "lines": [LINE]}, {"lines": 5})]
    made += [
        message(**{name: chance.choice(options) for name, options in choices.items() if chance.random() < 0.3})
        for _ in range(150)
    ]
    made += [message().replace(b"grocery", b"\\u0067rocery"), message() + b" trailing", json.dumps("grocery").encode()]
    return made


def test_what_is_counted_live_is_what_the_stream_takes_in(lake: Lake) -> None:
    sent = values()
    rows = parse_messages(batch(lake, sent), workspaces=("grocery",)).collect()
    by_stream = {row["origin_position"]: row for row in rows}
    seen: Counter[str] = Counter()
    for offset, value in enumerate(sent):
        found, row = read(value, micros(RECEIVED) // 1000, "grocery"), by_stream[offset]
        seen[found if isinstance(found, str) else "event"] += 1
        if isinstance(found, LiveEvent):
            assert row["reason"] is None, (value, row["reason"])
            assert bytes(row["subject_token"]) == found.token, value
            at = row["occurred_at"].astimezone(RECEIVED.tzinfo)
            assert micros(at) == found.at, value
            assert {name: row[name] for name in found.fields} == found.fields, value
        elif found == ANONYMOUS:
            assert row["subject_token"] is None, value
        elif found in (REFUSED, OTHER):
            assert row["reason"] is not None, value
    assert set(seen) == {"event", ANONYMOUS, REFUSED, OTHER, UNDECIDED}
    assert seen["event"] > 40, seen
