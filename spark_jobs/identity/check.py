"""Check a file of rules, compute nothing: what is wrong with it, and what it says other than the shipped rules."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from spark_jobs.identity.declared import Rules
from spark_jobs.identity.rules_file import SHIPPED, read_rules, rule_version
from spark_jobs.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which file."""
    parser.add_argument("rules", metavar="RULES.yml", type=Path, help="rules of identity")


def preflight(settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The whole check; it needs no Spark, so this is all that the verb does. TerminalError lists every problem."""
    rules = read_rules(args.rules)
    return {
        "rules": str(args.rules),
        "rule_version": rule_version(rules, settings.root_key_file),
        "types": [kind.name for kind in sorted(rules.types, key=lambda kind: kind.priority)],
        "blocked": len(rules.blocked),
        "differences": differences(read_rules(SHIPPED), rules),
    }


def differences(old: Rules, new: Rules) -> list[str]:
    """What other rules say, a line each; values are never named, as they may be somebody's."""
    before, after = ({kind.name: asdict(kind) for kind in rules.types} for rules in (old, new))
    said = [f"{name}: no longer declared" for name in sorted(set(before) - set(after))]
    said += [f"{name}: declared" for name in sorted(set(after) - set(before))]
    said += [
        f"{name}.{key}: {before[name][key]} -> {value}"
        for name in sorted(set(before) & set(after))
        for key, value in after[name].items()
        if before[name][key] != value
    ]
    added, gone = set(new.blocked) - set(old.blocked), set(old.blocked) - set(new.blocked)
    return said + ([f"blocked: {len(added)} more, {len(gone)} less"] if added or gone else [])
