"""The binary form of PostgreSQL's COPY, held to a slow and obvious writer of it; packing likewise."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pyarrow as pa
import pytest

from services.profiles import copying, packing
from services.profiles.packing import ROWS, packed_rows


def by_the_book(rows: list[tuple[Any, ...]], kinds: str) -> bytes:
    made = b""
    for row in rows:
        made += struct.pack(">h", len(row))
        for value, kind in zip(row, kinds, strict=True):
            data = value.encode() if isinstance(value, str) else value
            data = struct.pack(f">{kind}", value) if isinstance(value, int) else data
            made += struct.pack(">i", len(data)) + data
    return made


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_encoded_as_by_the_book(seed: int) -> None:
    chance = random.Random(seed)
    texts = ["", "a", "大", '"quoted"', "\n\t\\.", "x" * 300]
    rows = [
        (chance.randbytes(16), chance.randrange(-(2**63), 2**63), chance.randrange(-5, 5), chance.choice(texts))
        for _ in range(chance.randrange(40))
    ]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    types = (pa.binary(), pa.int64(), pa.int32(), pa.string())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, names=["token", "n", "i", "t"])
    assert copying.encoded(batch) == by_the_book(rows, "_qi_")
    cut = batch.slice(min(3, len(rows)), 7)  # a slice has its own beginning
    assert copying.encoded(cut) == by_the_book(rows[3:10], "_qi_")


def test_a_null_and_a_type_without_a_form_are_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        copying.encoded(pa.RecordBatch.from_arrays([pa.array(["a", None])], names=["t"]))
    with pytest.raises(TypeError, match="double"):
        copying.encoded(pa.RecordBatch.from_arrays([pa.array([1.5])], names=["d"]))


@pytest.mark.parametrize("seed", range(20))
def test_persons_are_packed_whole_wherever_batches_end(seed: int) -> None:
    chance = random.Random(seed)
    wanted = {
        person: {
            tag: (chance.choice(["true", "", '"大",\\']), chance.choice([None, 7]))
            for tag in range(chance.randrange(1, 6))
        }
        for person in sorted(chance.sample(range(100), 20))
    }
    rows = [
        {"person_no": person, "piece": json.dumps([tag, *value]), "refuses": tag == 3}
        for person, values in wanted.items()
        for tag, value in values.items()
    ]
    schema = pa.schema([("person_no", pa.int64()), ("piece", pa.string()), ("refuses", pa.bool_())])
    batches = pa.Table.from_pylist(rows, schema=schema).to_batches(max_chunksize=chance.randrange(1, 9))
    made = pa.Table.from_batches(packed_rows(batches), schema=ROWS).to_pylist()
    assert {row["person_no"]: packing.unpack(row["packed"]) for row in made} == wanted
    assert [(row["tags"], row["refused"]) for row in made] == [(len(tags), int(3 in tags)) for tags in wanted.values()]


def test_nothing_is_packed_of_nothing() -> None:
    assert list(packed_rows([])) == []
