"""A session that gets no executor registers once more: its driver may have the address of one that the master lost."""

from __future__ import annotations

from typing import Any

import pytest

from spark_jobs.storage import session


class Opened:
    """A session with a number."""

    def __init__(self, number: int, stopped: list[int]) -> None:
        self.number, self._stopped = number, stopped

    def stop(self) -> None:
        self._stopped.append(self.number)


class Sessions:
    """Builds sessions; the first `deaf` of them get no executor."""

    def __init__(self, deaf: int) -> None:
        self.deaf = deaf
        self.started = 0
        self.stopped: list[int] = []

    def getOrCreate(self) -> Opened:  # noqa: N802 - Spark's name
        self.started += 1
        return Opened(self.started, self.stopped)

    def has_executor(self, spark: Opened, *, within_s: float) -> bool:
        assert within_s > 0
        return spark.number > self.deaf


@pytest.mark.parametrize(("deaf", "started", "stopped"), [(0, 1, []), (1, 2, [1])])
def test_who_got_nothing_registers_again(
    monkeypatch: pytest.MonkeyPatch, deaf: int, started: int, stopped: list[int]
) -> None:
    sessions = Sessions(deaf)
    monkeypatch.setattr(session, "has_executor", sessions.has_executor)
    spark: Any = session.registered(sessions)  # type: ignore[arg-type]
    assert (spark.number, sessions.started, sessions.stopped) == (started, started, stopped)
