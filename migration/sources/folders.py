"""The folder that an old system exported to: on this machine's disk, or in HDFS, where every executor can read it."""

from __future__ import annotations

import errno
import io
import logging
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast
from urllib.parse import quote, urlsplit

import hdfs
from requests.exceptions import RequestException

from spark_jobs.errors import PlatformError, RetryableError, TerminalError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_BYTES = 4 * 1024 * 1024
FOOTER_BYTES = 256 * 1024
_USER = "databank"
_TIMEOUT_S = 60.0
# What Java leaves as it is in the path of a URI; beyond ASCII as well, but for spaces and control characters.
_URI_PLAIN = "_-!.~'()*,;:$&+=/@"
_URI_QUOTED = ("Zs", "Zl", "Zp", "Cc")
# What Spark takes for a pattern in a path.
PATTERN_CHARACTERS = "\\{}[]*?"
# What says something of one file; every other error is of the disk or of the network.
_OF_A_FILE = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
_OF_HDFS = {"FileNotFoundException": errno.ENOENT, "AccessControlException": errno.EACCES}


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of a file from another without reading it."""

    bytes: int
    mtime_ns: int


class Folder(Protocol):
    """Files by their names in the folder, with `/` between their parts; what cannot be read raises OSError.

    `of_a_file` says of such an error whether only the file is to blame.
    """

    @property
    def address(self) -> str:
        """The folder as Spark reads it."""

    def is_there(self) -> bool:
        """False where there is no such folder, or nothing in it, as where something is not mounted."""

    def names(self) -> list[str]:
        """Every file under the folder, sorted."""

    def version(self, name: str) -> Version:
        """The file's version as it is now."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """The file's bytes from the first to the last."""

    def open_file(self, name: str) -> BinaryIO:
        """The file, to be read at any place (a footer) and closed."""

    def uri(self, name: str) -> str:
        """How Spark shows the file in `_metadata.file_path`."""


@dataclass(frozen=True, slots=True)
class DiskFolder:
    """A folder that this machine sees; for Spark on several hosts it must be the same on all of them."""

    path: Path

    @property
    def address(self) -> str:
        """Its path."""
        return str(self.path)

    def is_there(self) -> bool:
        """As the disk has it."""
        if not self.path.is_dir():
            return False
        with os.scandir(self.path) as found:
            return next(found, None) is not None

    def names(self) -> list[str]:
        """Every file under the folder, sorted; a folder in it that cannot be listed is an OSError."""
        # `rglob` would pass over such a folder in silence.
        found = os.walk(self.path, onerror=_raised)
        files = (Path(folder, name) for folder, _, names in found for name in names)
        # Of a link that leads nowhere something must be said, too.
        taken = (path for path in files if path.is_file() or not path.exists())
        return sorted(path.relative_to(self.path).as_posix() for path in taken)

    def version(self, name: str) -> Version:
        """Size and time of change as the disk has them."""
        found = (self.path / name).stat()
        return Version(found.st_size, found.st_mtime_ns)

    def blocks(self, name: str) -> Iterator[bytes]:
        """Read once, from the first byte to the last."""
        with (self.path / name).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while block := file.read(READ_BYTES):
                yield block

    def open_file(self, name: str) -> BinaryIO:
        """Open on the disk."""
        return (self.path / name).open("rb")

    def uri(self, name: str) -> str:
        """Spark writes a local file without slashes for the host that it has not."""
        return f"file:{_quoted(f'{self.path}/{name}')}"


@dataclass(frozen=True, slots=True)
class HdfsFolder:
    """A folder in HDFS, looked at over WebHDFS; Spark reads the same files by their own protocol."""

    address: str
    path: str
    client: Any

    def is_there(self) -> bool:
        """As the NameNode says."""
        try:
            with _answering():
                return bool(self.client.status(self.path)["type"] == "DIRECTORY")
        except FileNotFoundError:
            return False

    def names(self) -> list[str]:
        """Every file under the folder, sorted."""
        with _answering():
            found = self.client.walk(self.path, allow_dir_changes=True)
            names = [f"{folder}/{name}" for folder, _, files in found for name in files]
        return sorted(name.removeprefix(f"{self.path}/") for name in names)

    def version(self, name: str) -> Version:
        """Size and time of change as the NameNode has them: the latter in milliseconds."""
        with _answering():
            found = self.client.status(f"{self.path}/{name}")
        return Version(found["length"], found["modificationTime"] * 1_000_000)

    def blocks(self, name: str) -> Iterator[bytes]:
        """Read once; HDFS compares its own checksums meanwhile."""
        with _answering(), self.client.read(f"{self.path}/{name}", chunk_size=READ_BYTES) as blocks:
            yield from blocks

    def open_file(self, name: str) -> BinaryIO:
        """Each read asks WebHDFS for a range of bytes."""
        opened = _HdfsFile(self.client, f"{self.path}/{name}", self.version(name).bytes)
        return cast("BinaryIO", io.BufferedReader(opened, FOOTER_BYTES))

    def uri(self, name: str) -> str:
        """With scheme and host, as the address has them."""
        return f"{self.address.removesuffix(self.path)}{_quoted(f'{self.path}/{name}')}"


class _HdfsFile(io.RawIOBase):
    """A file in HDFS of a known size; only what is read is sent."""

    def __init__(self, client: hdfs.Client, path: str, size: int) -> None:
        self._client, self._path, self._size, self._at = client, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        wanted = memoryview(buffer)[: max(0, self._size - self._at)]
        if not wanted:
            return 0
        with _answering(), self._client.read(self._path, offset=self._at, length=len(wanted)) as answer:
            found: bytes = answer.read()
        wanted[: len(found)] = found
        self._at += len(found)
        return len(found)


def open_folder(address: str, webhdfs_url: str | None = None) -> Folder:
    """The folder of this address: a path, or hdfs://HOST:PORT/PATH, for which the settings must name WebHDFS."""
    if "://" not in address:
        return DiskFolder(Path(address))
    parts = urlsplit(address)
    if parts.scheme != "hdfs" or not parts.netloc:
        raise TerminalError(f"source {address} is neither a path nor hdfs://HOST:PORT/PATH")
    if webhdfs_url is None:
        raise TerminalError(f"source {address} is in HDFS; name its web address in the settings: [storage] webhdfs")
    logging.getLogger("hdfs.client").setLevel(logging.WARNING)  # it tells of every file that it looks at
    client = hdfs.InsecureClient(webhdfs_url, user=_USER, timeout=_TIMEOUT_S)
    return HdfsFolder(address.rstrip("/"), parts.path.rstrip("/"), client)


