"""Checks of parsed YAML that collect every problem, so that an author mends a file once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

# Key to whether it must be there: what the readers go by, and what the JSON Schemas are made of.
Keys = Mapping[str, bool]

MOST_DECIMALS = 9


@dataclass(slots=True)
class Findings:
    """The problems of one file; readers add to it and go on."""

    file: str
    problems: list[str] = field(default_factory=list)

    def add(self, where: str, problem: str) -> None:
        """Note one problem at a place such as `measures.orders`."""
        self.problems.append(f"{self.file}: {where}: {problem}" if where else f"{self.file}: {problem}")

    def mapping(self, raw: object, where: str, keys: Keys) -> dict[str, object]:
        """The mapping with its known keys; unknown, missing and badly typed ones become problems."""
        required = [key for key, is_required in keys.items() if is_required]
        if not isinstance(raw, dict):
            self.add(where, f"found {shown(raw)}, wanted a mapping with {listed(required)}")
            return {}
        for key in raw:
            if key not in keys:
                self.add(where, f"unknown key {shown(key)}; keys that exist: {listed(keys)}")
        for key in sorted(set(required) - set(raw)):
            self.add(where, f"missing key '{key}'")
        return {key: value for key, value in raw.items() if key in keys}

    def text(self, raw: object, where: str, *, is_needed: bool = False) -> str:
        """A text that is not empty, or a problem; YAML turns yes, no and numbers into other things unless quoted.

        Nothing at all is a problem only where nobody else says that it is missing.
        """
        if isinstance(raw, str) and raw.strip():
            return raw.strip()
        if raw is not None or is_needed:
            self.add(where, f"found {shown(raw)}, wanted text{'' if isinstance(raw, str) else ' (quote it)'}")
        return ""

    def choice(self, raw: object, where: str, choices: Collection[str], *, what: str) -> str | None:
        """One of the choices, or a problem that lists them."""
        if isinstance(raw, str) and raw in choices:
            return raw
        if raw is not None:
            self.add(where, f"unknown {what} {shown(raw)}; those that exist: {listed(choices)}")
        return None

    def true_or_false(self, raw: object, where: str) -> bool:
        """True or false, or a problem."""
        if not isinstance(raw, bool):
            self.add(where, f"found {shown(raw)}, wanted true or false")
        return raw is True

    def entries(self, raw: object, where: str) -> Mapping[str, object]:
        """A mapping from names to anything."""
        if isinstance(raw, dict) and raw and all(isinstance(key, str) for key in raw):
            return raw
        self.add(where, f"found {shown(raw)}, wanted a mapping from names, at least one")
        return {}

    def decimal(self, raw: object, where: str) -> Decimal:
        """A number, exactly as it is written, or a problem."""
        try:
            number = Decimal(str(raw))
            if not isinstance(raw, bool) and number.is_finite() and number == round(number, MOST_DECIMALS):
                return number.normalize()
        except InvalidOperation:
            pass
        self.add(where, f"found {shown(raw)}, wanted a number of at most {MOST_DECIMALS} decimals")
        return Decimal(0)

    def scaled(self, raw: object, decimals: int, where: str) -> int:
        """A number in units of the last of so many decimals, or a problem."""
        scaled = self.decimal(raw, where).scaleb(decimals)
        if scaled != scaled.to_integral_value():
            self.add(where, f"found {shown(raw)}, wanted at most {decimals} decimals")
        elif abs(scaled) >= 2**62:
            self.add(where, f"found {shown(raw)}, wanted a number that can occur")
            return 0
        return int(scaled)

    def share(self, raw: object, where: str) -> Decimal:
        """A share from 0 to 1, or a problem."""
        share = self.decimal(raw, where)
        if 0 <= share <= 1:
            return share
        self.add(where, f"found {shown(raw)}, wanted a share from 0 to 1")
        return Decimal(0)


def shown(raw: object) -> str:
    """A found value in a message, with its type where the text alone would mislead."""
    return repr(raw) if isinstance(raw, str) or raw is None else f"{raw!r} ({type(raw).__name__})"


def listed(names: Collection[str]) -> str:
    """Names in order, as a message shows them."""
    return ", ".join(sorted(names)) or "none"
