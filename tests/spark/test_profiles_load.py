"""The profile API on tables that Spark wrote: identity and tags run, the loader reads them without Spark."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.profiles.lake import opened_lake
from services.profiles.loading import load
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import job as tags
from tests.profile_service import Place, bearer, place
from tests.profile_world import served
from tests.spark import identity_rows
from tests.spark.identity_rows import SCOPES, event, put, resolve, settings
from tests.tag_histories import definition, write_catalogue

# Identity and tags run twice: minutes on slow cores.
pytestmark = pytest.mark.thorough

WORKSPACE = "grocery"
EVE, FAY = "13926470001", "13926470002"
VISITS = {
    "among": "everyone",
    "measures": {"seen": {"count": "events", "window": "300 days"}},
    "levels": None,
    "value": "seen",
}


@pytest.fixture
def tokens(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows carry the tokens that ingest would make."""
    tokeniser = Tokeniser(load_root_keys(key_file))

    def identifier(text: str) -> tuple[str, str, bytes, str]:
        kind, value = text.split(":")
        return kind, SCOPES.get(kind, ""), tokeniser.token(kind, SCOPES.get(kind, ""), value), tokeniser.kid

    monkeypatch.setattr(identity_rows, "identifier", identifier)


@pytest.fixture
def here(tmp_path: Path, key_file: Path) -> Iterator[Place]:
    (tmp_path / "store").mkdir()
    with place(tmp_path / "store", key_file) as made:
        yield made


def run_tags(lake: Lake, catalogue: Path, base: str) -> None:
    tags.run(lake.spark, settings(lake), Namespace(workspace=WORKSPACE, base=base, as_of=None, catalogue=catalogue))


def load_from(lake: Lake, to: Place) -> tuple[str, str]:
    with opened_lake(lake.root, memory_mb=256, scratch=to.folder, threads=1) as opened:
        facts = load(to.database, opened, WORKSPACE)
    return facts["identity"]["way"], facts["tags"]["way"]


@pytest.mark.usefixtures("tokens")
def test_what_spark_published_is_answered_whole_and_by_changes(
    lake: Lake, here: Place, tmp_path: Path, key_file: Path, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.profiles.loading.MOST_CHANGED", 100)
    catalogue = write_catalogue(tmp_path / "catalogue", definition("visits", otherwise="0", **VISITS))
    put(lake, [event("e1", 0, "login:eve", f"phone:{EVE}"), event("f1", 1, "login:fay", f"phone:{FAY}", "device:f")])
    resolve(lake)
    run_tags(lake, catalogue, "2018-01-01T00:00")
    assert load_from(lake, here) == ("whole", "whole")
    key = bearer(here.key())
    with here.client() as client:
        client.headers.update(key)
        found = [client.get(f"/v1/profiles/phone/{phone}").json() for phone in (EVE, FAY)]
        assert [[tag["value"] for tag in one["tags"]] for one in found] == [["1"], ["1"]]
        assert (
            client.get("/v1/profiles/login/fay", params={"scope": "shop"}).json()["person_id"] == found[1]["person_id"]
        )
        assert client.get("/v1/profiles/phone/13912345678").status_code == 404
        put(lake, [event("e2", 9, "login:eve", f"phone:{FAY}"), event("g1", 10, "login:gus")])
        resolve(lake)
        run_tags(lake, catalogue, "2018-01-02T00:00")
        assert load_from(lake, here) == ("changes", "changes")
        again = [client.get(f"/v1/profiles/person_id/{one['person_id']}").status_code for one in found]
        named = client.get("/v1/profiles/login/gus", params={"scope": "shop", "tags": "visits"}).json()
    assert again == [200, 200]
    assert [tag["value"] for tag in named["tags"]] == ["1"]
    whole_folder = tmp_path / "whole"
    whole_folder.mkdir()
    with place(whole_folder, key_file) as whole:
        assert load_from(lake, whole) == ("whole", "whole")
        assert served(whole.database) == served(here.database)
