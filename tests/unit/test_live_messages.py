"""The collector: nothing clear leaves it, every refusal is counted, every message has its person's key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.demo.live_messages import Collector
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

PHONE = "+8616312345678"


def event(*identifiers: object, **changed: object) -> bytes:
    content = {
        "event_id": "e1",
        "workspace_id": "grocery",
        "source": "web",
        "name": "login",
        "occurred_at": "2017-11-03T10:00:00.000000Z",
        "identifiers": list(identifiers),
        "authenticated": True,
        "session_key": None,
        "touchpoint": {"app": "site", "terminal": "pc", "channel": "direct", "campaign": None},
        "properties": {"page": "/面包"},
    }
    return json.dumps({**content, **changed}).encode()


def given(kind: str, value: object, scope: str = "") -> dict[str, object]:
    return {"type": kind, "scope": scope, "value": value}


@pytest.fixture
def tokeniser(key_file: Path) -> Tokeniser:
    return Tokeniser(load_root_keys(key_file))


@pytest.fixture
def collector(tokeniser: Tokeniser) -> Collector:
    return Collector(tokeniser)


def sent(collector: Collector, line: bytes) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(collector.message(line).value)
    return content


def test_identifiers_become_tokens_and_all_else_stays(collector: Collector, tokeniser: Tokeniser) -> None:
    line = event(given("phone", "163 1234 5678"), given("device", "D-77", "web"))
    found = sent(collector, line)
    assert found["identifiers"] == [
        {"type": "phone", "scope": "", "token": tokeniser.token("phone", "", PHONE).hex(), "kid": "k1"},
        {"type": "device", "scope": "web", "token": tokeniser.token("device", "web", "D-77").hex(), "kid": "k1"},
    ]
    before = json.loads(line)
    assert {**found, "identifiers": []} == {**before, "identifiers": []}


def test_one_value_judged_twice_gives_the_same_token(collector: Collector) -> None:
    line = event(given("phone", PHONE))
    assert collector.message(line) == collector.message(line)


@pytest.mark.parametrize(
    ("identifier", "refused"),
    [
        pytest.param(
            given("phone", "13800138000"),
            {"type": "phone", "reason": "a constant that means nobody"},
            id="everybody's number",
        ),
        pytest.param(
            given("badge", "B-17"),
            {"type": "undeclared", "reason": "undeclared identifier type"},
            id="a type that nobody declared",
        ),
        pytest.param(
            given(PHONE, "phone"),
            {"type": "undeclared", "reason": "undeclared identifier type"},
            id="a phone number in the type's place",
        ),
        pytest.param(
            given("phone", 16312345678),
            {"type": "phone", "reason": "not an object of type, scope and value"},
            id="a number instead of text",
        ),
        pytest.param(
            PHONE, {"type": "undeclared", "reason": "not an object of type, scope and value"}, id="a bare value"
        ),
    ],
)
def test_a_refused_identifier_is_dropped_and_named_without_its_value(collector, identifier, refused) -> None:
    message = collector.message(event(identifier, given("device", "D-77", "web")))
    found = json.loads(message.value)
    assert [item["type"] for item in found["identifiers"]] == ["device"]
    assert found["refused"] == [refused]
    assert dict(collector.refused) == {refused["reason"]: 1}
    assert not any(text in message.value for text in (b"6312345678", b"13800138000", b"B-17"))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"phone": PHONE}, id="a field that the contract does not have"),
        pytest.param({"identifiers": {"phone": PHONE}}, id="identifiers as an object"),
        pytest.param({"identifiers": PHONE}, id="identifiers as text"),
        pytest.param({"identifiers": [[PHONE]]}, id="a list inside the list"),
        pytest.param({"refused": [PHONE]}, id="a field that only the collector writes"),
    ],
)
def test_a_clear_value_in_a_wrong_place_goes_nowhere(collector: Collector, changed: dict[str, object]) -> None:
    assert b"6312345678" not in collector.message(event(**changed)).value


def test_the_key_is_the_strongest_identifier_whatever_the_order(collector: Collector, tokeniser: Tokeniser) -> None:
    identifiers = [given("device", "D-77", "web"), given("member_no", "12", "grocery"), given("phone", PHONE)]
    wanted = f"grocery/{tokeniser.token('member_no', 'grocery', '12').hex()}".encode()
    assert collector.message(event(*identifiers)).key == wanted
    assert collector.message(event(*reversed(identifiers))).key == wanted


def test_without_an_identifier_the_event_itself_is_the_key(collector: Collector) -> None:
    assert collector.message(event()).key == b"grocery/e1"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"event_id":"cut', id="cut off"),
        pytest.param(b"<html>", id="another format"),
        pytest.param(b'{"name":"caf\xe9"}', id="Latin-1"),
        pytest.param(b"[1]", id="no object"),
        pytest.param(b"", id="empty"),
    ],
)
def test_what_is_no_json_object_is_sent_as_it_is(collector: Collector, line: bytes) -> None:
    message = collector.message(line)
    assert (message.key, message.value) == (None, line)
    assert collector.unparsed == 1
