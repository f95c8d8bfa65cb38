"""Decisions: a call that is repeated decides once, and a row says all of it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spark_jobs.contracts.identity import IDENTITY_DECISIONS
from spark_jobs.errors import TerminalError
from spark_jobs.identity import decision_jobs, unmerge_job
from spark_jobs.identity.decisions import decision_id, rows_of
from spark_jobs.settings import Settings, SparkSettings

WORDS = ("unmerge", "a", "b", "persons", "ann", "two people")
HEAD = {
    "decision_id": "d", "kind": "join", "scope": "identifiers", "withdraws": None, "author": "ann", "reason": "r",
    "snapshot_id": "s",
}  # fmt: skip
AT = datetime(2026, 11, 28, tzinfo=UTC)


def test_the_same_words_are_one_decision_until_it_is_withdrawn() -> None:
    assert decision_id(WORDS, 0) == decision_id(list(WORDS), 0)
    others = [decision_id((*WORDS[:-1], "other words"), 0), decision_id(WORDS, 1)]
    assert len({decision_id(WORDS, 0), *others}) == 3


def test_a_row_is_a_pair_with_the_smaller_number_first_and_pairs_do_not_stand_twice() -> None:
    rows = rows_of(HEAD, [(9, 2), (2, 9), (1, 5)], AT)
    named = [dict(zip(IDENTITY_DECISIONS.column_names, row, strict=True)) for row in rows]
    assert [(row["place"], row["identifier_a"], row["identifier_b"]) for row in named] == [(0, 1, 5), (1, 2, 9)]
    assert {row["decided_at"] for row in named} == {AT}
    (alone,) = rows_of({**HEAD, "kind": "withdraw", "withdraws": "x"}, [], AT)
    assert alone[:5] == ("d", 0, "withdraw", None, None)


@pytest.mark.parametrize("option", ["author", "reason"])
def test_a_decision_without_author_or_reason_is_refused(option: str) -> None:
    parser = argparse.ArgumentParser()
    unmerge_job.add_arguments(parser)
    given = {"author": "ann", "reason": "two people", option: " "}
    args = parser.parse_args(["phone:13812345678", "login:ann", *[f"--{key}={text}" for key, text in given.items()]])
    settings = Settings("root", "", "", "", Path("key"), SparkSettings("", 0, "", ()), ())
    with pytest.raises(TerminalError, match=f"--{option} is empty"):
        decision_jobs.preflight(settings, args)
    assert (args.scope, args.no_run) == ("persons", False)
