"""The profile API's answers: any identifier, unknown person and person without tags, aliases, masks, refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from services.profiles import refusals
from services.profiles.access import READ
from services.profiles.addressing import Addressing, Asked
from spark_jobs.protection.keys import load_root_keys
from tests.profile_lake import FIRST, WORKSPACE, master_id, phone
from tests.profile_service import Place, bearer, place

ANN, BEN, CHEN, DORA = 1, 2, 3, 4


@pytest.fixture
def here(tmp_path: Path, key_file: Path) -> Iterator[Place]:
    """Ann has tags, Ben none, Chen was merged into Ann, Dora has one that is unknown; a device was shared once."""
    with place(tmp_path, key_file) as made:
        lake = made.lake
        lake.tags = {
            "dormant": {},
            "basket": {},
            "kids": {"classes": "minors"},
            "rich_kids": {"classes": "minors,finance"},
        }
        lake.next()
        for person in (ANN, BEN, CHEN, DORA):
            lake.person(person)
            lake.holds(person, "phone", phone(person))
        lake.holds(ANN, "openid", "oAbc-123", scope="wx1")
        lake.holds(BEN, "device", "device-77", until=FIRST)
        lake.publish(
            {ANN: {"dormant": "true", "kids": "2"}, CHEN: {"basket": '"big", 大'}, DORA: {"dormant": "unknown"}}
        )
        lake.next()
        lake.person(CHEN, resolves_to=ANN)
        lake.holds(ANN, "phone", phone(CHEN))
        lake.publish({ANN: {"dormant": "true", "kids": "2", "basket": '"big", 大'}, DORA: {"dormant": "unknown"}})
        made.load()
        yield made


@pytest.fixture
def client(here: Place) -> Iterator[TestClient]:
    with here.client() as made:
        made.headers.update(bearer(here.key()))
        yield made


def ask(client: TestClient, kind: str, value: str, **options: str) -> Response:
    return client.get(f"/v1/profiles/{kind}/{value}", params=options)


def tags(answer: Response) -> dict[str, Any]:
    return {tag["tag"]: tag["value"] for tag in answer.json()["tags"]}


@pytest.mark.parametrize(
    ("kind", "value", "scope"),
    [
        pytest.param("phone", phone(ANN), "", id="as it stands"),
        pytest.param("phone", f"+86 {phone(ANN)}", "", id="written in another way"),
        pytest.param("phone", phone(CHEN), "", id="of a person who was merged into her"),
        pytest.param("openid", "oAbc-123", "wx1", id="within its scope"),
        pytest.param("person_id", master_id(ANN), "", id="master id"),
        pytest.param("person_id", master_id(ANN).upper(), "", id="master id in capitals"),
    ],
)
def test_a_person_is_found_by_any_identifier(client: TestClient, kind: str, value: str, scope: str) -> None:
    answer = ask(client, kind, value, scope=scope)
    assert answer.status_code == 200
    assert answer.json()["person_id"] == master_id(ANN)
    assert tags(answer) == {"dormant": "true", "basket": '"big", 大'}


def test_a_merged_master_id_resolves_and_says_so(client: TestClient) -> None:
    alias, own = ask(client, "person_id", master_id(CHEN)).json(), ask(client, "person_id", master_id(ANN)).json()
    assert (alias["person_id"], alias["merged_from"]) == (master_id(ANN), master_id(CHEN))
    assert own["merged_from"] is None


@pytest.mark.parametrize(
    ("kind", "value", "scope"),
    [
        pytest.param("phone", "13912345678", "", id="never seen"),
        pytest.param("openid", "oAbc-123", "wx2", id="another scope"),
        pytest.param("device", "device-77", "", id="held for a time that is over"),
        pytest.param("person_id", master_id(99), "", id="master id"),
    ],
)
def test_an_unknown_person_is_not_found_and_the_snapshot_is_told(
    client: TestClient, kind: str, value: str, scope: str
) -> None:
    answer = ask(client, kind, value, scope=scope)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["type"], body["status"]) == ("urn:databank:problem:unknown-person", 404)
    assert (body["snapshot_id"], body["publication"]) == ("snapshot-2", 2)
    assert body["age_seconds"] > 0
    assert value not in answer.text


def test_a_person_without_tags_is_known(client: TestClient) -> None:
    answer = ask(client, "phone", phone(BEN))
    assert (answer.status_code, answer.json()["tags"]) == (200, [])


def test_every_answer_says_of_which_snapshot_it_is_and_each_tag_its_version_and_since(client: TestClient) -> None:
    body = ask(client, "phone", phone(ANN)).json()
    assert (body["workspace"], body["snapshot_id"], body["publication"]) == (WORKSPACE, "snapshot-2", 2)
    assert (body["published_at"], body["base_at"]) == ("2026-01-03T01:00:00+00:00", "2026-01-03T00:00:00+00:00")
    told = {tag["tag"]: (tag["state"], tag["version"], tag["since"]) for tag in body["tags"]}
    assert told == {
        "dormant": ("value", "dormant-v2", "2026-01-02T00:00:00+00:00"),
        "basket": ("value", "basket-v2", "2026-01-03T00:00:00+00:00"),
    }


def test_unknown_is_a_state_and_no_value(client: TestClient) -> None:
    (tag,) = ask(client, "phone", phone(DORA)).json()["tags"]
    assert (tag["state"], tag["value"]) == ("unknown", None)


def test_named_tags_are_told_with_the_default(client: TestClient) -> None:
    assert tags(ask(client, "phone", phone(BEN), tags="basket,dormant")) == {"basket": "none", "dormant": "none"}
    refused = ask(client, "phone", phone(BEN), tags="baskets")
    assert (refused.status_code, "baskets" in refused.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        pytest.param((), set(), id="none"),
        pytest.param(("sensitive:minors",), {"kids"}, id="one class"),
        pytest.param(("sensitive:finance",), set(), id="another class"),
        pytest.param(("sensitive:minors", "sensitive:finance"), {"kids", "rich_kids"}, id="both classes of a tag"),
    ],
)
def test_sensitive_tags_are_masked_by_scope(
    here: Place, client: TestClient, scopes: tuple[str, ...], seen: set[str]
) -> None:
    client.headers.update(bearer(here.key(READ, *scopes)))
    for person in (ANN, BEN):  # the list of what is masked tells nothing of the person
        body = ask(client, "phone", phone(person)).json()
        assert set(body["masked"]) == {"kids", "rich_kids"} - seen
        assert {tag["tag"] for tag in body["tags"]} & {"kids", "rich_kids"} <= seen
    named = ask(client, "phone", phone(ANN), tags="kids,rich_kids").json()
    assert {tag["tag"] for tag in named["tags"]} == seen


def test_who_refuses_profiling_is_told_no_tag_at_once_and_after_the_next_load(here: Place, client: TestClient) -> None:
    keys = Addressing(load_root_keys(here.key_file)).keys(Asked("phone", phone(CHEN)))
    assert refusals.refuse(here.database, keys) == 1
    for _ in range(2):
        body = ask(client, "phone", phone(ANN)).json()
        assert (body["profiling"], body["tags"]) == ("refused", [])
        assert ask(client, "phone", phone(ANN), tags="dormant").json()["tags"] == []
        here.lake.next()
        here.lake.publish({ANN: {"dormant": "false"}})
        here.load()
    assert refusals.allow(here.database, keys) == 1
    here.lake.next()
    here.lake.publish({ANN: {"dormant": "true"}})
    here.load()
    assert tags(ask(client, "phone", phone(ANN))) == {"dormant": "true"}


def test_a_batch_is_of_one_snapshot_and_in_its_order(client: TestClient) -> None:
    asked = [("phone", phone(BEN)), ("phone", "13912345678"), ("person_id", master_id(CHEN)), ("phone", "guest")]
    identifiers = [{"type": kind, "value": value} for kind, value in asked]
    body = client.post("/v1/profiles:batch", json={"identifiers": identifiers, "tags": ["dormant"]}).json()
    assert body["snapshot_id"] == "snapshot-2"
    told = [one.get("person_id") or one["problem"]["type"].rpartition(":")[2] for one in body["profiles"]]
    assert told == [master_id(BEN), "unknown-person", master_id(ANN), "not-an-identifier"]
    assert [tag["value"] for tag in body["profiles"][0]["tags"]] == ["none"]


def test_a_failed_tag_is_told_with_its_error_and_the_age_of_its_last_answer(here: Place, client: TestClient) -> None:
    here.lake.tags["basket"] = {"error": "core.orders cannot be read", "good_at": "2026-01-03T01:00:00+00:00"}
    here.lake.next()
    here.lake.publish({ANN: {"dormant": "true", "basket": "big"}})
    here.load()
    failed = {tag["tag"]: tag for tag in ask(client, "phone", phone(ANN)).json()["tags"]}["basket"]
    assert (failed["state"], failed["value"], failed["error"]) == ("failed", "big", "core.orders cannot be read")
    assert failed["last_good_age_seconds"] > 0
    without = {tag["tag"]: tag for tag in ask(client, "phone", phone(BEN)).json()["tags"]}
    assert (without["basket"]["state"], without["basket"]["value"]) == ("failed", None)
