"""How good the identities are: the platform's map against the truth, which only `bench.company` may read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.demo.jobs import Jobs
from services.demo.options import Options
from trino_catalog.connection import Answer, Trino

_MAP = """SELECT type, scope, lower(to_hex(token)) AS token, person_id,
    CAST(valid_from AS varchar) AS valid_from, CAST(valid_to AS varchar) AS valid_to
FROM lake.core.identity_current"""
_EVENTS = "SELECT event_id, person_id FROM lake.core.events_by_person WHERE origin LIKE 'stream/%'"


def score(trino: Trino, jobs: Jobs, options: Options) -> dict[str, Any]:
    """Precision and recall of pairs of identifiers, and where anonymous events went, as `bench.company` counts them."""
    folder = options.data / "quality"
    folder.mkdir(exist_ok=True)
    map_file, events_file = folder / "map.parquet", folder / "events.parquet"
    _write(trino.ask(_MAP), map_file)
    _write(trino.ask(_EVENTS), events_file)
    truth = ["--truth", str(options.files / "truth"), "--map", str(map_file), "--events", str(events_file)]
    key_file = options.data / "keys" / "root.json"
    (found,) = jobs.run("score", ["bench.company", "score", *truth, "--key-file", str(key_file)])
    return found


def _write(answer: Answer, path: Path) -> None:
    columns: Sequence[Sequence[Any]] = list(zip(*answer.rows, strict=True)) or [()] * len(answer.columns)
    arrays = [pa.array(column, pa.string()) for column in columns]
    pq.write_table(pa.table(arrays, names=list(answer.columns)), path)
