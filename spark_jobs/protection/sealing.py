"""Sealing: refused bytes are kept, encrypted with AES-256-GCM under a key derived from the root key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import RootKeys, load_root_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PURPOSE = "seal/quarantine"
NONCE_BYTES = 12


def seal(content: bytes, keys: RootKeys) -> bytes:
    """Nonce, ciphertext and tag in one; a fresh random nonce each time."""
    return _sealed(AESGCM(keys.derive(PURPOSE)), content)


def unseal(sealed: bytes, keys: RootKeys, *, kid: str) -> bytes:
    """The bytes that were sealed; cryptography.exceptions.InvalidTag where a bit was changed."""
    return _opened(AESGCM(keys.derive(PURPOSE, kid)), sealed)


def seal_column(rows: DataFrame, name: str, *, key_file: Path) -> DataFrame:
    """Replace the binary column `name` by its sealed bytes and add `kid`; refusals are few, so a loop is enough.

    Out: the same rows, `name` sealed, one more column `kid`. The key is read on the executor from its file.
    """
    kept = [field for field in rows.schema.fields if field.name != name]
    ddl = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in kept)

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return seal_batches(batches, name, key_file=key_file)

    return rows.mapInArrow(kernel, f"{ddl}, `{name}` binary, kid string")


def seal_batches(batches: Iterable[pa.RecordBatch], name: str, *, key_file: Path) -> Iterator[pa.RecordBatch]:
    """The batches with column `name` sealed and moved last but one, and `kid` behind it."""
    keys = load_root_keys(key_file)
    cipher = AESGCM(keys.derive(PURPOSE))
    for batch in batches:
        kept = [column for column in batch.schema.names if column != name]
        sealed = [_sealed(cipher, value) for value in batch.column(name).drop_null().to_pylist()]
        is_there = batch.column(name).is_valid()
        placed = pc.replace_with_mask(pa.nulls(batch.num_rows, pa.binary()), is_there, pa.array(sealed, pa.binary()))
        arrays = [*(batch.column(column) for column in kept), placed]
        arrays.append(pa.array([keys.active] * batch.num_rows, pa.string()))
        yield pa.RecordBatch.from_arrays(arrays, names=[*kept, name, "kid"])


def unseal_column(rows: DataFrame, name: str, *, key_file: Path) -> DataFrame:
    """Open the sealed binary column `name` by the key that `kid` names: the reverse of `seal_column`.

    Out: the same rows, `name` in clear, without `kid`. They must not be shuffled, cached or written as they are.
    """
    kept = [field for field in rows.schema.fields if field.name not in (name, "kid")]
    ddl = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in kept)

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return unseal_batches(batches, name, key_file=key_file)

    return rows.mapInArrow(kernel, f"{ddl}, `{name}` binary")


def unseal_batches(batches: Iterable[pa.RecordBatch], name: str, *, key_file: Path) -> Iterator[pa.RecordBatch]:
    """The batches with column `name` in clear and last, without `kid`; TerminalError where a key is missing."""
    keys = load_root_keys(key_file)
    for batch in batches:
        sealed, kids = batch.column(name).to_pylist(), batch.column("kid").to_pylist()
        if unknown := sorted(set(kids) - set(keys.by_kid)):
            raise TerminalError(
                f"root key file {key_file} has no key {', '.join(unknown)}; restore it from your backup"
            )
        ciphers = {kid: AESGCM(keys.derive(PURPOSE, kid)) for kid in set(kids)}
        opened = [_opened(ciphers[kid], value) for kid, value in zip(kids, sealed, strict=True)]
        kept = [column for column in batch.schema.names if column not in (name, "kid")]
        arrays = [*(batch.column(column) for column in kept), pa.array(opened, pa.binary())]
        yield pa.RecordBatch.from_arrays(arrays, names=[*kept, name])


def _sealed(cipher: AESGCM, content: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, content, None)


def _opened(cipher: AESGCM, sealed: bytes) -> bytes:
    return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
