"""Checks of parsed YAML that collect every problem, so that an author mends a file once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """The problems of one file; readers add to it and go on."""

    file: str
    problems: list[str] = field(default_factory=list)

    def add(self, where: str, problem: str) -> None:
        """Note one problem at a place such as `measures.orders`."""
        self.problems.append(f"{self.file}: {where}: {problem}" if where else f"{self.file}: {problem}")

    def mapping(
        self, raw: object, where: str, *, required: Collection[str], optional: Collection[str] = ()
    ) -> dict[str, object]:
        """The mapping with its known keys; unknown, missing and badly typed ones become problems."""
        if not isinstance(raw, dict):
            self.add(where, f"found {shown(raw)}, wanted a mapping with {listed(required)}")
            return {}
        known = {*required, *optional}
        unknown = [key for key in raw if key not in known]
        for key in unknown:
            self.add(where, f"unknown key {shown(key)}; keys that exist: {listed(known)}")
        for key in sorted(set(required) - set(raw)):
            self.add(where, f"missing key '{key}'")
        return {key: value for key, value in raw.items() if key in known}

    def text(self, raw: object, where: str) -> str:
        """A text that is not empty, or a problem; YAML turns yes, no and numbers into other things unless quoted."""
        if isinstance(raw, str) and raw.strip():
            return raw.strip()
        if raw is not None:
            self.add(where, f"found {shown(raw)}, wanted text{'' if isinstance(raw, str) else ' (quote it)'}")
        return ""

    def choice(self, raw: object, where: str, choices: Collection[str], *, what: str) -> str | None:
        """One of the choices, or a problem that lists them."""
        if isinstance(raw, str) and raw in choices:
            return raw
        if raw is not None:
            self.add(where, f"unknown {what} {shown(raw)}; those that exist: {listed(choices)}")
        return None

    def entries(self, raw: object, where: str) -> Mapping[str, object]:
        """A mapping from names to anything."""
        if isinstance(raw, dict) and raw and all(isinstance(key, str) for key in raw):
            return raw
        self.add(where, f"found {shown(raw)}, wanted a mapping from names, at least one")
        return {}


def shown(raw: object) -> str:
    """A found value in a message, with its type where the text alone would mislead."""
    return repr(raw) if isinstance(raw, str) or raw is None else f"{raw!r} ({type(raw).__name__})"


def listed(names: Collection[str]) -> str:
    """Names in order, as a message shows them."""
    return ", ".join(sorted(names)) or "none"
