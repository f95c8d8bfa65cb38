"""The root key file and the keys derived from it (HKDF-SHA-256, RFC 5869)."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from spark_jobs.errors import TerminalError

KEY_BYTES = 32
FORMAT = 1


@dataclass(frozen=True, slots=True)
class RootKeys:
    """Root keys by key id; the active one makes new tokens and seals. Never printed: repr hides the bytes."""

    active: str
    by_kid: dict[str, bytes] = field(repr=False)

    def derive(self, purpose: str, kid: str | None = None) -> bytes:
        """32 bytes for one purpose, such as `token/phone` or `seal/quarantine`."""
        root = self.by_kid[kid or self.active]
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"databank/{purpose}".encode()).derive(root)


def create_root_key_file(path: Path) -> None:
    """Write a new random root key, readable by its owner only; an existing file is an error, never replaced."""
    content = {
        "format": FORMAT,
        "active": "k1",
        "keys": {"k1": base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


@lru_cache(maxsize=8)
def load_root_keys(path: Path) -> RootKeys:
    """Read the root key file once a process; TerminalError where it is missing, open to others or broken."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TerminalError(
            f"root key file {path} cannot be read: {error.strerror}; restore it from your backup"
        ) from error
    if mode & 0o077:
        raise TerminalError(f"root key file {path} has mode {mode:04o}, wanted 0600; run `chmod 600` on it")
    try:
        return _parse(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The text of the error could quote the file: name its kind only.
        raise TerminalError(
            f"root key file {path} is broken ({type(error).__name__}); restore it from your backup"
        ) from None


def _parse(content: dict[str, object]) -> RootKeys:
    keys = content["keys"]
    if content["format"] != FORMAT or not isinstance(keys, dict):
        raise ValueError("format")
    by_kid = {kid: base64.b64decode(text, validate=True) for kid, text in keys.items()}
    active = str(content["active"])
    if active not in by_kid or any(len(key) != KEY_BYTES for key in by_kid.values()):
        raise ValueError("keys")
    return RootKeys(active=active, by_kid=by_kid)
