"""Text without the secrets of the vault."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping


def without_secrets(text: str, secrets: Mapping[str, str]) -> str:
    """The text with the name of each secret where its value stood, as it is or in base64."""
    named = {value: name for name, value in secrets.items()}
    named |= {base64.b64encode(value.encode()).decode(): name for value, name in named.items()}
    # The longest first: one may begin like another.
    pattern = "|".join(re.escape(value) for value in sorted(named, key=len, reverse=True))
    return re.sub(pattern, lambda found: f"[{named[found[0]]}]", text) if named else text


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Filters by name."""
        return {"without_secrets": without_secrets}
