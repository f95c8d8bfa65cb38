"""Ids of events that the platform derives itself, the same from history and from the live stream."""

from __future__ import annotations

import uuid

# Random, fixed for ever: another value would give every purchase a second event.
EVENT_NAMESPACE = uuid.UUID("6f0f3c52-5f0b-4d67-9d0c-2f7d1a3be8a4")


def purchase_event_id(workspace_id: str, order_id: str, store_id: str) -> str:
    """The id of the one purchase event of an order: a UUIDv5 of workspace, order and store."""
    return str(uuid.uuid5(EVENT_NAMESPACE, f"{workspace_id}/{order_id}/{store_id}"))
