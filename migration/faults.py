"""Whose fault it is that Spark failed: one chunk's, or that of something that every chunk needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from py4j.java_gateway import is_instance_of
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkException, PythonException

from migration.watching import first_line
from spark_jobs.errors import TerminalError
from spark_jobs.storage.delta import Lake

SPARK = (PySparkException, Py4JError)
_UNREAD = ("FAILED_READ_FILE", "PATH_NOT_FOUND")
_CANCELLED = "SPARK_JOB_CANCELLED"
# Classes of Java that tell of a network, a service, a database or the memory of a process ...
_NEEDED = (
    *("java.net.SocketException", "java.net.SocketTimeoutException", "java.net.UnknownHostException"),
    *("java.nio.channels.ClosedChannelException", "org.apache.hadoop.ipc.RemoteException", "java.sql.SQLException"),
    *("java.lang.OutOfMemoryError", "org.apache.spark.shuffle.FetchFailedException"),
)
# ... and what is said where the class says nothing.
_SAID = (
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Too many open files",
    "ExecutorLostFailure",
    "SparkContext was shut down",
    "stopped SparkContext",
)
_MOST_CAUSES = 50


def of_chunk(error: Exception, lake: Lake) -> str | None:
    """What went wrong with one chunk, and what to do; None where other chunks would meet the same.

    What Spark says is repeated only where it is about a file: elsewhere it may be about a value, in clear.
    """
    causes = list(_causes(error))
    is_python = isinstance(error, PythonException)
    if _is_of_all(causes, str(error)) or not (causes or is_python):
        return None
    path = _unread(causes)
    if path is None:
        kind = _class_in(error) if is_python else _names(causes)
        return f"Spark could not copy it: {kind}; start it again, and report it where the same is said again"
    if lake.root in path:
        return None
    why = first_line(RuntimeError(causes[-1].toString()))
    return (
        f"{path} cannot be read: {why}; it is damaged, or not to be seen from every host: put the planned file back, "
        "or take it out and plan again"
    )


@contextmanager
def files_blamed(lake: Lake) -> Iterator[None]:
    """A failure of Spark in the block that is the fault of a source's file as a TerminalError that names it."""
    try:
        yield
    except SPARK as error:
        if _unread(list(_causes(error))) and (said := of_chunk(error, lake)):
            raise TerminalError(said) from error
        raise


def _is_of_all(causes: Sequence[Any], said: str) -> bool:
    is_told = any(_is_a(cause, name) for cause in causes for name in _NEEDED) or any(text in said for text in _SAID)
    return is_told or _CANCELLED in map(_condition, causes)


def _unread(causes: Sequence[Any]) -> str | None:
    """The file that Spark could not read to its end; None where it is not about one."""
    for cause in causes:
        if _condition(cause).startswith(_UNREAD):
            return unquote(str(dict(_spark().getMessageParameters(cause)).get("path")))
    return None


def _names(causes: Sequence[Any]) -> str:
    return ", ".join(_condition(cause) or str(cause.getClass().getName()) for cause in causes)


def _class_in(error: Exception) -> str:
    """The class of what Python raised in a task: its name ends the traceback."""
    traceback = str(error).partition("\n\nJVM stacktrace:")[0].strip()
    return traceback.splitlines()[-1].partition(":")[0]


def _causes(error: Exception) -> Iterator[Any]:
    """What Java threw, and what caused it; nothing where Java itself does not answer."""
    java = error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)
    for _ in range(_MOST_CAUSES):
        if java is None:
            return
        yield java
        java = java.getCause()


def _condition(java: Any) -> str:  # noqa: ANN401 - a Java object
    """The name that Spark gives an error; '' where it has none."""
    return str(_spark().getCondition(java) or "") if _is_a(java, "org.apache.spark.SparkThrowable") else ""


def _is_a(java: Any, name: str) -> bool:  # noqa: ANN401 - a Java object
    return bool(is_instance_of(SparkContext._gateway, java, name))  # noqa: SLF001 - as PySpark itself asks


def _spark() -> Any:  # noqa: ANN401 - a Java object
    return SparkContext._jvm.PythonErrorUtils  # type: ignore[union-attr] # noqa: SLF001
