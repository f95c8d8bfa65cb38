"""Identifiers become tokens: the first 16 bytes of HMAC-SHA-256(key of the type, scope, 0x00, normalised value)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, normalise, refusal
from spark_jobs.protection.keys import RootKeys, load_root_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TOKEN_BYTES = 16


class Tokeniser:
    """Makes tokens with the active key; keys by type are derived once."""

    def __init__(self, keys: RootKeys) -> None:
        """Derive the key of every declared type."""
        self.kid = keys.active
        # A keyed context is copied for each value: half the cost of starting an HMAC anew.
        self._contexts = {
            name: hmac.new(keys.derive(f"token/{name}"), digestmod=hashlib.sha256) for name in IDENTIFIER_TYPES
        }

    def token(self, type_name: str, scope: str, value: str) -> bytes:
        """The token of a good value; KeyError for an undeclared type. Check `refusal` first."""
        context = self._contexts[type_name].copy()
        context.update(scope.encode() + b"\x00" + normalise(type_name, value).encode())
        return context.digest()[:TOKEN_BYTES]


@dataclass(frozen=True, slots=True)
class TokenColumn:
    """Replace the clear text column `source` by the binary column `target`; refused values become null.

    `reason`, where given, names a text column that says why a value that was there has no token.
    """

    source: str
    target: str
    type_name: str
    scope: str
    reason: str


def tokenise(rows: DataFrame, columns: Sequence[TokenColumn], *, key_file: Path) -> DataFrame:
    """Replace clear identifiers by tokens before anything is written or shuffled.

    In:  any rows; each `source` is text.
    Out: the same rows; without the `source` columns, with `target` (16 bytes or null) and `reason` (null where good).
    The key is read from its file on the executor: it enters no plan, setting or closure.
    """
    kept = [name for name in rows.columns if name not in {column.source for column in columns}]
    fields = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in rows.schema.fields if f.name in kept)
    added = ", ".join(f"`{c.target}` binary, `{c.reason}` string" for c in columns)
    wanted = tuple(columns)

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return tokenise_batches(batches, wanted, kept, key_file=key_file)

    return rows.mapInArrow(kernel, ", ".join(part for part in (fields, added) if part))


def tokenise_batches(
    batches: Iterable[pa.RecordBatch], columns: Sequence[TokenColumn], kept: Sequence[str], *, key_file: Path
) -> Iterator[pa.RecordBatch]:
    """The batches with tokens in place of clear values; the kernel of `tokenise`."""
    tokeniser = Tokeniser(load_root_keys(key_file))
    for batch in batches:
        yield replace_columns(batch, columns, kept, tokeniser=tokeniser)


def replace_columns(
    batch: pa.RecordBatch, columns: Sequence[TokenColumn], kept: Sequence[str], *, tokeniser: Tokeniser
) -> pa.RecordBatch:
    """One batch with tokens in place of clear values; each distinct value is hashed once."""
    arrays = [batch.column(name) for name in kept]
    names = list(kept)
    for column in columns:
        tokens, reasons = _tokens_of(batch.column(column.source), column, tokeniser)
        arrays += [tokens, reasons]
        names += [column.target, column.reason]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _tokens_of(values: pa.Array, column: TokenColumn, tokeniser: Tokeniser) -> tuple[pa.Array, pa.Array]:
    encoded = pc.dictionary_encode(values)
    tokens: list[bytes | None] = []
    reasons: list[str | None] = []
    for value in encoded.dictionary.to_pylist():
        reason = "missing" if value == "" else refusal(column.type_name, value)
        reasons.append(reason)
        tokens.append(None if reason else tokeniser.token(column.type_name, column.scope, value))
    by_index = encoded.indices
    return (
        pa.array(tokens, pa.binary()).take(by_index),
        pa.array(reasons, pa.string()).take(by_index),
    )
