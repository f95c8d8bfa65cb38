"""Loading: whole or by changes gives the same tables; what died is cleaned up; what does not add up is not served."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.profiles import filling_tags, generations
from services.profiles.database import Database
from spark_jobs.errors import PlatformError, RetryableError, TerminalError
from tests.profile_lake import phone
from tests.profile_service import Place, place
from tests.profile_world import World, served


@pytest.fixture
def here(tmp_path: Path, key_file: Path) -> Iterator[Place]:
    with place(tmp_path, key_file) as made:
        yield made


@pytest.mark.parametrize("seed", range(3))
def test_changes_give_the_same_tables_as_a_whole_load(here: Place, tmp_path: Path, key_file: Path, seed: int) -> None:
    world, ways = World(here.lake, random.Random(seed)), set()
    for day in range(6):
        world.day()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("services.profiles.loading.MOST_CHANGED", 100)
            facts = here.load()
        ways.add((facts["identity"]["way"], facts["tags"]["way"]))
        folder = tmp_path / f"whole-{day}"
        folder.mkdir()
        with place(folder, key_file) as whole:
            whole.lake = here.lake
            whole.load()
            assert served(here.database) == served(whole.database)
    assert ways == {("whole", "whole"), ("changes", "changes")}


def test_a_second_load_of_the_same_changes_nothing(here: Place) -> None:
    _publish(here, "1")
    first, second = here.load(), here.load()
    assert (first["changed"], second["changed"]) == (True, False)
    assert len(generations.generations(here.database)) == 2


@pytest.mark.parametrize(
    "place_of_death", ["begin", "fill_tags", "values_in", "make_ready", "switch"], ids=lambda name: f"at {name}"
)
def test_a_load_that_dies_leaves_the_old_answer_and_the_next_one_cleans_up(here: Place, place_of_death: str) -> None:
    _publish(here, "1")
    here.load()
    before = served(here.database)
    _publish(here, "2")

    class Killed(BaseException):
        pass

    def dies(*_args: object, **_named: object) -> None:
        raise Killed

    module = filling_tags if hasattr(filling_tags, place_of_death) else generations
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, place_of_death, dies)
        with pytest.raises(Killed):
            here.load()
    assert served(here.database) == before
    here.load()
    assert {row[3][0][1] for row in served(here.database)["profiles"]} == {"2"}
    assert {one.state for one in generations.generations(here.database)} == {"ready"}
    tables = _tables(here.database)
    numbers = {one.number for one in generations.generations(here.database)}
    assert {int(name.rpartition("_")[2]) for name in tables} == numbers


def test_what_was_retired_is_dropped_later_and_its_number_never_used_again(here: Place) -> None:
    for value in "123":
        _publish(here, value)
        here.load()
    numbers = [one.number for one in generations.generations(here.database)]
    assert len(numbers) == 6  # a reader may still be in the older ones
    dropped = generations.sweep(here.database, grace=-generations.GRACE)
    assert sorted(dropped) == numbers[:4]
    assert len(_tables(here.database)) == 5
    _publish(here, "4")
    here.load()
    assert min({one.number for one in generations.generations(here.database)} - set(numbers)) > max(numbers)


def test_a_load_that_does_not_add_up_is_not_served(here: Place) -> None:
    _publish(here, "1")
    here.load()
    before = served(here.database)
    here.lake.next()
    here.lake.publish({1: {"dormant": "2"}, 2: {"dormant": "2"}}, drop=1)
    with pytest.raises(RetryableError, match="has 2 values, 1 were read"):
        here.load()
    assert served(here.database) == before


def test_without_a_publication_nothing_is_loaded(here: Place) -> None:
    with pytest.raises(TerminalError, match="run identity and tags first"):
        here.load()


def test_a_refusal_tag_that_is_not_published_stops_the_load(here: Place) -> None:
    _publish(here, "1")
    with pytest.raises(TerminalError, match="publishes no tag 'refuses'"):
        here.load(refusal_tag="refuses")


def test_the_refusal_tag_takes_all_tags_of_a_person_whole_or_by_changes(here: Place) -> None:
    here.lake.tags = {"dormant": {}, "refuses": {}}
    for refuses, expected in (("true", 1), ("false", 0), ("true", 1)):
        here.lake.next()
        if here.lake.number == 1:
            here.lake.person(1)
        here.lake.publish({1: {"dormant": "1", "refuses": refuses}})
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("services.profiles.loading.MOST_CHANGED", 100)
            here.load(refusal_tag="refuses")
        ((_, count, refused, _),) = served(here.database)["profiles"]
        assert (count, refused) == (2, expected)


def test_two_loads_at_once_are_refused(here: Place) -> None:
    _publish(here, "1")
    with here.database.exclusive("load"), pytest.raises(PlatformError, match="another load"):
        here.load()


def _publish(here: Place, value: str) -> None:
    here.lake.next()
    if here.lake.number == 1:
        for person in (1, 2):
            here.lake.person(person)
            here.lake.holds(person, "phone", phone(person))
    here.lake.publish({1: {"dormant": value}, 2: {"dormant": value}})


def _tables(database: Database) -> list[str]:
    rows = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB '*_[0-9]*'")
    return [str(row[0]) for row in rows]
