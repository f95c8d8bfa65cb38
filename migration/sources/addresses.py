"""Addresses of databases: which server and database, and nothing that must be kept secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from spark_jobs.errors import TerminalError

SCHEMES = ("postgresql", "mysql")
_DATABASE = re.compile(r"[\w.$-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A database of a server."""

    scheme: str
    host: str
    port: int
    database: str

    @property
    def place(self) -> str:
        """HOST:PORT as it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}/{self.database}"


def is_database(address: str) -> bool:
    """True for the address of a database."""
    return address.partition("://")[0] in SCHEMES


def parse_address(text: str) -> Address:
    """The address in a job or in the settings; TerminalError where it is none, or says more than it should."""
    parts = urlsplit(text)
    if "@" in text:
        # What stands there may be a password, so it is not said again.
        raise TerminalError(
            f"source {parts.scheme}://... names a user; wanted {parts.scheme}://HOST:PORT/DATABASE, and user and "
            "password_file in the settings: [source.NAME]"
        )
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    database = parts.path.removeprefix("/")
    if not host or not port or not _DATABASE.fullmatch(database) or parts.query or parts.fragment:
        raise TerminalError(f"source {text} is no database; wanted {' or '.join(SCHEMES)}://HOST:PORT/DATABASE")
    return Address(parts.scheme, host, port, database)
