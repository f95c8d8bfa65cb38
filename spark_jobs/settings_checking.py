"""What is wrong with a settings file: every problem of it, so that one message can name them all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Section, key, type; what is optional comes as a whole or not at all, so that nothing is guessed.
_REQUIRED: dict[str, dict[str, type]] = {
    "storage": {"root": str},
    "kafka": {"bootstrap_servers": str},
    "ledger": {"url": str},
    "trino": {"url": str},
    "keys": {"root_key_file": str},
    "spark": {"master": str, "driver_memory_mb": int, "local_dir": str, "jars": list},
}
_ACCOUNT: dict[str, type] = {"user": str, "password_file": str, "ca_file": str}
_OPTIONAL: dict[str, dict[str, type]] = {
    "storage": {"webhdfs": str},
    "kafka": _ACCOUNT,
    "trino": _ACCOUNT,
    "ingest": {"service": bool},
    "metrics": {"textfile_dir": str},
    "identity": {"rules_file": str},
    "exports": {"definitions": str},
    "profiles": {"url": str, "address": str, "refusal_tag": str},
    "triggers": {"webhook_url": str, "webhook_key_file": str},
    "live": {"workspaces": list},
}
_WORKSPACE_KEYS: dict[str, type] = {"zone": str, "history_complete_since": date}
_SOURCE_KEYS: dict[str, type] = {"address": str, "user": str, "password_file": str}
_SOURCE_OPTIONS: dict[str, type] = {"ca_file": str, "connections": int}


def problems_of(given: Mapping[str, Any]) -> list[str]:
    """Unknown, missing and mistyped keys, and values that cannot be meant; none where the file is sound."""
    known = {*_REQUIRED, *_OPTIONAL, "workspace", "source", "retention"}
    problems = [f"unknown section [{name}]" for name in sorted(set(given) - known)]
    for section, keys in _REQUIRED.items():
        optional = _OPTIONAL.get(section, {})
        found = given.get(section)
        is_used = isinstance(found, dict) and bool(set(optional) & set(found))
        problems += _section_problems(f"[{section}]", found, keys | (optional if is_used else {}))
    problems += _spark_problems(given.get("spark"))
    for section in sorted((set(_OPTIONAL) - set(_REQUIRED)) & set(given)):
        problems += _section_problems(f"[{section}]", given[section], _OPTIONAL[section])
    problems += _source_problems(given.get("source", {}))
    problems += _retention_problems(given.get("retention", {}))
    problems += _live_problems(given)
    workspaces = given.get("workspace")
    if not isinstance(workspaces, dict) or not workspaces:
        return [*problems, "missing section [workspace.NAME]"]
    for name, section in workspaces.items():
        problems += _section_problems(f"[workspace.{name}]", section, _WORKSPACE_KEYS)
        problems += _zone_problems(name, section)
    return problems


def _section_problems(label: str, section: object, keys: Mapping[str, type]) -> list[str]:
    if section is None:
        return [f"missing section {label}"]
    if not isinstance(section, dict):
        return [f"{label} is {type(section).__name__}, wanted a section of keys"]
    problems = [f"{label} unknown key {key!r}" for key in sorted(set(section) - set(keys))]
    for key, kind in keys.items():
        if key not in section:
            problems.append(f"{label} missing key {key!r}")
        elif type(section[key]) is not kind:
            problems.append(f"{label} {key} is {type(section[key]).__name__}, wanted {kind.__name__}")
    return problems


def _source_problems(sources: object) -> list[str]:
    if not isinstance(sources, dict):
        return ["[source] wanted sections [source.NAME]"]
    problems = []
    for name, section in sources.items():
        used = {key: kind for key, kind in _SOURCE_OPTIONS.items() if isinstance(section, dict) and key in section}
        found = _section_problems(f"[source.{name}]", section, _SOURCE_KEYS | used)
        if not found and section.get("connections", 1) < 1:
            found = [f"[source.{name}] connections is {section['connections']}, wanted 1 or more"]
        problems += found
    return problems


def _retention_problems(section: object) -> list[str]:
    if not isinstance(section, dict):
        return [f"[retention] is {type(section).__name__}, wanted a section of tables and days"]
    return [
        f"[retention] {name!r} is {days!r}, wanted whole days, 1 or more"
        for name, days in section.items()
        if type(days) is not int or days < 1
    ]


def _live_problems(given: Mapping[str, Any]) -> list[str]:
    section, workspaces = given.get("live"), given.get("workspace")
    named = section.get("workspaces") if isinstance(section, dict) else None
    if not isinstance(named, list) or not isinstance(workspaces, dict):
        return []
    strange = [name for name in named if not isinstance(name, str) or name not in workspaces]
    return [f"[live] workspaces names {name!r}, wanted some of {', '.join(workspaces)}" for name in strange]


def _spark_problems(section: object) -> list[str]:
    if not isinstance(section, dict):
        return []
    problems, memory_mb, jars = [], section.get("driver_memory_mb"), section.get("jars")
    if isinstance(memory_mb, int) and memory_mb <= 0:
        problems.append(f"[spark] driver_memory_mb is {memory_mb}, wanted more than 0")
    if isinstance(jars, list) and not all(isinstance(jar, str) for jar in jars):
        problems.append("[spark] jars holds what is no path, wanted text only")
    return problems


def _zone_problems(name: str, section: object) -> list[str]:
    zone = section.get("zone") if isinstance(section, dict) else None
    try:
        if isinstance(zone, str):
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, a name that no file can have
        return [f"[workspace.{name}] zone {zone!r} is not a zone name such as 'Asia/Shanghai'"]
    return []
