"""The contract between campaigns and the systems that reach people, and two adapters: files, and one for tests.

An adapter of a real official account, SMS gateway, coupon system or site implements `Adapter`. It gets each message
with a key that never changes and may get it again after a failure: the same key is the same message.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from services.activation.campaigns import Channel
from spark_jobs.errors import TerminalError

log = logging.getLogger(__name__)

STATUSES = ("sent", "delivered", "failed", "opened", "clicked", "redeemed")
# key, type, scope: texts; token: the receiver's id of the identifier, as hex; payload: a JSON object, without these.
COLUMNS = ("key", "type", "scope", "payload", "token")


@dataclass(frozen=True, slots=True)
class Wave:
    """What goes out in one piece: the messages of one run of a campaign."""

    campaign: str
    number: int
    channel: Channel
    receiver: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message, by its key: a status of STATUSES, at a moment."""

    key: str
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Receipts:
    """Receipts of one source; `done` is called once they are all taken in, and not before."""

    found: Sequence[Receipt]
    refused: int
    done: Callable[[], None]


class Adapter(Protocol):
    """What reaches people through one receiver."""

    def send(self, wave: Wave, messages: Iterable[pa.RecordBatch]) -> int:
        """Hand over all messages of a wave, columns as in COLUMNS; how many this call handed over.

        Repeated, it must send no message twice. RetryableError where the receiver may take them later; TerminalError
        where it never will.
        """

    def receipts(self) -> Iterator[Receipts]:
        """What the receiver has told since the last time, in pieces that fit into memory."""


@dataclass(frozen=True, slots=True)
class FileAdapter:
    """Files for a receiver that takes them from a folder, and puts receipts into another.

    A wave is a file FOLDER/CAMPAIGN/NUMBER.jsonl that appears whole; one that is there is not written again. Receipts
    are lines {"key", "status", "at"} in FOLDER/receipts/*.jsonl; a file that was taken in ends in `.done`, its lines
    that were none stand in one that ends in `.refused`.
    """

    folder: Path

    def send(self, wave: Wave, messages: Iterable[pa.RecordBatch]) -> int:
        """Write the file of the wave."""
        path = self.folder / wave.campaign / f"{wave.number:06d}.jsonl"
        if path.exists():
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of two runs at once each has its own: neither puts in place what the other is still writing.
        begun, count = path.with_suffix(f".{uuid.uuid4().hex}.partial"), 0
        try:
            with begun.open("w", encoding="utf-8") as file:
                for batch in messages:
                    file.writelines(f"{line}\n" for line in lines_of(batch).to_pylist())
                    count += batch.num_rows
                file.flush()
                os.fsync(file.fileno())  # or a host that stops leaves an empty file under the final name
            begun.rename(path)
        finally:
            begun.unlink(missing_ok=True)
        return count

    def receipts(self) -> Iterator[Receipts]:
        """The receipts of each file that was not taken in yet, the oldest name first."""
        for path in sorted((self.folder / "receipts").glob("*.jsonl")):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            read = [(line, receipt_of(line)) for line in lines if line.strip()]
            wrong = [line for line, receipt in read if receipt is None]
            found = [receipt for _, receipt in read if receipt is not None]
            yield Receipts(found, len(wrong), partial(_taken, path, wrong))


def _taken(path: Path, wrong: Sequence[str]) -> None:
    if wrong:
        path.with_suffix(".refused").write_text("\n".join(wrong) + "\n", encoding="utf-8")
        log.warning("%s: %d lines are no receipts; they stand in %s.refused", path, len(wrong), path.stem)
    path.rename(path.with_suffix(".done"))


def lines_of(batch: pa.RecordBatch) -> pa.StringArray:
    """One line of JSON a message: its identifier, and the rest of its payload."""
    kinds, scopes = (pa.array(_quoted(batch.column(name)), pa.string()) for name in ("type", "scope"))
    parts = ['{"type": ', kinds, ', "scope": ', scopes, ', "id": "', batch.column("token"), '", ']
    # A payload is an object that is never empty: behind its brace the first name follows.
    return pc.binary_join_element_wise(*parts, pc.utf8_slice_codeunits(batch.column("payload"), 1), "")


def _quoted(texts: pa.StringArray) -> list[str]:
    return [json.dumps(text, ensure_ascii=False) for text in texts.to_pylist()]


def receipt_of(line: str) -> Receipt | None:
    """The receipt that a line tells of; None where it is none."""
    try:
        given = json.loads(line)
        key, status, at = given["key"], given["status"], datetime.fromisoformat(given["at"])
    except (ValueError, KeyError, TypeError):
        return None
    is_one = isinstance(key, str) and status in STATUSES and at.tzinfo is not None
    return Receipt(key, status, at.astimezone(UTC)) if is_one else None


@dataclass(slots=True)
class MockAdapter:
    """Keeps what it is given, each key once, and tells of each message that it was delivered."""

    sent: dict[str, str] = field(default_factory=dict)
    told: list[Receipt] = field(default_factory=list)

    def send(self, wave: Wave, messages: Iterable[pa.RecordBatch]) -> int:
        """Keep the lines."""
        del wave
        before = len(self.sent)
        for batch in messages:
            given = zip(batch.column("key").to_pylist(), lines_of(batch).to_pylist(), strict=True)
            new = {key: line for key, line in given if key not in self.sent}
            self.sent |= new
            self.told += [Receipt(key, "delivered", datetime.now(UTC)) for key in new]
        return len(self.sent) - before

    def receipts(self) -> Iterator[Receipts]:
        """All that nobody has taken in yet."""
        found = list(self.told)
        if found:
            yield Receipts(found, 0, self.told.clear)


def adapter_of(name: str, receiver: str, folder: Path | None) -> Adapter:
    """The adapter that a campaign names; TerminalError where it lacks what it needs."""
    if name == "mock":
        return MockAdapter()
    if folder is None:
        raise TerminalError("the adapter `file` writes into a folder; give --folder DIR")
    return FileAdapter(folder / receiver)
