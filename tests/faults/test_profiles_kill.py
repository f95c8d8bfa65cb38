"""kill -9 of a load at random moments: the old answer stays, or the new one is whole; the next load cleans up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.profile_kills import kill_loads


def test_a_load_that_is_killed_changes_nothing_that_anybody_sees(tmp_path: Path, key_file: Path) -> None:
    kill_loads(tmp_path, key_file, url="", kills=6)


@pytest.mark.campaign
def test_many_loads_are_killed(tmp_path: Path, key_file: Path) -> None:
    kill_loads(tmp_path, key_file, url="", kills=100)
