"""Which kills of a copy count: those that met a chunk, by what the ledger said before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from migration.chunks import ChunkState
from migration.ledger import Plan, now, open_ledger
from tests.migration_files import keep_plan, old_system
from tests.migration_place import Place, in_flight
from tests.unit.test_migration_status import chunk

EARLIER, SINCE, BEGUN, LATER = (f"2026-01-01T00:00:0{second}.000000Z" for second in range(4))


@pytest.mark.parametrize(
    ("before", "after", "met"),
    [
        pytest.param({"a": BEGUN}, {"a": BEGUN}, {"a"}, id="a chunk that was begun and did not end"),
        pytest.param({"a": SINCE}, {"a": SINCE}, {"a"}, id="begun in the very moment of the start"),
        pytest.param({"a": EARLIER}, {"a": EARLIER}, set(), id="one that an earlier kill left, and nobody took up"),
        pytest.param({}, {}, set(), id="nothing was copied"),
        pytest.param({"a": BEGUN}, {}, set(), id="it ended before the blow"),
        pytest.param({}, {"a": BEGUN}, set(), id="it began after the first look"),
        pytest.param({"a": BEGUN}, {"a": LATER}, set(), id="it was begun again in between"),
        pytest.param({"a": EARLIER, "b": BEGUN}, {"a": EARLIER, "b": BEGUN}, {"b"}, id="beside one that was left"),
    ],
)
def test_a_kill_counts_where_a_chunk_was_being_copied(before, after, met) -> None:
    assert in_flight(before, after, since=SINCE) == met


def test_the_ledger_tells_what_is_being_copied_and_since_when(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "key", old_system(tmp_path / "old"))
    since = now()
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger:
        keep_plan(ledger, Plan("p1", "history", "v1", "/x", since), [chunk(1), chunk(2)])
        assert place.copying() == {}
        ledger.move(chunk(1), ChunkState.COPYING)
        look = place.copying()
        assert in_flight(look, place.copying(), since=since) == {chunk(1).chunk_id}
        assert in_flight(look, place.copying(), since=now()) == set()
