"""What the names and lengths of a Delta log's files say, without a table."""

from __future__ import annotations

import pytest

from spark_jobs.upkeep.auditing import NO_CHECKPOINT, log_of

Files = list[tuple[str, int]]


def commits(*versions: int, length: int = 9) -> Files:
    return [(f"{version:020d}.json", length) for version in versions]


def checkpoint(version: int, *, part: int | None = None, parts: int = 1) -> tuple[str, int]:
    middle = "" if part is None else f".{part:010d}.{parts:010d}"
    return f"{version:020d}.checkpoint{middle}.parquet", 9


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(commits(0, 1, 2), id="from the beginning"),
        pytest.param([*commits(2, 3), checkpoint(2)], id="from a checkpoint on"),
        pytest.param([*commits(3, 4), checkpoint(2)], id="the checkpoint's own commit was cleaned"),
        pytest.param(
            [*commits(2, 3), checkpoint(2, part=1, parts=2), checkpoint(2, part=2, parts=2)], id="in two parts"
        ),
        pytest.param([*commits(0, 1), ("00000000000000000001.crc", 0), ("_last_checkpoint", 0)], id="other files"),
        pytest.param([*commits(0, 1), ("_staged_commits", 0)], id="a folder"),
    ],
)
def test_a_whole_log(files: Files) -> None:
    assert list(log_of(files).problems()) == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param([], "the log holds no commit", id="nothing"),
        pytest.param(commits(0, 2), "1 of the commits between 0 and 2 are missing", id="a hole"),
        pytest.param(commits(1, 2), "there is no checkpoint that it could follow", id="no beginning"),
        pytest.param([*commits(4, 5), checkpoint(2)], "the oldest commit is 4, and there is checkpoint 2", id="a gap"),
        pytest.param(
            [*commits(2, 3), checkpoint(2, part=1, parts=2)], "there is no checkpoint", id="half a checkpoint"
        ),
        pytest.param([*commits(0, 1), checkpoint(3)], "older than checkpoint 3", id="lost its end"),
        pytest.param([*commits(0), *commits(1, length=0)], "commits are empty: 1", id="empty"),
    ],
)
def test_a_log_that_cannot_be_replayed(files: Files, says: str) -> None:
    assert says in "; ".join(log_of(files).problems())


def test_the_newest_whole_checkpoint_counts() -> None:
    files = [checkpoint(10), checkpoint(20), checkpoint(30, part=1, parts=2)]
    assert log_of(files).checkpoint == 20
    assert log_of(commits(0)).checkpoint == NO_CHECKPOINT
