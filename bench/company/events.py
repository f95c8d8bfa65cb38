"""An event as a site sends it, identifiers in clear, with the person who did it for the truth only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

from bench.company.places import WORKSPACE, Place

Identifier = tuple[str, str, str]  # type, scope, value


@dataclass(frozen=True, slots=True)
class Event:
    """`identifiers` are the person's own, `junk` mean nobody and ride along; `person` is never sent."""

    event_id: str
    person: str
    name: str
    occurred_at: datetime
    place: Place
    identifiers: tuple[Identifier, ...]
    is_authenticated: bool
    session_key: str | None
    channel: str
    campaign: str | None = None
    properties: dict[str, object] = field(default_factory=dict)
    junk: tuple[Identifier, ...] = ()


def as_line(event: Event) -> str:
    """The event as one line of JSON, without its end."""
    return json.dumps(
        {
            "event_id": event.event_id,
            "workspace_id": WORKSPACE,
            "source": event.place.source,
            "name": event.name,
            "occurred_at": event.occurred_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "identifiers": [
                {"type": kind, "scope": scope, "value": value}
                for kind, scope, value in (*event.identifiers, *event.junk)
            ],
            "authenticated": event.is_authenticated,
            "session_key": event.session_key,
            "touchpoint": {
                "app": event.place.app,
                "terminal": event.place.terminal,
                "channel": event.channel,
                "campaign": event.campaign,
            },
            "properties": event.properties,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
