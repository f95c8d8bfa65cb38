"""What a run of erasure works on: who goes, kept as plain files until every table is cleared.

Whom the requests mean is found in tables that the run clears itself, so it must be kept: a run that is killed is
finished by the next one. The folder holds tokens; it is deleted as a whole when the run has ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from spark_jobs.erasure.finding import Targets
from spark_jobs.storage import folders
from spark_jobs.storage.delta import Lake

_FOLDER = "work/erasure"
_FACTS = "plan.json"
_IDENTITY = "identity.begun"
IDENTIFIERS = (
    "request_id string, identifier_no bigint, type string, scope string, token binary, since_us bigint, until_us bigint"
)
PERSONS = "request_id string, person_id string, person_no bigint"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: its requests, and the moment of the identity snapshot that it goes by (microseconds since 1970)."""

    lake: Lake
    run_id: str
    requests: tuple[str, ...] = ()
    snapshot_us: int = 0

    @property
    def folder(self) -> str:
        """Where its files lie."""
        return f"{self.lake.root}/{_FOLDER}/{self.run_id}"

    @property
    def targets(self) -> Targets:
        """Who goes; each identifier and each person once a request."""
        return Targets(self.kept("identifiers", IDENTIFIERS), self.kept("persons", PERSONS))

    def keep(self, rows: DataFrame, name: str) -> DataFrame:
        """Write rows into the folder, in place of those of an attempt before; read them from there."""
        path = f"{self.folder}/{name}"
        # One file, of tasks as many as before: what leads to the few rows is of the size of tables.
        rows.repartition(1).write.mode("overwrite").parquet(path)
        return self.lake.spark.read.schema(rows.schema).parquet(path)

    def kept(self, name: str, ddl: str) -> DataFrame:
        """Rows that were kept; none where nobody kept any."""
        path = f"{self.folder}/{name}"
        if not folders.exists(self.lake, f"{path}/_SUCCESS"):
            return self.lake.spark.createDataFrame([], ddl)
        return self.lake.spark.read.schema(ddl).parquet(path)

    def begin(self) -> None:
        """From now on the run is finished by whoever comes next."""
        facts = {"requests": list(self.requests), "snapshot_us": self.snapshot_us}
        place = f"{self.folder}/{_FACTS}"
        folders.write_text(self.lake, f"{place}.partial", json.dumps(facts))
        folders.put_in_place(self.lake, f"{place}.partial", place)

    @property
    def is_in_identity(self) -> bool:
        """True where identity is not whole any more, so that nobody can be looked up in it again."""
        return folders.exists(self.lake, f"{self.folder}/{_IDENTITY}")

    def begin_identity(self) -> None:
        """Note that identity is about to be cleared."""
        if not self.is_in_identity:
            folders.write_text(self.lake, f"{self.folder}/{_IDENTITY}", "")

    def end(self) -> None:
        """Delete the folder, tokens and all."""
        folders.delete(self.lake, self.folder)


def unfinished(lake: Lake) -> Plan | None:
    """The first run that began and did not end; folders of runs that never began go."""
    for name in folders.children(lake, f"{lake.root}/{_FOLDER}"):
        plan = Plan(lake, name)
        path = f"{plan.folder}/{_FACTS}"
        if not folders.exists(lake, path):
            plan.end()
            continue
        facts: Mapping[str, Any] = json.loads(folders.read_text(lake, path))
        return Plan(lake, name, tuple(facts["requests"]), int(facts["snapshot_us"]))
    return None
