"""Sealed bytes of refused records: opened in memory, searched for an erased person's identifiers, and dropped if found.

Found are tokens as messages spell them, and values in clear that stand by themselves: between quotes, commas, blanks,
tabs, brackets and the like. Not found are values that the record writes in another way than a person would (in a text,
in Base64, in an encoding that is not UTF-8). A value that another record has by chance (a quantity of 1001 where a
member number is 1001) takes that record's bytes as well; the record keeps its place and its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.identifiers import MAX_LENGTH, refusal
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.erasure.finding import STAYS
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import unseal_batches
from spark_jobs.protection.tokens import Tokeniser

_HEX = re.compile(r"[0-9a-f]{32}")
_BETWEEN = re.compile(r"[\s,;|\"'<>=&?{}\[\]()]+")
_OWN_KID = "_kid"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tokens to look for, by type and scope."""

    by_kind: Mapping[tuple[str, str], AbstractSet[bytes]]

    @property
    def digits(self) -> frozenset[str]:
        """All of them as messages spell them."""
        return frozenset(token.hex() for tokens in self.by_kind.values() for token in tokens)


def sealed_rows(rows: DataFrame, wanted: Wanted, *, key_file: Path) -> DataFrame:
    """Rows of `quarantine.rows` whose bytes name an erased person, without the bytes, and STAYS, which is true."""
    columns = QUARANTINE_ROWS.column_names
    with_kid = rows.where(F.col("sealed").isNotNull()).select(*columns, F.col("kid").alias(_OWN_KID))
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in QUARANTINE_ROWS.types.items())
    found = with_kid.mapInArrow(opening(wanted, key_file=key_file), ddl)
    return found.withColumn(STAYS, F.lit(True))


def opening(wanted: Wanted, *, key_file: Path) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The kernel: rows of the contract and `_kid`, a copy of `kid`; out: those that name somebody, `sealed` null."""

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokeniser, digits = Tokeniser(load_root_keys(key_file)), wanted.digits
        for batch in unseal_batches(batches, "sealed", key_file=key_file):
            contents = batch.column("sealed").to_pylist()
            places = [n for n, one in enumerate(contents) if names_one_of(one, wanted, digits, tokeniser)]
            taken = pa.array(places, pa.int64())
            held = {name: batch.column(name).take(taken) for name in batch.schema.names if name != "sealed"}
            held |= {"sealed": pa.nulls(len(places), pa.binary()), "kid": held[_OWN_KID]}
            names = QUARANTINE_ROWS.column_names
            yield pa.RecordBatch.from_arrays([held[name] for name in names], names=list(names))

    return kernel


def names_one_of(content: bytes, wanted: Wanted, digits: AbstractSet[str], tokeniser: Tokeniser) -> bool:
    """Whether a record names one of the identifiers, by its token or in clear."""
    text = content.decode("utf-8", errors="replace")
    if not digits.isdisjoint(_HEX.findall(text.lower())):
        return True
    pieces = {piece for piece in _BETWEEN.split(text) if 0 < len(piece) <= MAX_LENGTH}
    return any(
        tokeniser.token(kind, scope, piece) in tokens
        for (kind, scope), tokens in wanted.by_kind.items()
        for piece in pieces
        if refusal(kind, piece) is None
    )
