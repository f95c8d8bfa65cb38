"""Identifiers that belong to nobody, whatever was seen of them: values on the blocklist, types that nobody declared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.identity.declared import Blocked, Rules
from spark_jobs.identity.rules import BLOCKLISTED, UNDECLARED, is_declared
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

Token = tuple[str, str, bytearray]
BLOCKED_ROWS = "type string, scope string, token binary"
# Values times the scopes in which they count.
MOST_TOKENS = 1_000_000


def blocked_tokens(rules: Rules, scopes: Iterable[tuple[str, str]], key_file: Path) -> list[Token]:
    """type, scope, token of every blocked value in every scope in which it counts.

    In: the types and scopes that occur among identifiers. TerminalError where there are more than a list should have.
    """
    tokeniser = Tokeniser(load_root_keys(key_file)) if rules.holds_clear_values else None
    found: list[Token] = []
    for kind, scope in sorted(scopes):
        if kind not in rules.names:
            continue
        mine = [one for one in rules.blocked if one.type in (None, kind) and one.scope in (None, scope)]
        found += [(kind, scope, bytearray(_token(one, kind, scope, tokeniser))) for one in mine]
        if len(found) > MOST_TOKENS:
            raise TerminalError(
                f"the blocklist's values in all their scopes are more than {MOST_TOKENS} tokens; name types and scopes "
                "in `blocked`, or take values out"
            )
    return found


def _token(one: Blocked, kind: str, scope: str, tokeniser: Tokeniser | None) -> bytes:
    if one.token is not None:
        return one.token
    assert one.value is not None
    assert tokeniser is not None
    return tokeniser.token(kind, scope, one.value)


def barred(identifiers: DataFrame, rules: Rules, blocked: DataFrame | None) -> DataFrame:
    """Add `barred`: why an identifier belongs to nobody; null where it may belong to somebody.

    In: rows of `core.identifiers`; type, scope, token of blocked ones, of which there are few, or None.
    """
    undeclared = F.when(~is_declared(F.col("type"), rules), F.lit(UNDECLARED))
    if blocked is None:
        return identifiers.withColumn("barred", undeclared)
    listed = blocked.dropDuplicates().withColumn("barred", F.lit(BLOCKLISTED))
    # listed is unique on (type, scope, token), so this join cannot add rows.
    marked = identifiers.join(F.broadcast(listed), on=["type", "scope", "token"], how="left")
    return marked.withColumn("barred", F.coalesce("barred", undeclared))
