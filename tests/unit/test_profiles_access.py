"""Keys, scopes, rates and problem bodies of the profile API; what its log and its pages hold."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from services.profiles import access, reading
from services.profiles.access import READ, ApiKey, Grant, KeyRing
from services.profiles.limits import Limits
from services.profiles.problems import MEDIA_TYPE
from spark_jobs.errors import RetryableError, TerminalError
from tests.profile_lake import phone
from tests.profile_service import Place, bearer, place

PERSON = f"/v1/profiles/phone/{phone(1)}"


@pytest.fixture
def here(tmp_path: Path, key_file: Path) -> Iterator[Place]:
    with place(tmp_path, key_file) as made:
        made.lake.next()
        made.lake.person(1)
        made.lake.holds(1, "phone", phone(1))
        made.lake.publish({1: {"dormant": "true"}})
        made.load()
        yield made


@pytest.fixture
def client(here: Place) -> Iterator[TestClient]:
    with here.client() as made:
        yield made


def problem(answer: Response, status: int, name: str) -> dict[str, Any]:
    """The problem's members, after a look at what every problem has."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert (body["status"], body["type"]) == (status, f"urn:databank:problem:{name}")
    assert phone(1) not in answer.text
    return body


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param(bearer("dbk_000000000000_" + "A" * 43), id="unknown"),
        pytest.param(bearer("nonsense"), id="no key at all"),
        pytest.param({"Authorization": "Basic dXNlcjpwYXNz"}, id="another way"),
    ],
)
def test_without_a_key_in_force_nobody_is_let_in(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.get(PERSON, headers=headers)
    problem(answer, 401, "unauthorised")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_wrong_secret_of_a_known_key_is_refused(here: Place, client: TestClient) -> None:
    key = here.key()
    problem(client.get(PERSON, headers=bearer(key[:-1] + ("A" if key[-1] != "A" else "B"))), 401, "unauthorised")
    assert client.get(PERSON, headers={"X-API-Key": key}).status_code == 200


def test_a_key_that_was_revoked_or_has_ended_is_refused(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REFRESH_S", -1.0)
    ended = access.create(here.database, Grant("x", frozenset({READ}), frozenset({"*"}), 1, 1), days=-1)[1]
    revoked = here.key()
    with here.client() as client:
        assert client.get(PERSON, headers=bearer(revoked)).status_code == 200
        access.revoke(here.database, revoked.split("_")[1])
        for key in (ended, revoked):
            problem(client.get(PERSON, headers=bearer(key)), 401, "unauthorised")
    with pytest.raises(TerminalError, match="no key"):
        access.revoke(here.database, revoked.split("_")[1])


def test_a_key_that_was_forgotten_is_refused_and_listed_no_more(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REFRESH_S", -1.0)
    gone, stays = here.key(), here.key()
    with here.client() as client:
        assert client.get(PERSON, headers=bearer(gone)).status_code == 200
        access.forget(here.database, gone.split("_")[1])
        problem(client.get(PERSON, headers=bearer(gone)), 401, "unauthorised")
        assert client.get(PERSON, headers=bearer(stays)).status_code == 200
    assert [key.key_id for key in access.every_key(here.database)] == [stays.split("_")[1]]


@pytest.mark.parametrize(
    ("scopes", "workspaces", "status"),
    [
        pytest.param((READ,), "grocery", 200, id="its own workspace"),
        pytest.param((READ,), "*", 200, id="every workspace"),
        pytest.param(("sensitive:minors",), "grocery", 403, id="without the scope to read"),
        pytest.param((READ,), "toys", 403, id="another workspace"),
    ],
)
def test_scope_and_workspace_are_held_to(
    here: Place, client: TestClient, *, scopes: tuple[str, ...], workspaces: str, status: int
) -> None:
    headers = bearer(here.key(*scopes, workspaces=workspaces))
    answer = client.get(PERSON, params={"workspace": "grocery"}, headers=headers)
    assert answer.status_code == status
    if status == 403:
        problem(answer, 403, "missing-scope")


def test_a_key_of_several_workspaces_must_name_one(here: Place, client: TestClient) -> None:
    two, every = (bearer(here.key(workspaces=names)) for names in ("grocery,toys", "*"))
    for headers in (two, every):
        problem(client.get(PERSON, headers=headers), 400, "bad-request")
        problem(client.get(PERSON, params={"workspace": "toys"}, headers=headers), 503, "not-loaded")


def test_the_store_holds_no_secret(here: Place) -> None:
    key = here.key()
    here.database.run("PRAGMA wal_checkpoint")
    files = list(here.folder.glob("profiles.sqlite*"))
    assert not any(key.split("_", 2)[2].encode() in path.read_bytes() for path in files)
    assert stat.S_IMODE((here.folder / "profiles.sqlite").stat().st_mode) == 0o600
    assert key not in repr(access.every_key(here.database))


def test_a_scope_that_there_is_not_is_refused(here: Place) -> None:
    with pytest.raises(TerminalError, match="no such scopes: profiles:write"):
        here.key("profiles:write")


def test_a_key_asks_for_its_rate_and_no_more(here: Place, client: TestClient) -> None:
    headers, other = bearer(here.key(rate=0.01, burst=2)), bearer(here.key())
    assert [client.get(PERSON, headers=headers).status_code for _ in range(3)] == [200, 200, 429]
    answer = client.get(PERSON, headers=headers)
    problem(answer, 429, "too-many-requests")
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert client.get(PERSON, headers=other).status_code == 200  # others go on


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        pytest.param([(0.0, 1)] * 5 + [(0.0, 1)], [0, 0, 0, 0, 0, 1], id="the burst, then none"),
        pytest.param([(0.0, 5), (0.4, 1), (0.5, 1)], [0, 1, 0], id="the bucket fills with time"),
        pytest.param([(0.0, 9), (0.1, 1), (100.0, 9)], [0, 1, 0], id="a batch above the burst empties it"),
        pytest.param([(0.0, 5), (0.0, 5)], [0, 3], id="so long as what was asked for takes"),
        pytest.param([(0.0, 5), (100.0, 5), (100.0, 1)], [0, 0, 1], id="it holds no more than the burst"),
    ],
)
def test_buckets(asked: list[tuple[float, int]], waits: list[int]) -> None:
    at = [0.0]
    key = ApiKey("k", "", Grant("x", frozenset(), frozenset(), rate=2, burst=5), "", None, None)
    limits, found = Limits(clock=lambda: at[0]), []
    for moment, persons in asked:
        at[0] = moment
        found.append(limits.wait_s(key, persons))
    assert found == waits


def test_processes_share_a_rate() -> None:
    key = ApiKey("k", "", Grant("x", frozenset(), frozenset(), rate=4, burst=8), "", None, None)
    limits = Limits(processes=4, clock=lambda: 0.0)
    assert [limits.wait_s(key, 1) for _ in range(3)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"{", "not JSON", id="broken"),
        pytest.param(b"[1]", "an object with", id="a list"),
        pytest.param(b'{"identifiers": []}', "1 to 500", id="empty"),
        pytest.param(json.dumps({"identifiers": [{"type": "phone"}]}).encode(), "identifiers[0]", id="no value"),
        pytest.param(
            json.dumps({"identifiers": [{"type": "phone", "value": 1}]}).encode(), "identifiers[0]", id="number"
        ),
        pytest.param(json.dumps({"identifiers": [{"type": "x", "value": phone(1)}]}).encode(), "none of", id="no type"),
        pytest.param(
            json.dumps({"identifiers": [{"type": "phone", "value": phone(1)}] * 501}).encode(), "1 to 500", id="501"
        ),
    ],
)
def test_a_bad_batch_is_told_where_it_is_bad(here: Place, client: TestClient, body: bytes, said: str) -> None:
    answer = client.post("/v1/profiles:batch", content=body, headers=bearer(here.key()))
    assert said in problem(answer, 400, "bad-request")["detail"]


