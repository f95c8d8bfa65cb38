"""Folders of plain files that appear whole: made beside their place and renamed, on a local disk and on HDFS."""

from __future__ import annotations

from typing import Any

from spark_jobs.storage.delta import Lake
from spark_jobs.storage.hadoop import file_system


def children(lake: Lake, folder: str) -> list[str]:
    """Names of the folders in a folder; none where it is not there."""
    files, path = file_system(lake, folder)
    if not files.exists(path):
        return []
    return sorted(str(one.getPath().getName()) for one in files.listStatus(path) if one.isDirectory())


def exists(lake: Lake, path: str) -> bool:
    """Whether a file or folder is there."""
    files, place = file_system(lake, path)
    return bool(files.exists(place))


def read_text(lake: Lake, path: str) -> str:
    """A small file as text."""
    jvm: Any = lake.spark._jvm  # noqa: SLF001 - pyspark offers no public way to Hadoop's files
    files, place = file_system(lake, path)
    stream = files.open(place)
    try:
        return str(jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def write_text(lake: Lake, path: str, text: str) -> None:
    """Write a small file that is not there yet."""
    files, place = file_system(lake, path)
    out = files.create(place, False)
    try:
        out.write(bytearray(text, "utf-8"))
    finally:
        out.close()


def put_in_place(lake: Lake, made: str, place: str) -> bool:
    """Rename a folder to its place; False where something is there already, which stays as it is."""
    jvm: Any = lake.spark._jvm  # noqa: SLF001 - pyspark offers no public way to Hadoop's files
    files, target = file_system(lake, place)
    files.mkdirs(target.getParent())
    # `FileSystem.rename` would move it into a folder that is there; this one refuses.
    context = jvm.org.apache.hadoop.fs.FileContext.getFileContext(target.toUri(), files.getConf())
    rename = jvm.org.apache.hadoop.fs.Options.Rename
    gateway: Any = lake.spark.sparkContext._gateway  # noqa: SLF001 - the only way to a Java array
    options = gateway.new_array(rename, 1)
    options[0] = rename.NONE
    try:
        context.rename(file_system(lake, made)[1], target, options)
    except Exception as error:
        if "FileAlreadyExistsException" in str(error) or exists(lake, place):
            return False
        raise
    return True


def delete(lake: Lake, folder: str) -> None:
    """Delete a folder with all that is in it."""
    files, path = file_system(lake, folder)
    files.delete(path, True)
