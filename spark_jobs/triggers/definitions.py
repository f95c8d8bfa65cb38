"""What a trigger is: of what, after how long, whom it spares; YAML files, one a trigger, checked whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import time, timedelta
from decimal import Decimal
from typing import Any, Literal

Source = Literal["carts", "orders_unpaid"]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Title:
    """What people read."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Cap:
    """No person is told more than `most` triggers, of whatever name, within `days` times 24 hours."""

    most: int
    days: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """Times on the workspace's clocks between which nobody is told; `until` may lie on the next day."""

    since: time
    until: time


@dataclass(frozen=True, slots=True)
class Control:
    """The share of persons who are never told; the salt chooses which."""

    share: Decimal
    salt: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """One definition. `after` is what the cart or order waits; from `expires` on it is too late to tell of it.

    `events` make a cart and `cart_id` is the property that says which ('' where none does); events of `cancelled_by`,
    and every order of the person, end it. Of unpaid orders `cancelled_by` are steps of `core.order_changes`.
    """

    name: str
    title: Title
    owner: str
    source: Source
    events: tuple[str, ...]
    cart_id: str
    cancelled_by: tuple[str, ...]
    after: timedelta
    expires: timedelta
    cap: Cap
    quiet: Quiet | None
    control: Control
    topic: str
    webhook: bool

    @property
    def waits(self) -> str:
        """How long it waits, as rows and messages say it: `24h`."""
        return f"{self.after // HOUR}h"

    @property
    def digest(self) -> str:
        """16 hex digits of the whole definition."""
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_facts(self) -> Mapping[str, Any]:
        """What a reader of the check wants to know."""
        quiet = None if self.quiet is None else f"{self.quiet.since:%H:%M}-{self.quiet.until:%H:%M}"
        return {
            "trigger": self.name,
            "title": asdict(self.title),
            "owner": self.owner,
            "source": self.source,
            "after": self.waits,
            "expires": f"{self.expires // HOUR}h",
            "cap": asdict(self.cap),
            "quiet": quiet,
            "control": str(self.control.share),
            "topic": self.topic,
            "webhook": self.webhook,
            "definition": self.digest,
        }
