"""Answers that live tags have beside those of the batch: one row's text, which readers lay over the batch's values.

`[[tag number, value or null for the tag's otherwise, since], ...]`; since: the base time at which the value came to be.
"""

from __future__ import annotations

import json

from services.profiles.packing import Values

Overlay = dict[int, tuple[str | None, int]]


def read_overlay(text: str) -> Overlay:
    """The answers of a text; none of ''."""
    return {number: (value, since) for number, value, since in json.loads(text)} if text else {}


def overlay_text(overlay: Overlay) -> str:
    """The text of answers, in the order of the tags' numbers."""
    if not overlay:
        return ""
    rows = [[number, *overlay[number]] for number in sorted(overlay)]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def laid_over(values: Values, overlay: Overlay) -> Values:
    """The batch's values with the live ones in their place."""
    if not overlay:
        return values
    found = {number: held for number, held in values.items() if number not in overlay}
    found |= {number: (value, since) for number, (value, since) in overlay.items() if value is not None}
    return {number: found[number] for number in sorted(found)}
