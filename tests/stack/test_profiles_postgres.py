"""The profile API on a real PostgreSQL: the same tables as on SQLite, no mix, a server that goes and comes back."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.profiles import generations, refusals
from services.profiles.addressing import Addressing, Asked
from services.profiles.database import GoneError, open_database
from services.profiles.postgres_database import PostgresDatabase
from spark_jobs.protection.keys import load_root_keys
from tests.postgres import PostgresServer, postgres_server, running_postgres
from tests.profile_hammer import batch, hammered, publish_number
from tests.profile_kills import kill_loads
from tests.profile_lake import master_id, phone
from tests.profile_service import bearer, place
from tests.profile_world import World, served


@pytest.fixture
def url() -> Iterator[str]:
    with running_postgres() as made:
        yield made


def test_both_stores_hold_the_same_tables(url: str, tmp_path: Path, key_file: Path) -> None:
    with place(tmp_path, key_file, url=url) as here, place(tmp_path, key_file) as other:
        other.lake = here.lake
        world, ways = World(here.lake, random.Random(1)), set()
        for _ in range(6):
            world.day()
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("services.profiles.loading.MOST_CHANGED", 100)
                ways.add(here.load()["tags"]["way"])
            other.load()
            assert served(here.database) == served(other.database)
        assert ways == {"whole", "changes"}


@pytest.mark.parametrize("most_changed", [pytest.param(0.0, id="whole"), pytest.param(100.0, id="by changes")])
def test_no_answer_is_a_mix_while_snapshots_are_loaded(
    url: str, tmp_path: Path, key_file: Path, *, monkeypatch: pytest.MonkeyPatch, most_changed: float
) -> None:
    monkeypatch.setattr("services.profiles.loading.MOST_CHANGED", most_changed)
    with place(tmp_path, key_file, url=url) as here:
        publish_number(here.lake)
        here.load()
        headers = bearer(here.key())
        with here.client() as client:
            client.headers.update(headers)
            with hammered(batch(client)) as seen:
                for _ in range(4):
                    publish_number(here.lake)
                    here.load()
                    generations.sweep(here.database, grace=-generations.GRACE)
    assert seen.wrong == []
    assert {1, 5} <= seen.publications


def test_a_server_that_goes_is_told_as_503_and_comes_back(tmp_path: Path, key_file: Path) -> None:
    with postgres_server() as server, place(tmp_path, key_file, url=server.url) as here:
        publish_number(here.lake)
        here.load()
        headers = bearer(here.key())
        with here.client() as client:
            client.headers.update(headers)
            assert batch(client)().status_code == 200
            server.stop()
            answer = batch(client)()
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert client.get("/readyz").status_code == 503
            server.start()
            assert batch(client)().status_code == 200


def test_who_asks_while_the_server_restarts_waits(tmp_path: Path, key_file: Path) -> None:
    with postgres_server() as server, place(tmp_path, key_file, url=server.url) as here:
        publish_number(here.lake)
        here.load()
        patient = open_database(server.url, patience_s=30)
        generations.pointers(patient)
        server.stop()
        back = threading.Timer(1.5, server.start)
        back.start()
        began = time.monotonic()
        assert [one.publication for one in generations.pointers(patient)] == [1]
        assert 1 < time.monotonic() - began < 25
        back.join()
        with pytest.raises(GoneError):  # no patience with what waiting does not mend
            patient.rows("SELECT 1 FROM nothing")
        patient.close()


def test_a_refusal_is_honoured_at_once_and_after_the_next_load(url: str, tmp_path: Path, key_file: Path) -> None:
    keys = Addressing(load_root_keys(key_file)).keys(Asked("phone", phone(1)))
    with place(tmp_path, key_file, url=url) as here:
        publish_number(here.lake)
        here.load()
        headers = bearer(here.key("profiles:read", "sensitive:minors"))
        with here.client() as client:
            assert [refusals.refuse(here.database, keys) for _ in range(2)] == [1, 0]
            for _ in range(2):
                body = client.get(f"/v1/profiles/person_id/{master_id(1)}", headers=headers).json()
                assert (body["profiling"], body["tags"]) == ("refused", [])
                assert client.get(f"/v1/profiles/phone/{phone(2)}", headers=headers).json()["profiling"] == "allowed"
                publish_number(here.lake)
                here.load()
            assert refusals.allow(here.database, keys) == 1
            publish_number(here.lake)
            here.load()
            assert client.get(f"/v1/profiles/phone/{phone(1)}", headers=headers).json()["profiling"] == "allowed"


def test_a_load_that_is_killed_changes_nothing(url: str, tmp_path: Path, key_file: Path) -> None:
    kill_loads(tmp_path, key_file, url=url, kills=3)


def test_connections_are_given_back(url: str, tmp_path: Path, key_file: Path) -> None:
    with place(tmp_path, key_file, url=url) as here:
        assert isinstance(here.database, PostgresDatabase)
        for _ in range(40):  # far more than there are connections
            with pytest.raises(Exception, match="not there"):
                here.database.rows("SELECT 1 FROM nothing")
        assert here.database.rows("SELECT 1") == [(1,)]


def test_the_password_of_the_store_is_in_no_message(tmp_path: Path, key_file: Path) -> None:
    with postgres_server() as server:
        gone: PostgresServer = server
        url = gone.url.replace("ledger@", "ledger:secret-word@")
        with place(tmp_path, key_file, url=url) as here:
            server.stop()
            with pytest.raises(Exception, match="does not answer") as raised:
                generations.pointers(here.database)
            server.start()
    assert "secret-word" not in str(raised.value)
