"""Text without the secrets of the vault."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence

_IN_ADDRESS = re.compile(r"(\w://[^\s:/@]+:)[^\s:/@\[]+@")


def without_secrets(text: str, secrets: Mapping[str, str], before: Sequence[Mapping[str, str]] = ()) -> str:
    """The text with the name of each secret where its value stood, as it is or in base64.

    `before` are former values, which a host still has where a renewal broke off. A password in an address goes too.
    """
    named = {value: name for held in (*reversed(before), secrets) for name, value in held.items()}
    named |= {base64.b64encode(value.encode()).decode(): name for value, name in named.items()}
    # The longest first: one may begin like another.
    pattern = "|".join(re.escape(value) for value in sorted(named, key=len, reverse=True))
    shown = re.sub(pattern, lambda found: f"[{named[found[0]]}]", text) if named else text
    return _IN_ADDRESS.sub(r"\1[password]@", shown)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Filters by name."""
        return {"without_secrets": without_secrets}
