"""Counts without Spark, on a lake that delta-rs wrote: exact, refused where they must be, and fast."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyroaring import BitMap

from services.audiences.counting import count
from services.audiences.expressions import members_of, parsed
from services.profiles.lake import opened_lake
from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS, AUDIENCES, PERSONS
from spark_jobs.contracts.derived import TAG_PUBLICATIONS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.people.bitmaps import Numbers, by_chunk, packed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_ARROW = {"string": pa.string(), "bigint": pa.int64(), "binary": pa.binary(), "timestamp": pa.timestamp("us", "UTC")}


def put(root: Path, table: Table, rows: list[dict[str, Any]]) -> None:
    schema = pa.schema([(column.name, _ARROW[column.type]) for column in table.columns])
    shared = {"workspace_id": "grocery", "snapshot_id": "s1", "base_at": NOW, "published_at": NOW, "version": "v"}
    where = root / table.schema_name / table.table_name
    where.parent.mkdir(parents=True, exist_ok=True)
    made = pa.Table.from_pylist([{**shared, **row} for row in rows], schema=schema)
    write_deltalake(where, made, mode="append", partition_by=list(table.partition_by) or None)


def publish(root: Path, persons: int, members: Mapping[str, Numbers], **told: dict[str, Any]) -> None:
    """A publication of audiences, on the third of four publications of tags. told: more of an audience."""
    everybody = {**members, PERSONS: np.arange(persons)}
    rows = [
        {"audience": name, "chunk": chunk, "members": packed(found), "persons": len(found), "generation": "1-run"}
        for name, numbers in everybody.items()
        for chunk, found in by_chunk(numbers)
    ]
    put(root, AUDIENCES, rows)
    facts = {
        name: {"persons": len(numbers), "classes": "", "tags": ["stage"], **told.get(name, {})}
        for name, numbers in members.items()
    }
    row = {"generation": "1-run", "number": 1, "tags_number": 3, "persons": persons, "audiences": json.dumps(facts)}
    put(root, AUDIENCE_PUBLICATIONS, [row])
    state = {"tags": {"stage": {"classes": ""}, "kids": {"classes": "minors"}}}
    put(root, TAG_PUBLICATIONS, [{"number": 4, "kind": "current", "generation": "4", "state": json.dumps(state)}])


def counted(root: Path, tmp_path: Path, *texts: str) -> dict[str, Any]:
    with opened_lake(str(root), memory_mb=256, scratch=tmp_path, threads=2) as lake:
        return count(lake, "grocery", texts)


def some(seed: int, persons: int, share: float) -> Numbers:
    return np.flatnonzero(np.random.default_rng(seed).random(persons) < share).astype(np.int64)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.5 million persons: three chunks."""
    made = tmp_path_factory.mktemp("lake")
    persons = 2_500_000
    hidden = {"kids": {"classes": "minors"}, "since": {"tags": ["kids"]}}
    members = {name: some(seed, persons, 0.01 * seed) for seed, name in enumerate(("a", "b", "c"), start=1)}
    members |= {"kids": some(7, persons, 0.1), "since": some(8, persons, 0.1), "nobody": np.empty(0, dtype=np.int64)}
    publish(made, persons, members, **hidden)
    return made


def test_counts_are_those_of_sets(root: Path, tmp_path: Path) -> None:
    a, b, c = (set(some(seed, 2_500_000, 0.01 * seed).tolist()) for seed in (1, 2, 3))
    wanted = {
        "a": len(a),
        "a & b - c": len((a & b) - c),
        "a | b & c": len(a | (b & c)),
        "a - (b | c)": len(a - (b | c)),
        "everyone - a": 2_500_000 - len(a),
        "a & nobody": 0,
    }
    found = counted(root, tmp_path, *wanted)
    assert found["counts"] == wanted
    assert (found["number"], found["snapshot_id"], found["tags_behind"]) == (1, "s1", 1)
    assert found["age_s"] > 0
    sizes = counted(root, tmp_path)["counts"]
    assert sizes == {"a": len(a), "b": len(b), "c": len(c), "nobody": 0}, "sensitive ones are not shown"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a & kids", "audiences of sensitive classes are not counted here: kids"),
        ("since", "not counted here: since"),  # of a tag that was declared sensitive afterwards
        ("a & z", "no audiences z are published; wanted: some of a, b, c, nobody and everyone"),
        ("_persons", "no audiences _persons are published"),
        ("a +", "wanted names of audiences"),
        ("(a", "found the end as word 3"),
    ],
)
def test_what_is_no_question_is_refused(root: Path, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TerminalError) as raised:
        counted(root, tmp_path, text)
    assert said in str(raised.value)


def test_a_size_that_is_not_the_published_one_is_no_answer(tmp_path: Path) -> None:
    publish(tmp_path / "lake", 1000, {"a": some(1, 1000, 0.5)}, a={"persons": 3})
    with pytest.raises(RetryableError, match=r"a has [0-9]+ members, wanted 3"):
        counted(tmp_path / "lake", tmp_path, "a")


def test_random_expressions_are_taken_as_brackets_say() -> None:
    chance = random.Random(3)
    sets = {name: BitMap(chance.sample(range(50), 20)) for name in "abcd"}

    def made(depth: int) -> tuple[str, set[int]]:
        if depth == 0 or chance.random() < 0.2:
            name = chance.choice("abcd")
            return name, set(sets[name])
        (left, ours), (right, theirs) = made(depth - 1), made(depth - 1)
        sign = chance.choice("&|-")
        return f"({left} {sign} {right})", {"&": ours & theirs, "|": ours | theirs, "-": ours - theirs}[sign]

    for _ in range(200):
        text, wanted = made(4)
        assert set(members_of(parsed(text), sets)) == wanted, text
    assert set(members_of(parsed("a|b&c-d"), sets)) == (set(sets["a"]) | (set(sets["b"]) & set(sets["c"]))) - set(
        sets["d"]
    )


@pytest.mark.thorough
def test_three_audiences_of_ten_million_persons_within_a_second(tmp_path: Path) -> None:
    persons = 10_000_000
    publish(tmp_path / "lake", persons, {name: some(seed, persons, 0.3) for seed, name in enumerate("abc")})
    began = time.perf_counter()
    found = counted(tmp_path / "lake", tmp_path, "a & b - c")
    seconds = time.perf_counter() - began
    assert abs(found["counts"]["a & b - c"] / persons - 0.063) < 0.001
    assert seconds < 1, f"{seconds:.2f} s"
