"""No answer is a mix of two snapshots, whatever is loaded meanwhile; and the askers would see it if one were."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.profiles import filling_tags, generations
from services.profiles.database import Database
from tests.profile_hammer import batch, hammered, publish_number
from tests.profile_lake import WORKSPACE
from tests.profile_service import Place, bearer, place


@pytest.fixture
def here(tmp_path: Path, key_file: Path) -> Iterator[Place]:
    with place(tmp_path, key_file) as made:
        publish_number(made.lake)
        made.load()
        yield made


@pytest.mark.parametrize("most_changed", [pytest.param(0.0, id="whole"), pytest.param(100.0, id="by changes")])
def test_no_answer_is_a_mix_while_snapshots_are_loaded(
    here: Place, monkeypatch: pytest.MonkeyPatch, most_changed: float
) -> None:
    monkeypatch.setattr("services.profiles.loading.MOST_CHANGED", most_changed)
    with here.client() as client:
        client.headers.update(bearer(here.key()))
        with hammered(batch(client)) as seen:
            for _ in range(3):
                publish_number(here.lake)
                here.load()
                generations.sweep(here.database)  # drops nothing that somebody may be in
    assert seen.wrong == []
    assert {1, 4} <= seen.publications


def test_a_reader_that_slept_for_longer_than_a_generation_is_kept_sees_the_newest(here: Place) -> None:
    with here.client() as client:
        client.headers.update(bearer(here.key()))
        with hammered(batch(client)) as seen:
            for _ in range(3):
                publish_number(here.lake)
                here.load()
                generations.sweep(here.database, grace=-generations.GRACE)
    assert seen.wrong == []


def test_the_askers_see_a_planted_mix(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = filling_tags.fill_tags

    def in_place(database: Database, *args: Any, number: int, **named: Any) -> int:
        """The fault: what is served is overwritten, row by row."""
        count = fill(database, *args, number=number, **named)
        served = generations.pointer_of(database, WORKSPACE)
        assert served is not None
        for person, packed in database.rows(f"SELECT person_no, packed FROM profiles_{number}"):
            database.run(f"UPDATE profiles_{served.tags_no} SET packed = ? WHERE person_no = ?", [packed, person])
            time.sleep(0.005)
        return count

    monkeypatch.setattr(filling_tags, "fill_tags", in_place)
    monkeypatch.setattr("services.profiles.loading.MOST_CHANGED", 0.0)
    with here.client() as client:
        client.headers.update(bearer(here.key()))
        with hammered(batch(client)) as seen:
            publish_number(here.lake)
            here.load()
    assert any("publication 1 of snapshot-1 has" in wrong for wrong in seen.wrong)
