"""Posts to a receiver: each at least once, always with the same idempotency key, so that it can tell a repetition.

What it answers with 408, 425, 429 or 5xx, and what does not reach it, is tried again with growing pauses; any other
answer that is no success is for good: the receiver has seen it and refuses it. Redirections are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlsplit

import pyarrow as pa

from spark_jobs.errors import TerminalError

SCHEMA = "accepted bigint, refused bigint, failed bigint, said string"
KEY_HEADER, SIGNATURE_HEADER = "Idempotency-Key", "Databank-Signature"
TIMEOUT_S = 10.0
_TRY_AGAIN = (408, 425, 429)


class _UnreachableError(Exception):
    """The receiver did not take a post that it may take later."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where to post, the file of the key that posts are signed with, and the pauses between attempts, in seconds."""

    url: str
    key_file: Path
    pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)

    @property
    def parts(self) -> SplitResult:
        """The URL in parts; TerminalError where it is none that can be posted to."""
        parts = urlsplit(self.url)
        try:
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number
            is_address = False
        if not is_address or parts.username or parts.fragment:
            raise TerminalError(
                "[triggers] webhook_url is no address to post to; wanted http(s)://HOST[:PORT]/PATH, without a password"
            )
        return parts

    def secret(self) -> bytes:
        """The key; TerminalError where it cannot be read or is too short to keep anything."""
        try:
            key = self.key_file.read_bytes().strip()
        except OSError as error:
            raise TerminalError(
                f"key file {self.key_file} cannot be read: {error.strerror}; run as the platform's user"
            ) from error
        if len(key) < 16:
            raise TerminalError(f"key file {self.key_file} holds {len(key)} bytes, wanted 16 or more")
        return key


def poster(hook: Hook) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The kernel: rows of key and value (texts). Out: one row of SCHEMA, what became of all that it was given.

    After the first that does not reach the receiver no other is tried: they have `failed` as well.
    """

    def post(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts, said = {"accepted": 0, "refused": 0, "failed": 0}, ""
        with _Receiver(hook) as receiver:
            for batch in batches:
                keys, values = batch.column("key").to_pylist(), batch.column("value").to_pylist()
                for number, (key, value) in enumerate(zip(keys, values, strict=True)):
                    if said:
                        counts["failed"] += len(keys) - number
                        break
                    try:
                        counts["accepted" if receiver.takes(key, value) else "refused"] += 1
                    except _UnreachableError as error:
                        counts["failed"] += 1
                        said = str(error)
        if sum(counts.values()):
            yield pa.RecordBatch.from_pylist([{**counts, "said": said}], schema=_ARROW)

    return post


_ARROW = pa.schema([("accepted", pa.int64()), ("refused", pa.int64()), ("failed", pa.int64()), ("said", pa.string())])


class _Receiver:
    """One connection, kept open between posts."""

    def __init__(self, hook: Hook) -> None:
        self._hook, self._secret, parts = hook, hook.secret(), hook.parts
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def takes(self, key: str, value: str) -> bool:
        """Whether it accepts the post, or else refuses it for good."""
        body = value.encode()
        headers = headers_of(key, body, self._secret)
        said = ""
        for pause_s in (0.0, *self._hook.pauses_s):
            time.sleep(pause_s)
            status, said = self._answer(body, headers)
            if 200 <= status < 300:
                return True
            if status and status not in _TRY_AGAIN and status < 500:
                return False
        raise _UnreachableError(said)

    def _answer(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Status, 0 where there was none, and what to say of it."""
        try:
            self._connection.request("POST", self._path, body, dict(headers))
            response = self._connection.getresponse()
            response.read()
        except (HTTPException, OSError) as error:
            self._connection.close()  # the next request opens it again
            return 0, type(error).__name__
        return response.status, f"status {response.status}"


def headers_of(key: str, body: bytes, secret: bytes) -> dict[str, str]:
    """Headers of a post: the key, hashed, as its text may hold what no header can; the signature of the body."""
    return {
        "Content-Type": "application/json",
        KEY_HEADER: hashlib.sha256(key.encode()).hexdigest()[:32],
        SIGNATURE_HEADER: f"sha256={hmac.new(secret, body, 'sha256').hexdigest()}",
    }
