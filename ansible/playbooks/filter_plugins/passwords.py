"""Hashes of passwords for the files that services read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

# What PBKDF2 with SHA-1, the one kind that Trino's password file knows, needs to be slow (OWASP, 2023).
_ITERATIONS = 1_300_000


def trino_password(password: str, salt_of: str) -> str:
    """ITERATIONS:SALT:HASH for Trino's password file; the same `salt_of` gives the same line at every run."""
    salt = hashlib.sha256(salt_of.encode()).digest()[:16]
    digest = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, _ITERATIONS, 32)
    return f"{_ITERATIONS}:{salt.hex()}:{digest.hex()}"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Filters by name."""
        return {"trino_password": trino_password}
