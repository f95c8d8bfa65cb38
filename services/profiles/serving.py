"""The server: uvicorn in one process or several, which share the port, the store and the folder of counters."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from services.profiles.addressing import Addressing
from services.profiles.app import application
from services.profiles.asking import service_of
from services.profiles.counters import Counters
from services.profiles.database import open_database
from services.profiles.schema import upgrade
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import load_root_keys

# How a process that uvicorn starts is told what to serve: no secret is among it but a password in the store's URL.
_VARIABLE = "DATABANK_PROFILES"
_BACKLOG = 2048
_STOP_S = 10
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True, slots=True)
class Serving:
    """What one process serves, and beside how many."""

    url: str
    root_key_file: str
    counters: str
    processes: int
    connections: int


@dataclass(frozen=True, slots=True)
class Door:
    """Where the server listens; certificate and key of TLS, both or none."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


def door_of(address: str, certificate: Path | None, key: Path | None) -> Door:
    """The door; TerminalError where it would be open to the network in clear: keys and answers are personal data."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise TerminalError(f"[profiles] address is {address!r}, wanted host:port")
    if (certificate is None) != (key is None):
        raise TerminalError("--certificate and --private-key come together")
    if certificate is None and not _is_loopback(host):
        raise TerminalError(
            f"{host} is reached from outside: give --certificate and --private-key, or listen on 127.0.0.1"
        )
    return Door(host.strip("[]"), int(port), certificate, key)


def serve(url: str, root_key_file: Path, door: Door, *, processes: int, connections: int) -> int:
    """Serve until a signal ends it; requests that are under way are answered. 0, or 1 where it could not listen."""
    upgrade(open_database(url))
    load_root_keys(root_key_file)  # what is wrong with it is said before anybody waits
    with tempfile.TemporaryDirectory(prefix="databank-profiles-") as folder:
        os.environ[_VARIABLE] = json.dumps(asdict(Serving(url, str(root_key_file), folder, processes, connections)))
        options: dict[str, Any] = {
            "factory": True,
            "host": door.host,
            "port": door.port,
            "workers": processes,
            "loop": "uvloop",
            "http": "httptools",
            "access_log": False,  # a path holds an identifier
            "log_config": None,
            "server_header": False,
            "backlog": _BACKLOG,
            "timeout_graceful_shutdown": _STOP_S,
            "ssl_certfile": door.certificate,
            "ssl_keyfile": door.key,
        }
        uvicorn.run("services.profiles.serving:from_environment", **options)
    return 0


def from_environment() -> FastAPI:
    """The application of one process, as `serve` told it."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    told = Serving(**json.loads(os.environ[_VARIABLE]))
    database = open_database(told.url, connections=told.connections)
    addressing = Addressing(load_root_keys(Path(told.root_key_file)))
    counters = Counters(Path(told.counters))
    return application(service_of(database, addressing, counters, processes=told.processes, threads=told.connections))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
