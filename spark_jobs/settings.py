"""Settings: one TOML file, read at the door, checked whole, passed down as frozen values; secrets stay in files."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from spark_jobs.errors import TerminalError

SETTINGS_VARIABLE = "DATABANK_SETTINGS"
# The value of the tag `refusal_tag` by which a person refuses profiling.
REFUSING = "true"


@dataclass(frozen=True, slots=True)
class SparkSettings:
    """How to start Spark: master URL, driver memory in MB, folder for shuffle files, jars by path."""

    master: str
    driver_memory_mb: int
    local_dir: str
    jars: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """Who comes in at a door that is kept: the password lies in a file, `ca_file` is the authority that is trusted."""

    user: str
    password_file: Path
    ca_file: Path

    def password(self) -> str:
        """Read the password; TerminalError where it is not there."""
        return _password_in(self.password_file)


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """Who reads a database of an old system, and how many connections that may take of it at a time.

    `address` is the one that a job names; with a `ca_file`, which every executor must have, the server must prove
    itself by TLS.
    """

    address: str
    user: str
    password_file: Path
    ca_file: Path | None = None
    connections: int = 4

    def password(self) -> str:
        """Read the password; TerminalError where it is not there."""
        return _password_in(self.password_file)


@dataclass(frozen=True, slots=True)
class Workspace:
    """One business line: its calendar's zone, and since when its history is complete."""

    name: str
    zone: ZoneInfo
    history_complete_since: date


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """The profile API: its store (SQLAlchemy's form of a URL), where it listens (`host:port`), who is left out.

    `refusal_tag`: the tag whose value `true` means that a person refuses profiling; '' where no tag says so.
    """

    url: str
    address: str
    refusal_tag: str


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """The workspaces whose tags are answered live where their definitions allow it."""

    workspaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """Where triggers are posted, over http or https; the file holds the key that posts are signed with."""

    webhook_url: str
    webhook_key_file: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a job needs to know of the installation."""

    storage_root: str
    kafka_bootstrap_servers: str
    ledger_url: str
    trino_url: str
    root_key_file: Path
    spark: SparkSettings
    workspaces: tuple[Workspace, ...]
    kafka_account: Account | None = None  # none where the stack is embedded and listens on this machine alone
    trino_account: Account | None = None
    webhdfs_url: str | None = None
    metrics_dir: Path | None = None  # where the node exporter of this host reads what programs measured
    identity_rules_file: Path | None = None  # rules of identity; none where the shipped ones hold
    ingest_is_service: bool = False  # the stream runs all the time: nobody else may run it
    source_accounts: tuple[SourceAccount, ...] = ()  # of databases that history is moved in from
    profiles: ProfileSettings | None = None  # where nobody serves profiles there is none
    exports_dir: Path | None = None  # definitions of exports: tags that they go by cannot be removed
    triggers: TriggerSettings | None = None  # where nobody is posted to there is none
    retention_days: tuple[tuple[str, int], ...] = ()  # table, days that its rows are kept; all others are kept for ever
    live: LiveSettings | None = None  # where every tag waits for the batch there is none

    def workspace(self, name: str) -> Workspace:
        """The workspace of this name; TerminalError names those that exist."""
        for workspace in self.workspaces:
            if workspace.name == name:
                return workspace
        known = ", ".join(workspace.name for workspace in self.workspaces)
        raise TerminalError(f"workspace {name!r} is not in the settings; found: {known}; add [workspace.{name}]")


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


def load(path: str | Path | None = None) -> Settings:
    """Read the file at `path`, else the one that DATABANK_SETTINGS names; every problem of it in one message."""
    chosen = path or os.environ.get(SETTINGS_VARIABLE)
    if not chosen:
        raise TerminalError(
            f"no settings: give --settings FILE or set {SETTINGS_VARIABLE} (`./databank up` writes one)"
        )
    return parse(_read(Path(chosen)), where=str(chosen))


def parse(given: Mapping[str, Any], *, where: str) -> Settings:
    """Settings of a parsed file; TerminalError lists unknown, missing and mistyped keys."""
    problems = _problems(given)
    if problems:
        raise TerminalError(f"{where}: {'; '.join(problems)}")
    spark = given["spark"]
    return Settings(
        storage_root=given["storage"]["root"].rstrip("/"),
        kafka_bootstrap_servers=given["kafka"]["bootstrap_servers"],
        ledger_url=given["ledger"]["url"],
        trino_url=given["trino"]["url"],
        root_key_file=Path(given["keys"]["root_key_file"]),
        spark=SparkSettings(spark["master"], spark["driver_memory_mb"], spark["local_dir"], tuple(spark["jars"])),
        workspaces=tuple(
            Workspace(name, ZoneInfo(keys["zone"]), keys["history_complete_since"])
            for name, keys in given["workspace"].items()
        ),
        kafka_account=_account(given["kafka"]),
        trino_account=_account(given["trino"]),
        webhdfs_url=given["storage"].get("webhdfs"),
        metrics_dir=Path(given["metrics"]["textfile_dir"]) if "metrics" in given else None,
        identity_rules_file=Path(given["identity"]["rules_file"]) if "identity" in given else None,
        ingest_is_service=given.get("ingest", {}).get("service", False),
        source_accounts=tuple(_source_account(section) for section in given.get("source", {}).values()),
        profiles=ProfileSettings(**given["profiles"]) if "profiles" in given else None,
        exports_dir=Path(given["exports"]["definitions"]) if "exports" in given else None,
        triggers=_trigger_settings(given["triggers"]) if "triggers" in given else None,
        retention_days=tuple(sorted(given.get("retention", {}).items())),
        live=LiveSettings(tuple(given["live"]["workspaces"])) if "live" in given else None,
    )


def _account(section: Mapping[str, str]) -> Account | None:
    if "user" not in section:
        return None
    return Account(section["user"], Path(section["password_file"]), Path(section["ca_file"]))


def _trigger_settings(section: Mapping[str, str]) -> TriggerSettings:
    return TriggerSettings(section["webhook_url"], Path(section["webhook_key_file"]))


def _source_account(section: Mapping[str, Any]) -> SourceAccount:
    paths = {name: Path(section[name]) for name in ("password_file", "ca_file") if name in section}
    return SourceAccount(**{**section, **paths})


def _password_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise TerminalError(
            f"password file {path} cannot be read: {error.strerror}; run as the platform's user"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TerminalError(f"settings {path} cannot be read: {error.strerror}; check --settings") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TerminalError(f"settings {path} are not valid TOML: {error}; mend that line") from error


def _problems(given: Mapping[str, Any]) -> list[str]:
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
