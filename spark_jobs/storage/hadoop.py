"""Hadoop's own file system through the JVM: the same code on a local disk and on HDFS."""

from __future__ import annotations

from typing import Any

from spark_jobs.storage.delta import Lake


def file_system(lake: Lake, folder: str) -> tuple[Any, Any]:
    """The folder's file system, and its path as that file system spells it: with scheme and host."""
    jvm: Any = lake.spark._jvm  # noqa: SLF001 - pyspark offers no public way to Hadoop's files
    path = jvm.org.apache.hadoop.fs.Path(folder)
    files = path.getFileSystem(lake.spark._jsc.hadoopConfiguration())  # noqa: SLF001
    return files, files.makeQualified(path)
