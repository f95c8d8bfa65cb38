"""From the address in a job to its source."""

from __future__ import annotations

from migration.sources.files import Files
from migration.sources.folders import open_folder
from migration.sources.source import Source


def open_source(address: str, webhdfs_url: str | None = None) -> Source:
    """The source of this address: a path, or hdfs://HOST:PORT/PATH, for which the settings must name WebHDFS."""
    return Files(open_folder(address, webhdfs_url))