def test_other_failures_are_problems_as_well(here: Place, client: TestClient) -> None:
    client.headers.update(bearer(here.key()))
    problem(client.post("/v1/profiles:batch", content=b" " * 1_000_001), 413, "too-large")
    problem(client.get("/v1/profiles/phone/guest"), 400, "not-an-identifier")
    problem(client.get("/v1/profiles/person_id/7"), 400, "not-an-identifier")
    problem(client.get("/v1/nothing"), 404, "no-such-resource")
    answer = client.delete(PERSON)
    problem(answer, 405, "method-not-allowed")


def test_a_store_that_does_not_answer_is_no_defect(
    here: Place, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client.headers.update(bearer(here.key()))
    caplog.set_level(logging.DEBUG)
    for error, status, name in (
        (RetryableError("away"), 503, "store-unavailable"),
        (ValueError(f"bad {phone(1)}"), 500, "defect"),
    ):

        def fails(*_args: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(reading, "look_up", fails)
        problem(client.get(PERSON), status, name)
    assert "ValueError at" in caplog.text


def test_no_log_line_holds_an_identifier(here: Place, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="services")
    client.headers.update(bearer(here.key()))
    for path in (PERSON, f"{PERSON}?tags=x", "/v1/profiles/phone/13912345678", f"/v1/profiles/nothing/{phone(1)}"):
        client.get(path)
    assert not [line for line in caplog.text.splitlines() if "139" in line and "services" in line]


def test_health_readiness_and_metrics_need_no_key(here: Place, client: TestClient) -> None:
    headers = bearer(here.key())
    for _ in range(3):
        client.get(PERSON, headers=headers)
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ready\n"
    text = client.get("/metrics").text
    assert 'databank_profiles_requests_total{route="profile",status="200"} 3' in text
    assert 'databank_profiles_request_seconds_count{route="profile"} 3' in text
    assert 'databank_profiles_publication{workspace="grocery"} 1' in text
    assert phone(1) not in text
    for line in text.splitlines():
        assert line.startswith("# ") or len(line.split(" ")) == 2


def test_without_a_snapshot_it_is_not_ready(tmp_path: Path, key_file: Path) -> None:
    with place(tmp_path, key_file) as empty, empty.client() as client:
        problem(client.get("/readyz"), 503, "not-loaded")
        problem(client.get(PERSON, headers=bearer(empty.key())), 503, "not-loaded")


def test_the_page_loads_nothing(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "/v1/profiles:batch" in page
    assert not any(word in page for word in ("<script", "http://", "https://", "<link", "<img"))
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) >= {"/v1/profiles:batch", "/v1/profiles/{kind}/{value}", "/healthz", "/metrics"}
    assert client.get("/redoc").status_code == 404


def test_keys_are_read_again_only_when_they_are_old(here: Place) -> None:
    ring = KeyRing(here.database)
    assert ring.is_stale()
    ring.refresh()
    assert not ring.is_stale()
    assert ring.opened_by(here.key()) is None  # made since
