"""Chance by name: the same seed and names give the same draws on every machine and in any order of persons."""

from __future__ import annotations

import hashlib
import random
import uuid

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def digest(seed: int, *names: object) -> bytes:
    """64 bytes that depend on every name."""
    text = "\x1f".join(str(name) for name in (seed, *names))
    return hashlib.blake2b(text.encode()).digest()


def draws(seed: int, *names: object) -> random.Random:
    """A generator of its own for these names."""
    return random.Random(int.from_bytes(digest(seed, *names)[:16]))


def share(seed: int, *names: object) -> float:
    """One number in [0, 1) for these names."""
    return int.from_bytes(digest(seed, *names)[:6]) / 2**48


def uuid_text(seed: int, *names: object) -> str:
    """A UUID of version 4's form."""
    return str(uuid.UUID(bytes=digest(seed, *names)[:16], version=4))


def letters(length: int, seed: int, *names: object) -> str:
    """Text of the 64 characters that WeChat's ids are made of."""
    return "".join(_ALPHABET[byte % 64] for byte in digest(seed, *names)[:length])
