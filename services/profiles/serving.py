"""The server: uvicorn in one process or several, which share the port, the store and the folder of counters.

The port is the server's own, or systemd holds it (a `.socket` unit): then it stays open while the server is restarted,
and who connects meanwhile waits for the new one.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
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
from services.profiles.parting import PartingProtocol
from services.profiles.schema import upgrade
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import load_root_keys

# How a process that uvicorn starts is told what to serve: no secret is among it but a password in the store's URL.
_VARIABLE = "DATABANK_PROFILES"
_BACKLOG = 2048
_STOP_S = 10
# For so long a request waits for a store that is away: PostgreSQL is back from a restart before.
_PATIENCE_S = 15.0
# What systemd says of the sockets that it passes, and the first of them (sd_listen_fds(3)).
_PASSED = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FIRST_PASSED = 3
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
    """Where the server listens; certificate and key of TLS, both or none.

    held: the socket that systemd holds there; None where the server opens its own.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    held: socket.socket | None = None


def held_socket() -> socket.socket | None:
    """The listening socket that systemd holds for this process; None where it was started in another way.

    To be called once: what systemd said is taken out of the environment, as it is not for processes that follow.
    """
    said = {name: os.environ.pop(name, "") for name in _PASSED}
    if said["LISTEN_PID"] != str(os.getpid()):
        return None
    if said["LISTEN_FDS"] != "1":
        raise TerminalError(
            f"systemd passes {said['LISTEN_FDS']} sockets; wanted one ListenStream= in the .socket unit"
        )
    return socket.socket(fileno=_FIRST_PASSED)


def address_of(held: socket.socket) -> str:
    """Where a socket listens, as `host:port`; TerminalError where that is no address of a network."""
    if held.family not in {socket.AF_INET, socket.AF_INET6}:
        raise TerminalError("systemd passes a socket that is none of TCP; wanted ListenStream=PORT in the .socket unit")
    host, port = held.getsockname()[:2]
    return f"{host}:{port}"


def door_of(address: str, certificate: Path | None, key: Path | None, *, held: socket.socket | None = None) -> Door:
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
    return Door(host.strip("[]"), int(port), certificate, key, held)


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
            "fd": door.held.fileno() if door.held else None,
            "workers": processes,
            "loop": "uvloop",
            "http": PartingProtocol,
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
    database = open_database(told.url, connections=told.connections, patience_s=_PATIENCE_S)
    addressing = Addressing(load_root_keys(Path(told.root_key_file)))
    counters = Counters(Path(told.counters))
    return application(service_of(database, addressing, counters, processes=told.processes, threads=told.connections))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
