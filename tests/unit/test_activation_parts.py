"""Campaign files, words with variables, files for receivers, and receipts that become events once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.activation.adapters import FileAdapter, MockAdapter, Receipt, Wave, adapter_of, receipt_of
from services.activation.campaigns import SHIPPED, read_campaign
from services.activation.receipts import Taken, event_of, take_in
from services.activation.store import Claim, Store, Subject, opened_store
from services.activation.templates import pieces_of, variables_of
from spark_jobs.errors import TerminalError
from tests.activation_lake import REMINDER, WIN_BACK, campaign_of

WAVE = Wave("win_back", 1, "sms", "gateway")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLAIM = Claim("win_back", 1, "grocery", publication=1, source=1, audience=2, entered=2, definition="d")


def messages(*keys: str) -> pa.RecordBatch:
    rows = [
        {"key": key, "type": "phone", "scope": 'a"b', "payload": json.dumps({"key": key, "n": 1}), "token": "ab"}
        for key in keys
    ]
    return pa.RecordBatch.from_pylist(rows)


def claimed(store: Store, *keys: str) -> None:
    shared = {"is_control": False, "type": "phone", "scope": "", "token": "0a" * 16, "payload": "{}"}
    rows = [{**shared, "unit": key, "person_id": key, "message_key": key} for key in keys]
    store.claim(CLAIM, [pa.RecordBatch.from_pylist(rows)])


def test_the_shipped_campaigns_are_sound() -> None:
    names = [read_campaign(path).name for path in sorted(SHIPPED.glob("*/*.yaml"))]
    assert names == ["cart_reminder", "win_back_dormant"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"message": {"text": "$name"}}, "$name is not declared under `variables`; those that are: basket, shop"),
        ({"message": {"text": "$shop"}}, "variables.basket: stands in no part of the message"),
        ({"message": {"text": "$shop $basket 5$"}}, "stands for no variable"),
        ({"message": {"title": "$shop $basket", "text": "x"}}, "unknown key 'title'"),
        ({"channel": "official_account"}, "missing key 'template_id'"),
        ({"channel": "pigeon"}, "those that exist: coupon, in_site, official_account, sms"),
        ({"control": None}, "wanted a mapping with salt, share"),
        ({"largest_change": None}, "missing key 'largest_change'"),
        ({"largest_change": {"persons": 0, "share": 1}}, "wanted a number from 1"),
        ({"audience": {"tag": "dormant", "is": []}}, "wanted a list of values"),
        ({"variables": {"shop": {"text": "a", "tag": "b"}, "basket": {"tag": "basket"}}}, "wanted one of text, tag"),
        ({"variables": {"shop": {"field": "object_id"}, "basket": {"tag": "b"}}}, "only a trigger has fields"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_sent(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TerminalError, match="nothing was sent") as error:
        campaign_of(tmp_path, WIN_BACK, **changed)
    assert said in str(error.value)


def test_a_trigger_has_its_own_control_group(tmp_path: Path) -> None:
    assert campaign_of(tmp_path, REMINDER).audience.trigger == "cart_24h"
    with pytest.raises(TerminalError, match="a control group of its own"):
        campaign_of(tmp_path, REMINDER, control={"share": 0.1, "salt": "s"})


def test_words_and_their_variables() -> None:
    assert list(variables_of("$a ${b}c $$ $a")) == ["a", "b"]
    assert pieces_of("x $a${b}c $$5") == [("x ", ""), ("", "a"), ("", "b"), ("c ", ""), ("$", ""), ("5", "")]
    assert pieces_of("") == []


def test_a_file_appears_whole_and_is_not_written_twice(tmp_path: Path) -> None:
    adapter = FileAdapter(tmp_path)

    def breaks_off() -> Iterator[pa.RecordBatch]:
        yield messages("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapter.send(WAVE, breaks_off())
    path = tmp_path / "win_back" / "000001.jsonl"
    assert not list(path.parent.iterdir())
    assert adapter.send(WAVE, [messages("a"), messages("b")]) == 2
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert found == [{"type": "phone", "scope": 'a"b', "id": "ab", "key": key, "n": 1} for key in "ab"]
    assert adapter.send(WAVE, [messages("c")]) == 0


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "no JSON",
        '{"key": "k", "status": "read", "at": "2026-03-01T12:00:00+00:00"}',
        '{"key": "k", "status": "sent", "at": "2026-03-01T12:00:00"}',
        '{"key": 1, "status": "sent", "at": "2026-03-01T12:00:00+00:00"}',
    ],
)
def test_what_is_no_receipt(line: str) -> None:
    assert receipt_of(line) is None


def test_receipts_become_events_and_are_settled_behind_them(tmp_path: Path) -> None:
    folder = tmp_path / "receipts"
    folder.mkdir()
    told = [{"key": key, "status": "delivered", "at": AT.isoformat()} for key in ("k1", "k2", "nobody")]
    (folder / "1.jsonl").write_text("\n".join([*map(json.dumps, told), "no receipt"]) + "\n")
    sent: list[tuple[bytes, bytes]] = []

    def put(value: bytes, key: bytes) -> None:
        sent.append((value, key))

    def breaks() -> None:
        raise KeyboardInterrupt

    with opened_store(f"sqlite:///{tmp_path}/ledger.sqlite") as store:
        claimed(store, "k1", "k2")
        with pytest.raises(KeyboardInterrupt):
            take_in(FileAdapter(tmp_path), store, put, breaks)
        assert (folder / "1.jsonl").exists(), "what was not acknowledged is taken in again"
        first = list(sent)
        assert take_in(FileAdapter(tmp_path), store, put, lambda: None) == Taken(events=2, unknown=1, refused=1)
        assert sent == [*first, *first], "the same events with the same ids"
        assert take_in(FileAdapter(tmp_path), store, put, lambda: None) == Taken()
    assert (folder / "1.refused").read_text() == "no receipt\n"
    assert (folder / "1.done").exists()
    event = json.loads(sent[0][0])
    assert (event["name"], event["workspace_id"], event["occurred_at"]) == (
        "message_delivered", "grocery", "2026-03-01T12:00:00+00:00",
    )  # fmt: skip
    assert event["identifiers"] == [{"type": "phone", "scope": "", "token": "0a" * 16}]
    assert uuid.UUID(event["event_id"]).version == 5
    other = event_of(Receipt("k1", "opened", AT), Subject("grocery", "win_back", "phone", "", "0a" * 16))
    assert json.loads(other[1])["event_id"] != event["event_id"]


def test_the_mock_keeps_each_key_once_and_tells_of_it_once(tmp_path: Path) -> None:
    mock = MockAdapter()
    assert (mock.send(WAVE, [messages("a", "b")]), mock.send(WAVE, [messages("b", "c")])) == (2, 1)
    with opened_store(f"sqlite:///{tmp_path}/ledger.sqlite") as store:
        claimed(store, "a", "b", "c")
        assert take_in(mock, store, lambda *_: None, lambda: None).events == 3
        assert take_in(mock, store, lambda *_: None, lambda: None).events == 0


def test_adapters_by_name(tmp_path: Path) -> None:
    assert adapter_of("file", "gateway", tmp_path) == FileAdapter(tmp_path / "gateway")
    assert isinstance(adapter_of("mock", "gateway", None), MockAdapter)
    with pytest.raises(TerminalError, match="give --folder"):
        adapter_of("file", "gateway", None)
