"""Which of Spark's event logs go: by the newest file of each."""

from __future__ import annotations

from typing import Any

from services.event_logs.__main__ import FOLDER, delete_old


class Files:
    """HDFS as far as this needs it: folders of files with their times."""

    def __init__(self, logs: dict[str, dict[str, int] | int]) -> None:
        self.logs = logs

    def list(self, place: str, *, status: bool) -> list[tuple[str, dict[str, Any]]]:
        assert status
        held = self.logs if place == FOLDER else self.logs[place.rpartition("/")[2]]
        assert isinstance(held, dict)
        return [
            (name, {"type": "FILE", "modificationTime": one})
            if isinstance(one, int)
            else (name, {"type": "DIRECTORY", "modificationTime": 1})
            for name, one in held.items()
        ]

    def delete(self, place: str, *, recursive: bool) -> None:
        assert recursive
        del self.logs[place.rpartition("/")[2]]


def test_a_log_goes_when_its_newest_file_is_old() -> None:
    files = Files(
        {"old": 99, "new": 100, "rolled": {"events_1": 5, "events_2": 200}, "ended": {"events_1": 5}, "none": {}}
    )
    assert delete_old(files, before_ms=100) == {"deleted": 3, "kept": 2}
    assert sorted(files.logs) == ["new", "rolled"]
