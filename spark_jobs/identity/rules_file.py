"""`identity.yml`: the rules of One-ID in one file, checked whole; every problem is named with its place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, NORMALISERS, SHARINGS, VALIDATORS, Sharing
from spark_jobs.documents import parsed
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings, Keys, listed, shown
from spark_jobs.identity.declared import TRUSTS, Blocked, Rules, Trust, TypeRule, version_of_rules
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.settings import Settings

SHIPPED = Path(__file__).with_name("identity.yml")
RULES_KEYS: Keys = {"types": True, "blocked": True}
TYPE_KEYS: Keys = {
    "scope": True,
    "normaliser": True,
    "validator": True,
    "owner_limit": True,
    "unique_per_person": True,
    "priority": True,
    "sharing": True,
    "trust": True,
}
BLOCKED_KEYS: Keys = {"value": False, "token": False, "type": False, "scope": False, "reason": True}
MOST_OWNERS = 1_000_000
MOST_PRIORITY = 1_000
# They are compared on the driver; who has more of them has a list of identifiers, not of exceptions.
MOST_BLOCKED = 10_000
TOKEN_DIGITS = 32
# What the key of versions is derived for.
_VERSIONS = "identity/rules"


def rules_path(settings: Settings, given: Path | None) -> Path:
    """The file of the rules: the one that is named, else that of the settings, else the shipped one."""
    return given or settings.identity_rules_file or SHIPPED


def read_rules(path: Path) -> Rules:
    """The rules of a file; TerminalError lists every problem with its place."""
    findings = Findings(path.name)
    raw = parsed(path, findings.problems)
    rules = Rules(()) if findings.problems else rules_of(raw, findings)
    if findings.problems:
        lines = "\n  ".join(findings.problems)
        raise TerminalError(f"rules {path}: {len(findings.problems)} problems, nothing was computed:\n  {lines}")
    return rules


def rule_version(rules: Rules, key_file: Path) -> str:
    """The version of the rules; the key is read only where the file holds values in clear."""
    return version_of_rules(rules, load_root_keys(key_file).derive(_VERSIONS) if rules.holds_clear_values else b"")


def rules_of(raw: object, findings: Findings) -> Rules:
    """The rules of parsed YAML; what is wrong with them becomes problems."""
    given = findings.mapping(raw, "", RULES_KEYS)
    named = findings.entries(given["types"], "types") if "types" in given else {}
    types = tuple(_type(name, one, findings) for name, one in named.items())
    _together(types, findings)
    blocked = given.get("blocked", [])
    if not isinstance(blocked, list) or len(blocked) > MOST_BLOCKED:
        found = f"{len(blocked)} values" if isinstance(blocked, list) else shown(blocked)
        findings.add("blocked", f"found {found}, wanted a list of at most {MOST_BLOCKED}")
        blocked = []
    values = tuple(_blocked(one, f"blocked.{place}", set(named), findings) for place, one in enumerate(blocked))
    # A value is never named in a message: it may be somebody's.
    counted = Counter((one.value, one.token, one.type, one.scope) for one in values)
    for place, one in enumerate(values):
        if counted[one.value, one.token, one.type, one.scope] > 1:
            findings.add(f"blocked.{place}", "stands twice, wanted once")
    return Rules(types, values)


def _type(name: str, raw: object, findings: Findings) -> TypeRule:
    where = f"types.{name}"
    given = findings.mapping(raw, where, TYPE_KEYS)
    sharing = findings.choice(given.get("sharing"), f"{where}.sharing", SHARINGS, what="sharing")
    trust = findings.choice(given.get("trust"), f"{where}.trust", TRUSTS, what="trust")
    normaliser = findings.choice(given.get("normaliser"), f"{where}.normaliser", NORMALISERS, what="normaliser")
    validator = findings.choice(given.get("validator"), f"{where}.validator", VALIDATORS, what="validator")
    _as_doors_do(name, normaliser, validator, findings)
    unique = "unique_per_person" in given and findings.true_or_false(
        given["unique_per_person"], f"{where}.unique_per_person"
    )
    if unique and sharing == "sliced":
        findings.add(f"{where}.unique_per_person", "found true for a type that passes from person to person")
    return TypeRule(
        name=name,
        scope=findings.text(given.get("scope"), f"{where}.scope"),
        normaliser=normaliser or "",
        validator=validator or "",
        owner_limit=_whole(given.get("owner_limit"), f"{where}.owner_limit", MOST_OWNERS, findings),
        unique_per_person=unique,
        priority=_whole(given.get("priority"), f"{where}.priority", MOST_PRIORITY, findings),
        sharing=cast("Sharing", sharing or "exclusive"),
        trust=cast("Trust", trust or "proof"),
    )


def _as_doors_do(name: str, normaliser: str | None, validator: str | None, findings: Findings) -> None:
    """Tokens that stand were made by the doors; another way would make other tokens of the same values."""
    where, known = f"types.{name}", IDENTIFIER_TYPES.get(name)
    if known is None:
        findings.add(where, f"no door makes tokens of this type; those that exist: {listed(IDENTIFIER_TYPES)}")
        return
    if normaliser and NORMALISERS[normaliser] is not known.normalise:
        wanted = next(name for name, one in NORMALISERS.items() if one is known.normalise)
        findings.add(f"{where}.normaliser", f"found '{normaliser}', wanted '{wanted}', as tokens are made everywhere")
    if validator and VALIDATORS[validator] is not known.is_valid:
        wanted = next(name for name, one in VALIDATORS.items() if one is known.is_valid)
        findings.add(f"{where}.validator", f"found '{validator}', wanted '{wanted}', as values are refused everywhere")


def _together(types: tuple[TypeRule, ...], findings: Findings) -> None:
    counted = Counter(kind.priority for kind in types)
    for kind in types:
        if kind.priority and counted[kind.priority] > 1:
            findings.add(f"types.{kind.name}.priority", f"found {kind.priority}, which another type has, too")
    if types and not any(kind.sharing == "exclusive" and kind.trust == "proof" for kind in types):
        findings.add("types", "found none that is exclusive and a proof, wanted one: nobody would be anybody")


def _blocked(raw: object, where: str, types: set[str], findings: Findings) -> Blocked:
    given = findings.mapping(raw, where, BLOCKED_KEYS)
    kind = findings.choice(given.get("type"), f"{where}.type", types, what="type")
    value, token = given.get("value"), given.get("token")
    if (value is None) == (token is None):
        findings.add(where, "found both or neither of value and token, wanted one of them")
    if value is not None and (not isinstance(value, str) or not value.strip()):
        findings.add(f"{where}.value", f"found {type(value).__name__}, wanted text (quote it)")
    if token is not None and not _is_token(token):
        findings.add(f"{where}.token", f"found no token, wanted {TOKEN_DIGITS} hex digits (quote them)")
    scope = given.get("scope")
    if scope is not None and not isinstance(scope, str):
        findings.add(f"{where}.scope", f"found {shown(scope)}, wanted text (quote it)")
    if scope is not None and kind is None:
        findings.add(f"{where}.scope", "found a scope without a type, wanted both or neither")
    return Blocked(
        value=value if isinstance(value, str) else None,
        token=bytes.fromhex(str(token)) if _is_token(token) else None,
        type=kind,
        scope=scope if isinstance(scope, str) else None,
        reason=findings.text(given.get("reason"), f"{where}.reason"),
    )


def _is_token(raw: object) -> bool:
    return isinstance(raw, str) and len(raw) == TOKEN_DIGITS and set(raw.lower()) <= set("0123456789abcdef")


def _whole(raw: object, where: str, most: int, findings: Findings) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= most:
        return raw
    if raw is not None:
        findings.add(where, f"found {shown(raw)}, wanted a whole number from 1 to {most}")
    return 0
