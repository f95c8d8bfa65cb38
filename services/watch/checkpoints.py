"""How far the stream is, by its checkpoint, read without Spark: from this machine's disk or over WebHDFS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import hdfs
from requests.exceptions import RequestException

from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.ingest import backlog
from spark_jobs.settings import Settings

CHECKPOINT = f"checkpoints/ingest/{EVENTS_TOPIC.name}"
_USER = "databank"


@dataclass(frozen=True, slots=True)
class Files:
    """Two doors to files by their paths: names in a folder (none where it is not there), and a file's text."""

    names: Callable[[str], Sequence[str]]
    text: Callable[[str], str]


def taken(settings: Settings) -> backlog.Offsets:
    """Offsets of the newest batch that is committed, by partition; none where no batch is."""
    files = files_of(settings)
    root = f"{_path_of(settings.storage_root)}/{CHECKPOINT}"
    try:
        numbers = [int(name) for name in files.names(f"{root}/commits") if name.isdecimal()]
        return backlog.taken(files.text(f"{root}/offsets/{max(numbers)}"), EVENTS_TOPIC.name) if numbers else {}
    except hdfs.HdfsError as error:
        raise TerminalError(f"HDFS refused to show the stream's checkpoint: {error}") from error
    except RequestException as error:
        raise RetryableError(f"HDFS does not answer at {settings.webhdfs_url}: {error}; is it running?") from error


def files_of(settings: Settings) -> Files:
    """The door that the settings name."""
    if settings.webhdfs_url is None:
        return Files(_local_names, lambda path: Path(path).read_text(encoding="utf-8"))
    client = hdfs.InsecureClient(settings.webhdfs_url, user=_USER)

    def text(path: str) -> str:
        with client.read(path, encoding="utf-8") as reader:
            return str(reader.read())

    return Files(lambda path: client.list(path) if client.status(path, strict=False) else [], text)


def _local_names(path: str) -> Sequence[str]:
    folder = Path(path)
    return [one.name for one in folder.iterdir()] if folder.is_dir() else []


def _path_of(root: str) -> str:
    return urlsplit(root).path if "://" in root else root
