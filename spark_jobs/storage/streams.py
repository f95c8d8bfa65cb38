"""The identity of a stream: one id per checkpoint, kept inside it, so that it is lost and renewed together with it."""

from __future__ import annotations

import uuid
from typing import Any

from py4j.protocol import Py4JJavaError

from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.folders import read_text
from spark_jobs.storage.hadoop import file_system

ID_FILE = "stream_id"
_CHARACTERS = 36
# What a later call meets again; anything else, such as a NameNode in safe mode, passes.
_STAYS_SO = ("AccessControlException", "FileNotFoundException", "ParentNotDirectoryException", "FileAlreadyExists")


def stream_id(lake: Lake, checkpoint: str) -> str:
    """The id of the stream that writes from this checkpoint; made on first use.

    A Delta transaction version lower than the last of its writer is dropped in silence, so a new checkpoint, whose
    batches start at 0, must be a new writer.
    """
    # Hadoop's own file system through the JVM: the same code on a local disk and on HDFS.
    jvm: Any = lake.spark._jvm  # noqa: SLF001 - pyspark offers no public way to Hadoop's files
    path = jvm.org.apache.hadoop.fs.Path(f"{checkpoint}/{ID_FILE}")
    files = path.getFileSystem(lake.spark._jsc.hadoopConfiguration())  # noqa: SLF001
    try:
        if not files.exists(path):
            _create(files, path, jvm)
        stream = files.open(path)
        try:
            text = "".join(chr(stream.read()) for _ in range(_CHARACTERS))
        finally:
            stream.close()
    except Py4JJavaError as error:
        said = str(error.java_exception.toString()).splitlines()[0]
        if any(kind in said for kind in _STAYS_SO):
            raise TerminalError(f"checkpoint {checkpoint} cannot be used: {said}; check folder and rights") from error
        raise RetryableError(f"checkpoint {checkpoint} cannot be read: {said}; is HDFS there?") from error
    return str(uuid.UUID(text))


def _create(files: Any, path: Any, jvm: Any) -> None:  # noqa: ANN401 - objects of the JVM have no Python type
    # Written beside and renamed, so that a half-written id is never read.
    made = str(uuid.uuid4())
    partial = jvm.org.apache.hadoop.fs.Path(f"{path.toString()}.{made}")
    out = files.create(partial, False)
    out.write(bytearray(made, "ascii"))
    out.close()
    files.rename(partial, path)


def first_offsets(lake: Lake, checkpoint: str) -> str | None:
    """What Spark wrote of the offsets at which the stream began; none where it never did.

    Unlike those of batches, it stays as long as the checkpoint.
    """
    path = f"{checkpoint}/sources/0/0"
    files, qualified = file_system(lake, path)
    return read_text(lake, path) if files.exists(qualified) else None


def committed_offsets(lake: Lake, checkpoint: str) -> str | None:
    """What Spark wrote of the offsets of the newest batch that is committed; none where no batch is."""
    files, commits = file_system(lake, f"{checkpoint}/commits")
    if not files.exists(commits):
        return None
    names = [status.getPath().getName() for status in files.listStatus(commits)]
    numbers = [int(name) for name in names if name.isdecimal()]
    if not numbers:
        return None
    return read_text(lake, f"{checkpoint}/offsets/{max(numbers)}")