def matches(name: str, pattern: str) -> bool:
    """True where a name is of a pattern: `*` stays within a part of the name, `**` is any number of parts."""
    return _matches(name.split("/"), pattern.split("/"))


def _matches(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_matches(parts[skipped:], patterns[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _matches(parts[1:], patterns[1:])


def of_a_file(error: OSError) -> bool:
    """True where an error says something of the file alone, and nothing of the disk or network that it lies behind."""
    return error.errno in _OF_A_FILE


def failure(path: str, error: OSError, remedy: str) -> PlatformError:
    """Terminal, with this remedy, where an error is of the file or folder alone; else it may pass."""
    said = f"{path} cannot be read: {error.strerror}"
    if of_a_file(error):
        return TerminalError(f"{said}; {remedy}")
    return RetryableError(f"{said}; look whether the disk or the hosts that it lies on answer, then start it again")


@contextmanager
def _answering() -> Iterator[None]:
    """A failure of the client as an OSError that says what it was."""
    try:
        yield
    except (hdfs.HdfsError, RequestException) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OSError(_OF_HDFS.get(getattr(error, "exception", ""), errno.EIO), first) from error


def _raised(error: OSError) -> None:
    raise error


def name_problem(name: str) -> str:
    """Why Spark reads no file of this name; '' where it does."""
    last = name.rsplit("/", 1)[-1]
    if readable_name(name) != name:
        return "its name is no UTF-8, so Spark cannot ask for it; rename it"
    # As Spark's `shouldFilterOutPathName` has it, and the summaries of Parquet, which it lets through, hold no records.
    if last.startswith(".") or (last.startswith("_") and "=" not in last) or last.endswith("._COPYING_"):
        return "Spark passes over files named `_...`, `....` or `..._COPYING_`; rename it, or let `files` not name it"
    # A path with the characters of a pattern is put together part by part, so that none of them may have it.
    if ":" in (name if any(character in name for character in PATTERN_CHARACTERS) else last):
        return "Spark takes what stands before `:` in its name for a kind of address; rename it"
    return ""


def readable_name(name: str) -> str:
    r"""A name that can be shown and stored: bytes that are no UTF-8 as `ÿ`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _quoted(path: str) -> str:
    return "".join(c if _is_plain(c) else quote(c) for c in path)


def _is_plain(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _URI_PLAIN
    return unicodedata.category(character) not in _URI_QUOTED
