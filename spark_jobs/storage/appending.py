"""A commit in two steps: files first, then one commit that can say what is in them, and what it takes out.

Spark's writer wants a commit's metadata before a row is read. Here a transaction is begun, its files are written, and
what was counted on the way goes into the commit with them: one pass over the rows, and a process that dies leaves
either no commit or one that says by itself what it holds. What was written for a commit that is never tried is deleted;
the files of a process that was killed are nobody's, and a vacuum takes them.

Delta's own transaction is used as its writer uses it (Delta 4.4, `WriteIntoDelta`, `DeleteCommand`); PySpark has no
name for it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from types import TracebackType
from typing import Any, Self

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction, conform

log = logging.getLogger(__name__)


class Append:
    """One transaction on one table; begun when it is made, so that what it was told then holds at its commit.

    Who writes with it does so in a `with` block: at its end, files that no commit was tried for are deleted.
    """

    _java: Any

    def __init__(self, lake: Lake, table: Table) -> None:
        """Begin; the table must exist."""
        self._lake = lake
        self._java = lake.spark._jvm  # noqa: SLF001 - PySpark has no name for it
        self._delta = self._java.org.apache.spark.sql.delta
        self._table = table
        self._log = self._delta.DeltaLog.forTable(lake.spark._jsparkSession, lake.path_of(table))  # noqa: SLF001
        self._none = self._java.scala.Option.empty()
        self._transaction = self._begun()
        self._added = self._java.java.util.ArrayList()
        self._removed = self._java.java.util.ArrayList()
        self._is_tried = False

    def __enter__(self) -> Self:
        """The transaction itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete what was written, unless a commit was tried: even one that failed may stand, its answer lost."""
        if not self._is_tried:
            for file in self._added:
                self._delete(file)

    def begin_again(self) -> None:
        """Begin at the newest version, with the files that are written: what comes meanwhile is a conflict no more.

        What the transaction was told before holds no longer: ask again.
        """
        before, self._transaction = self._transaction, self._begun()
        if not before.metadata().equals(self._transaction.metadata()):
            raise RetryableError(f"{self._table.name} was altered while rows were written for it; try again")

    @property
    def version(self) -> int:
        """The version of the table that the transaction began at."""
        return int(self._transaction.readVersion())

    @property
    def table_id(self) -> str:
        """The id that a table has for its life; one made anew under the same name has another."""
        return str(self._transaction.metadata().id())

    def newest(self, app_id: str) -> int:
        """The newest version that a writer has committed, -1 where it has none.

        Asking is a promise: where another commit of that writer comes before this one, this one fails with
        ConcurrentTransactionException.
        """
        return int(self._transaction.txnVersion(app_id))

    def write(self, rows: DataFrame) -> None:
        """Write the rows' files; observations on the rows are complete afterwards, and nothing is visible yet."""
        files = self._transaction.writeFiles(conform(rows, self._table)._jdf)  # noqa: SLF001
        self._added.addAll(self._convert().asJava(files))

    def take_out(self, gone: DataFrame, on: Sequence[str]) -> None:
        """Take out the rows that have the values of one of `gone` in these columns; once in a transaction.

        In: `on` and the partition's columns; it is read three times. Only files that hold such a row are written anew,
        without it. A commit that changes the same partitions meanwhile is a conflict, one to others is none.
        """
        command = self._command(gone)
        candidates = self._transaction.filterFiles(command.parsePredicates(self._session, self._where(gone)), False)
        folder = self._log.dataPath()
        by_path = command.generateCandidateFileMap(folder, candidates)
        rows = self._rows_in(candidates)
        path = F.col("_metadata.file_path").alias("path")
        # Unique or not, `gone` adds no rows in a semi join.
        found = rows.select("*", path).alias("old").join(gone.alias("gone"), _same(on), "left_semi")
        touched = self._java.java.util.ArrayList()
        moment = int(time.time() * 1000)
        for row in found.select("path").distinct().collect():
            file = command.getTouchedFile(folder, row["path"], by_path)
            touched.add(file)
            self._removed.add(file.removeWithTimestamp(moment, True))
        if not touched.isEmpty():
            rest = self._rows_in(self._convert().asScala(touched).toSeq()).alias("old")
            self.write(packed(rest.join(gone.alias("gone"), _same(on), "left_anti"), self._table))

    def take_out_all(self, name: str, value: str) -> None:
        """Take out the rows that have this value in a column of texts; once in a transaction."""
        columns = list(dict.fromkeys((name, *self._table.partition_by)))
        rows = delta.read(self._lake, self._table, version=self.version).where(F.col(name) == value)
        found = rows.select(*columns).distinct()
        if places := found.collect():
            self.take_out(self._lake.spark.createDataFrame(places, found.schema), on=columns)

    def commit(self, *transactions: Transaction, facts: Mapping[str, Any]) -> int:
        """Make what was written visible and what was taken out invisible, at once; the version.

        `facts` stand in the commit for who audits it.
        """
        moment = self._some(self._java.java.lang.Long.valueOf(int(time.time() * 1000)))
        actions = self._java.java.util.ArrayList()
        actions.addAll(self._added)
        actions.addAll(self._removed)
        for one in transactions:
            actions.add(self._delta.actions.SetTransaction(one.app_id, one.version, moment))
        self._is_tried = True
        return int(self._transaction.commit(self._convert().asScala(actions).toSeq(), self._operation(facts)))

    def _begun(self) -> Any:  # noqa: ANN401 - a Java object
        return self._log.startTransaction(self._none, self._none)

    def _command(self, rows: DataFrame) -> Any:  # noqa: ANN401 - a Java object
        """Something that has the functions of Delta's commands; it is never run."""
        plan = rows._jdf.queryExecution().analyzed()  # noqa: SLF001
        return self._delta.commands.DeleteCommand(self._log, self._none, plan, self._none)

    def _where(self, gone: DataFrame) -> str:
        """In SQL, the partitions in which the rows lie."""
        columns = self._table.partition_by
        if not columns:
            return "true"
        found = gone.select(*columns).distinct().collect()
        values = {name: sorted({_literal(row[name]) for row in found}) or ["NULL"] for name in columns}
        return " AND ".join(f"`{name}` IN ({', '.join(values[name])})" for name in columns)

    def _rows_in(self, files: Any) -> DataFrame:  # noqa: ANN401 - a Java object
        """The rows of these files of the table."""
        rows = self._log.createDataFrame(self._transaction.snapshot(), files, False, self._none)
        return DataFrame(rows, self._lake.spark)

    def _delete(self, file: Any) -> None:  # noqa: ANN401 - a Java object
        try:
            path = file.absolutePath(self._log)
            path.getFileSystem(self._log.newDeltaHadoopConf()).delete(path, False)
        except Exception as error:  # noqa: BLE001 - what went wrong before is what the caller must hear of
            log.warning("%s: a file without a commit stays: %s", self._table.name, error)

    def _operation(self, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a Java object
        modes = self._java.org.apache.spark.sql.SaveMode
        mode = modes.Append if self._removed.isEmpty() else modes.Overwrite
        days = self._java.java.util.ArrayList()
        for name in self._table.partition_by:
            days.add(name)
        none = self._none
        text = self._some(json.dumps(facts, sort_keys=True))
        partitions = self._some(self._convert().asScala(days).toSeq())
        write = getattr(self._delta, "DeltaOperations$Write")
        return write(mode, partitions, none, text, none, none, none, none, none)

    @property
    def _session(self) -> Any:  # noqa: ANN401 - a Java object
        return self._lake.spark._jsparkSession  # noqa: SLF001

    def _some(self, value: object) -> Any:  # noqa: ANN401 - a Java object
        return self._java.scala.Option.apply(value)

    def _convert(self) -> Any:  # noqa: ANN401 - a Java object
        return self._java.scala.jdk.javaapi.CollectionConverters


def packed(rows: DataFrame, table: Table) -> DataFrame:
    """The rows of a partition of the table together, so that few files come of them."""
    return rows.hint("rebalance", *map(F.col, table.partition_by)) if table.partition_by else rows


def _same(names: Iterable[str]) -> Column:
    same = [F.col(f"old.`{name}`").eqNullSafe(F.col(f"gone.`{name}`")) for name in names]
    return reduce(Column.__and__, same)


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
