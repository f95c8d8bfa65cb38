"""The audience that an export is chosen by: of the same state of tags as its columns, or of none."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.exports.definition import Export
from spark_jobs.exports.manifest import Basis, Selection
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake


def chosen(lake: Lake, export: Export, basis: Basis) -> Selection:
    """The audience as it is published of the state of tags that is exported.

    RetryableError where the audiences stand on another state of tags: files of both would be of no moment.
    TerminalError where there is no such audience, or its classes are not allowed.
    """
    build = f"run `databank audience build --workspace {export.workspace}`"
    if not delta.exists(lake, AUDIENCE_PUBLICATIONS):
        raise TerminalError(f"export {export.name}: no audiences are published; {build}")
    rows = delta.read(lake, AUDIENCE_PUBLICATIONS).where(F.col("workspace_id") == export.workspace)
    newest = rows.orderBy(F.desc("number")).limit(1).collect()
    if not newest:
        raise TerminalError(f"export {export.name}: no audiences of {export.workspace} are published; {build}")
    row = newest[0]
    if row["tags_generation"] != basis.generation:
        raise RetryableError(
            f"export {export.name}: the audiences stand on generation {row['tags_generation']} of tags, in force is "
            f"{basis.generation}; {build}, then start the export again"
        )
    told: dict[str, dict[str, Any]] = json.loads(row["audiences"])
    if export.audience not in told:
        known = ", ".join(sorted(told))
        raise TerminalError(f"export {export.name}: no audience {export.audience} is published; wanted: one of {known}")
    facts = told[export.audience]
    if sensitive := set(filter(None, facts["classes"].split(","))) - set(export.classes):
        named = ", ".join(sorted(sensitive))
        raise TerminalError(
            f"export {export.name}: audience {export.audience} is of sensitive classes ({named}). "
            "Choose another one; or, where the purpose allows them, name its classes under `classes`"
        )
    return Selection(export.audience, row["number"], row["generation"], facts["version"], facts["persons"])
