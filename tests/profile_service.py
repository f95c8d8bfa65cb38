"""A profile API over a store and a small lake, for tests: load, ask, make keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from services.profiles import access
from services.profiles.access import READ, Grant
from services.profiles.addressing import Addressing
from services.profiles.app import application
from services.profiles.asking import service_of
from services.profiles.counters import Counters
from services.profiles.database import Database, open_database
from services.profiles.lake import opened_lake
from services.profiles.loading import load
from services.profiles.schema import upgrade
from spark_jobs.protection.keys import load_root_keys
from tests.profile_lake import WORKSPACE, LakeWriter


@dataclass(slots=True)
class Place:
    """A store, a lake and a folder of one test."""

    folder: Path
    database: Database
    lake: LakeWriter
    key_file: Path

    def load(self, *, refusal_tag: str = "") -> dict[str, Any]:
        """Load what is published."""
        with opened_lake(str(self.lake.root), memory_mb=256, scratch=self.folder, threads=1) as lake:
            return load(self.database, lake, WORKSPACE, refusal_tag=refusal_tag)

    def key(self, *scopes: str, rate: float = 10_000, burst: int = 10_000, workspaces: str = WORKSPACE) -> str:
        """A new key."""
        grant = Grant("test", frozenset(scopes or (READ,)), frozenset(workspaces.split(",")), rate, burst)
        return access.create(self.database, grant)[1]

    @contextmanager
    def client(self) -> Iterator[TestClient]:
        """A client of an application of its own."""
        counters = Counters(self.folder)
        service = service_of(self.database, Addressing(load_root_keys(self.key_file)), counters)
        with TestClient(application(service), raise_server_exceptions=False) as client:
            yield client
        service.threads.shutdown()


def bearer(key: str) -> dict[str, str]:
    """The header that a key goes in."""
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def place(folder: Path, key_file: Path, *, url: str = "") -> Iterator[Place]:
    """An empty store (SQLite, or of a URL) and an empty lake."""
    database = open_database(url or f"sqlite:///{folder / 'profiles.sqlite'}")
    upgrade(database)
    try:
        yield Place(folder, database, LakeWriter(folder / "lake", key_file), key_file)
    finally:
        database.close()
