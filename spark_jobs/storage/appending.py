"""An append in two steps: files first, then one commit that can say what is in them.

Spark's writer wants a commit's metadata before a row is read. Here a transaction is begun, its files are written, and
what was counted on the way goes into the commit with them: one pass over the rows, and a process that dies leaves
either no commit or one that says by itself what it holds. Files without a commit are nobody's; a vacuum takes them.

Delta's own transaction is used as its writer uses it (Delta 4.4, `WriteIntoDelta`); PySpark has no name for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import Lake, Transaction, conform


class Append:
    """One transaction on one table; begun when it is made, so that what it was told then holds at its commit."""

    _java: Any

    def __init__(self, lake: Lake, table: Table) -> None:
        """Begin; the table must exist."""
        self._java = lake.spark._jvm  # noqa: SLF001 - PySpark has no name for it
        self._delta = self._java.org.apache.spark.sql.delta
        self._table = table
        log = self._delta.DeltaLog.forTable(lake.spark._jsparkSession, lake.path_of(table))  # noqa: SLF001
        none = self._java.scala.Option.empty()
        self._transaction = log.startTransaction(none, none)
        self._actions = self._java.java.util.ArrayList()

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
        self._actions.addAll(self._convert().asJava(files))

    def commit(self, *transactions: Transaction, facts: Mapping[str, Any]) -> int:
        """Make what was written visible, once; the version. `facts` stand in the commit for who audits it."""
        moment = self._some(self._java.java.lang.Long.valueOf(int(time.time() * 1000)))
        for one in transactions:
            self._actions.add(self._delta.actions.SetTransaction(one.app_id, one.version, moment))
        actions = self._convert().asScala(self._actions).toSeq()
        return int(self._transaction.commit(actions, self._operation(facts)))

    def _operation(self, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a Java object
        append = self._java.org.apache.spark.sql.SaveMode.Append
        days = self._java.java.util.ArrayList()
        for name in self._table.partition_by:
            days.add(name)
        none = self._java.scala.Option.empty()
        text = self._some(json.dumps(facts, sort_keys=True))
        partitions = self._some(self._convert().asScala(days).toSeq())
        write = getattr(self._delta, "DeltaOperations$Write")
        return write(append, partitions, none, text, none, none, none, none, none)

    def _some(self, value: object) -> Any:  # noqa: ANN401 - a Java object
        return self._java.scala.Option.apply(value)

    def _convert(self) -> Any:  # noqa: ANN401 - a Java object
        return self._java.scala.jdk.javaapi.CollectionConverters
