"""Rows of persons become bitmaps where the rows lie: what moves afterwards is a bitmap a chunk, not a row a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from spark_jobs.audiences.questions import Questions, Test, is_met
from spark_jobs.people.bitmaps import Numbers, by_chunk, packed

PIECES_DDL = "part string, chunk bigint, members binary"
_NAMES = ("part", "chunk", "members")

# What a bitmap is of: all persons, who refuses profiling, a question, or an audience of the state before.
PERSONS_PART = "persons"
REFUSED_PART = "refused"
BEFORE = "before/"

# So many numbers wait until they are sorted into bitmaps: 8 MB.
_MOST_WAITING = 1 << 20
# A batch of so many bitmaps has 32 MB at most.
_BITMAPS_A_BATCH = 256
_MOST_VALUES = 100_000

Kernel = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def part_of(question: int) -> str:
    """The name of the part of the question with this number."""
    return f"question/{question}"


class Pieces:
    """Bitmaps by part and chunk, of persons who come in any order and any number of times."""

    def __init__(self) -> None:
        """Nobody is in yet."""
        self._held: dict[tuple[str, int], BitMap] = {}
        self._waiting: dict[str, list[Numbers]] = defaultdict(list)
        self._count = 0

    def add(self, part: str, person_no: Numbers) -> None:
        """These persons are in a part."""
        self._waiting[part].append(person_no)
        self._count += len(person_no)
        if self._count >= _MOST_WAITING:
            self._sort_in()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows of PIECES_DDL."""
        self._sort_in()
        held = sorted(self._held.items(), key=lambda item: item[0])
        for begin in range(0, len(held), _BITMAPS_A_BATCH):
            some = held[begin : begin + _BITMAPS_A_BATCH]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([part for (part, _), _ in some], pa.string()),
                    pa.array([chunk for (_, chunk), _ in some], pa.int64()),
                    pa.array([packed(members) for _, members in some], pa.binary()),
                ],
                names=list(_NAMES),
            )

    def _sort_in(self) -> None:
        for part, numbers in self._waiting.items():
            for chunk, members in by_chunk(np.concatenate(numbers)):
                known = self._held.get((part, chunk))
                self._held[part, chunk] = members if known is None else known | members
        self._waiting.clear()
        self._count = 0


class Asked:
    """The questions of each tag, and which of them a value meets, for the values that were met of late."""

    def __init__(self, questions: Questions) -> None:
        """Nothing is known of any value yet."""
        self._by_tag: dict[str, list[tuple[int, Test]]] = defaultdict(list)
        for number, one in enumerate(questions.every):
            self._by_tag[one.tag].append((number, one.test))
        self._met: dict[tuple[str, str], tuple[int, ...]] = {}

    def met_by(self, tag: str, value: str) -> tuple[int, ...]:
        """Numbers of the questions that a row with this value answers with yes."""
        key = (tag, value)
        if key not in self._met:
            if len(self._met) >= _MOST_VALUES:  # a distribution has nearly as many as there are persons
                self._met.clear()
            self._met[key] = tuple(number for number, test in self._by_tag.get(tag, ()) if is_met(test, value))
        return self._met[key]


def answering(questions: Questions) -> Kernel:
    """For `mapInArrow`: who answers each question with yes.

    In:  tag, value, person_no of rows of `tags.person_tags`.
    Out: rows of PIECES_DDL.
    """

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pieces = Pieces()
        asked = Asked(questions)
        for batch in batches:
            for part, person_no in _answers(batch, asked):
                pieces.add(part, person_no)
        yield from pieces.batches()

    return kernel


def gathering(part: str) -> Kernel:
    """For `mapInArrow`: all persons of a column `person_no` are in one part; PIECES_DDL."""

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pieces = Pieces()
        for batch in batches:
            pieces.add(part, batch.column("person_no").to_numpy())
        yield from pieces.batches()

    return kernel


def _answers(batch: pa.RecordBatch, asked: Asked) -> Iterator[tuple[str, Numbers]]:
    """Each question that rows of the batch answer with yes, with their persons; a tag's value is looked at once."""
    if not batch.num_rows:
        return
    tags, values = (batch.column(name).dictionary_encode() for name in ("tag", "value"))
    tag_names, value_texts = tags.dictionary.to_pylist(), values.dictionary.to_pylist()
    width = len(value_texts)
    pairs = tags.indices.to_numpy().astype(np.int64) * width + values.indices.to_numpy()
    found: dict[int, list[int]] = defaultdict(list)
    for pair in np.flatnonzero(np.bincount(pairs)).tolist():
        for number in asked.met_by(tag_names[pair // width], value_texts[pair % width]):
            found[number].append(pair)
    persons: Numbers = batch.column("person_no").to_numpy()
    for number, of_question in found.items():
        holds: npt.NDArray[np.bool_] = np.zeros(len(tag_names) * width, dtype=np.bool_)
        holds[of_question] = True
        yield part_of(number), persons[holds[pairs]]
