"""What a wave goes by: the tags, the audiences and the identity snapshot in force, and the moment."""

from __future__ import annotations

from dataclasses import dataclass

from services.audiences.published import Published as Audiences
from services.profiles.published import Published

# SQL: since when a row of identity is known, which rows are, and of these the identifiers that are held.
SINCE = "coalesce(epoch_us(system_from), -2208988800000000)"
_KNOWN = f"{SINCE} <= $snapshot_us AND (system_to IS NULL OR epoch_us(system_to) > $snapshot_us)"
HELD = f"{_KNOWN} AND epoch_us(valid_from) <= $base_us AND epoch_us(valid_to) > $base_us"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a wave goes by. snapshot_us, base_us: of identity, and of who holds what; source: see `store`.

    audiences: those in force, where the campaign goes by one; they stand on the tags `published`.
    """

    workspace: str
    published: Published | None
    snapshot_us: int
    base_us: int
    source: int
    audiences: Audiences | None = None
