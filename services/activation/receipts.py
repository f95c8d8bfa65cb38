"""What receivers tell of messages becomes events of the persons, in the topic that all events go into."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass

from services.activation.adapters import Adapter, Receipt
from services.activation.store import Store, Subject

# Random, fixed for ever: another value would give every receipt a second event.
_NAMESPACE = uuid.UUID("0b8f3f0e-8a44-4c0e-9d0f-6a0a5b6d6c1e")
SOURCE = "activation"


@dataclass(frozen=True, slots=True)
class Taken:
    """Events that were sent, receipts of messages that nobody knows, lines that are no receipts."""

    events: int = 0
    unknown: int = 0
    refused: int = 0


def take_in(adapter: Adapter, store: Store, put: Callable[[bytes, bytes], None], flush: Callable[[], None]) -> Taken:
    """Send an event for each receipt; what the adapter gave is settled once all its events are acknowledged.

    A repetition sends the same events again, with the same ids: they are taken in once.
    """
    taken = Taken()
    for piece in adapter.receipts():
        subjects = store.subjects(sorted({receipt.key for receipt in piece.found}))
        known = [(receipt, subjects[receipt.key]) for receipt in piece.found if receipt.key in subjects]
        for receipt, subject in known:
            key, value = event_of(receipt, subject)
            put(value, key)
        flush()
        piece.done()
        unknown = len(piece.found) - len(known)
        taken = Taken(taken.events + len(known), taken.unknown + unknown, taken.refused + piece.refused)
    return taken


def event_of(receipt: Receipt, subject: Subject) -> tuple[bytes, bytes]:
    """Key and value of the message of an event, `message_STATUS`."""
    at = receipt.at.isoformat()
    event_id = uuid.uuid5(_NAMESPACE, f"{receipt.key}/{receipt.status}/{at}")
    content = {
        "event_id": str(event_id),
        "workspace_id": subject.workspace,
        "source": SOURCE,
        "name": f"message_{receipt.status}",
        "occurred_at": at,
        "authenticated": False,
        "touchpoint": {"campaign": subject.campaign},
        "identifiers": [{"type": subject.type, "scope": subject.scope, "token": subject.token}],
        "properties": {"message_key": receipt.key},
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return f"{subject.workspace}/{subject.token}".encode(), text.encode()


def as_facts(taken: Taken) -> dict[str, object]:
    """For people and programs."""
    return dict(asdict(taken))
