"""Settings: one TOML file, read at the door, checked whole, passed down as frozen values; secrets stay in files."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from spark_jobs.errors import TerminalError
from spark_jobs.settings_checking import problems_of

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
    problems = problems_of(given)
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
