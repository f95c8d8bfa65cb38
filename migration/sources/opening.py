"""From the address in a job to its source."""

from __future__ import annotations

from collections.abc import Sequence

from migration.sources.addresses import is_database, parse_address
from migration.sources.database import Database
from migration.sources.files import Files
from migration.sources.folders import open_folder
from migration.sources.source import Source
from migration.sources.tables import Tables
from spark_jobs.errors import TerminalError
from spark_jobs.settings import SourceAccount


def open_source(address: str, webhdfs_url: str | None = None, accounts: Sequence[SourceAccount] = ()) -> Source:
    """The source of this address: a path, hdfs://HOST:PORT/PATH, postgresql:// or mysql://HOST:PORT/DATABASE.

    For HDFS the settings must name WebHDFS, for a database an account.
    """
    if not is_database(address):
        return Files(open_folder(address, webhdfs_url))
    database = parse_address(address)
    for account in accounts:
        if parse_address(account.address) == database:
            return Tables(Database(database, account))
    raise TerminalError(
        f"source {database} has no account in the settings; add [source.NAME] with address, user and password_file"
    )
