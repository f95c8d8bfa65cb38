"""Who may ask: API keys, of which the store knows only a hash, with scopes, workspaces and a rate."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import get_args

from services.profiles.database import Database, Row, Value
from services.profiles.generations import now_text
from spark_jobs.errors import TerminalError
from spark_jobs.tagging.definitions import Sensitivity

READ = "profiles:read"
SENSITIVE = "sensitive:"
# One for reading, one for each sensitive class.
SCOPES = (READ, *(f"{SENSITIVE}{name}" for name in get_args(Sensitivity) if name != "none"))
EVERY_WORKSPACE = "*"
# For so long a key that was revoked is still let in.
REFRESH_S = 2.0
_KEY = re.compile(r"dbk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_COLUMNS = "key_id, digest, name, scopes, workspaces, rate, burst, created_at, expires_at, revoked_at"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key may do: scopes, workspaces (`*` for all), persons a second on average and at once."""

    name: str
    scopes: frozenset[str]
    workspaces: frozenset[str]
    rate: float
    burst: int

    @property
    def classes(self) -> frozenset[str]:
        """The sensitive classes that may be shown."""
        return frozenset(one.removeprefix(SENSITIVE) for one in self.scopes if one.startswith(SENSITIVE))

    def enters(self, workspace: str) -> bool:
        """Whether it may ask about a workspace."""
        return EVERY_WORKSPACE in self.workspaces or workspace in self.workspaces


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the store knows it; `digest` is SHA-256 of a secret of 256 random bits, which nobody guesses."""

    key_id: str
    digest: str = field(repr=False)
    grant: Grant
    created_at: str
    expires_at: str | None
    revoked_at: str | None

    def is_valid(self, at: str) -> bool:
        """Whether it opens at this instant (ISO, UTC)."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


def create(database: Database, grant: Grant, *, days: int | None = None) -> tuple[str, str]:
    """Make a key: its id and the whole of it, which is shown this once; TerminalError for scopes that there are not."""
    if unknown := sorted(grant.scopes - set(SCOPES)):
        raise TerminalError(f"no such scopes: {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    if not grant.workspaces or grant.rate <= 0 or grant.burst < 1:
        raise TerminalError("a key needs a workspace (or *), a rate above 0 and a burst of 1 or more")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    expires = None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="microseconds")
    values: list[Value] = [key_id, _digest(secret), grant.name, json.dumps(sorted(grant.scopes))]
    rest: list[Value] = [json.dumps(sorted(grant.workspaces)), grant.rate, grant.burst, now_text(), expires]
    marks = ", ".join("?" for _ in (*values, *rest))
    database.run(f"INSERT INTO api_keys ({_COLUMNS.removesuffix(', revoked_at')}) VALUES ({marks})", [*values, *rest])
    return key_id, f"dbk_{key_id}_{secret}"


def revoke(database: Database, key_id: str) -> None:
    """Let a key in no more; TerminalError where there is none of this id that is in force."""
    if not database.run(
        "UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL", [now_text(), key_id]
    ):
        raise TerminalError(f"no key {key_id!r} is in force; `./databank profiles key list` shows all")


def forget(database: Database, key_id: str) -> None:
    """Take a key out altogether, as if it had never been: for one that a program made for itself."""
    database.run("DELETE FROM api_keys WHERE key_id = ?", [key_id])


def every_key(database: Database) -> list[ApiKey]:
    """All keys, oldest first."""
    return [_key(row) for row in database.rows(f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at, key_id")]


class KeyRing:
    """The keys, read anew when they are older than REFRESH_S; no request asks the store for its key."""

    def __init__(self, database: Database) -> None:
        """Nothing is read yet."""
        self._database = database
        self._read_at = float("-inf")
        self._keys: dict[str, ApiKey] = {}

    def is_stale(self) -> bool:
        """Whether the next look should be preceded by `refresh`."""
        return time.monotonic() - self._read_at > REFRESH_S

    def refresh(self) -> None:
        """Read all keys; where the store does not answer, an error, and nobody is let in by what was known before."""
        self._keys = {key.key_id: key for key in every_key(self._database)}
        self._read_at = time.monotonic()

    def opened_by(self, given: str) -> ApiKey | None:
        """The key that was given, if it is one that is in force."""
        parts = _KEY.fullmatch(given)
        known = self._keys.get(parts[1]) if parts else None
        if parts is None or known is None or not hmac.compare_digest(known.digest, _digest(parts[2])):
            return None
        return known if known.is_valid(now_text()) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Row) -> ApiKey:
    key_id, digest, name, scopes, workspaces, rate, burst, created_at, expires_at, revoked_at = row
    allowed, entered = (frozenset(json.loads(str(text))) for text in (scopes, workspaces))
    grant = Grant(str(name), allowed, entered, float(rate or 0), int(burst or 0))
    ends = (None if at is None else str(at) for at in (expires_at, revoked_at))
    return ApiKey(str(key_id), str(digest), grant, str(created_at), *ends)
