"""Tombstones: what an erased person's tokens are compared with, so that a replay brings nobody back.

A tombstone is the first 16 bytes of HMAC-SHA-256(key of tombstones, token). The key derives from the root key, by a
purpose of its own: nothing that is stored anywhere (messages, backups, exports) can be found by a tombstone without it,
and a tombstone cannot be found by a token. It holds for a span of time, so that who comes back later is a new person.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import RootKeys, load_root_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PURPOSE = "tombstone/erasure"
BYTES = 16
# The reason that refused records of erased persons have; their bytes are not kept.
ERASED = "an erased person"
# 1900-01-01: since when an identifier is held that is held for good (`core.identity_map.valid_from`).
ALWAYS_US = -2_208_988_800_000_000
_AT, _MARKED = "_at_us", "erased"

# Microseconds since 1970, half-open.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stones:
    """All tombstones in force: by the id of the key, then by tombstone, the spans in which each holds."""

    by_kid: Mapping[str, Mapping[bytes, tuple[Span, ...]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """True where there is any."""
        return bool(self.by_kid)


NO_STONES = Stones()


def tombstone(token: bytes, keys: RootKeys, kid: str) -> bytes:
    """The tombstone of a token under one of the root keys."""
    return hmac.digest(keys.derive(PURPOSE, kid), token, "sha256")[:BYTES]


def mark(rows: DataFrame, stones: Stones, *, key_file: Path, moment: str | None) -> DataFrame:
    """Add `erased`: the tokens of each row that a tombstone covers at the row's moment; mostly an empty array.

    In:  rows with `subject_token` and maybe `identifiers`; `moment`: their column of a time or day, None where there
         is none, which only identifiers that were held for good cover then.
    The key is read from its file on the executor.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415 - kernels and their tests have no need of Spark

    at = F.unix_micros(F.col(moment).cast("timestamp")) if moment else F.lit(None).cast("bigint")
    kept = [column.name for column in rows.schema.fields]
    ddl = ", ".join(f"`{column.name}` {column.dataType.simpleString()}" for column in rows.schema.fields)

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return mark_batches(batches, stones, kept, key_file=key_file)

    return rows.withColumn(_AT, at).mapInArrow(kernel, f"{ddl}, `{_MARKED}` array<binary>")


def mark_batches(
    batches: Iterable[pa.RecordBatch], stones: Stones, kept: Sequence[str], *, key_file: Path
) -> Iterator[pa.RecordBatch]:
    """The columns `kept` of the batches, and `erased`; the kernel of `mark`.

    TerminalError where the key file lacks a key of a tombstone: without it nobody could be kept out.
    """
    keys = load_root_keys(key_file)
    require_keys(keys, stones.by_kid, key_file)
    pads = {kid: keys.derive(PURPOSE, kid) for kid in stones.by_kid}
    for batch in batches:
        arrays = [*(batch.column(name) for name in kept), _erased(batch, stones, pads)]
        yield pa.RecordBatch.from_arrays(arrays, names=[*kept, _MARKED])


def require_keys(keys: RootKeys, kids: Iterable[str], key_file: Path) -> None:
    """TerminalError where a key is missing by which tombstones were made."""
    if missing := sorted(set(kids) - set(keys.by_kid)):
        raise TerminalError(
            f"root key file {key_file} has no key {', '.join(missing)}, by which tombstones of erased persons were "
            "made; restore it from your backup: without it a replay would bring them back"
        )


def tombstones_of(rows: DataFrame, kids: Sequence[str], *, key_file: Path) -> DataFrame:
    """identifier_no, kid, tombstone of each row and key. In: identifier_no, token."""
    wanted = tuple(kids)

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return tombstone_batches(batches, wanted, key_file=key_file)

    ddl = "identifier_no bigint, kid string, tombstone binary"
    return rows.select("identifier_no", "token").mapInArrow(kernel, ddl)


def tombstone_batches(
    batches: Iterable[pa.RecordBatch], kids: Sequence[str], *, key_file: Path
) -> Iterator[pa.RecordBatch]:
    """The kernel of `tombstones_of`."""
    keys = load_root_keys(key_file)
    require_keys(keys, kids, key_file)
    pads = {kid: keys.derive(PURPOSE, kid) for kid in kids}
    for batch in batches:
        tokens = batch.column("token").to_pylist()
        for kid, pad in pads.items():
            found = [hmac.digest(pad, token, "sha256")[:BYTES] for token in tokens]
            arrays = [batch.column("identifier_no"), pa.array([kid] * len(tokens), pa.string())]
            yield pa.RecordBatch.from_arrays(
                [*arrays, pa.array(found, pa.binary())], names=["identifier_no", "kid", "tombstone"]
            )


def covers(spans: Iterable[Span], at_us: int | None, *, is_subject: bool) -> bool:
    """Whether one of the spans holds at a moment (None: unknown).

    What was held for a time (a shared device) covers what it is the subject of, and nothing that only lists it: the
    row is another's.
    """
    for since, until in spans:
        is_for_good = since == ALWAYS_US
        holds = is_for_good if at_us is None else since <= at_us < until
        if holds and (is_subject or is_for_good):
            return True
    return False


def _erased(batch: pa.RecordBatch, stones: Stones, pads: Mapping[str, bytes]) -> pa.ListArray:
    """Of each row its tokens that are covered."""
    tokens, rows = _tokens_of(batch)
    encoded = pc.dictionary_encode(tokens)
    known = {
        place: spans
        for place, token in enumerate(encoded.dictionary.to_pylist())
        if token is not None and (spans := _spans_of(token, stones, pads))
    }
    found: dict[int, set[bytes]] = {}
    if known:
        indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        at = batch.column(_AT)
        for place in np.flatnonzero(np.isin(indices, list(known))).tolist():
            row = int(rows[place])
            if covers(known[int(indices[place])], at[row].as_py(), is_subject=place < batch.num_rows):
                found.setdefault(row, set()).add(tokens[place].as_py())
    return pa.array([sorted(found.get(row, ())) for row in range(batch.num_rows)], pa.list_(pa.binary()))


def _tokens_of(batch: pa.RecordBatch) -> tuple[pa.Array, NDArray[np.int64]]:
    """All tokens of a batch, and the row of each: first the subjects, one a row, then what rows list."""
    subjects = batch.column("subject_token")
    own = np.arange(batch.num_rows, dtype=np.int64)
    if "identifiers" not in batch.schema.names:
        return subjects, own
    listed = batch.column("identifiers")
    others = pc.list_flatten(listed).field("token")
    rows = pc.list_parent_indices(listed).to_numpy(zero_copy_only=False).astype(np.int64)
    return pa.concat_arrays([subjects, others.cast(subjects.type)]), np.concatenate([own, rows])


def _spans_of(token: bytes, stones: Stones, pads: Mapping[str, bytes]) -> tuple[Span, ...]:
    found: tuple[Span, ...] = ()
    for kid, known in stones.by_kid.items():
        found += known.get(hmac.digest(pads[kid], token, "sha256")[:BYTES], ())
    return found
