"""Files of text for tests of the migration: what was read of them, line by line, and where their records went."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import yaml
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from migration.sources.lines import MAX_LINE_BYTES
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.storage import delta
from tests.migration_files import OldSystem, old_system

TOO_LONG = f"longer than {MAX_LINE_BYTES} bytes; only these are kept"
NO_OBJECT = "not one JSON object"


def found_in(rows: DataFrame) -> list[object]:
    """Line by line: the reason, or the fields where there is none."""
    lines = sorted(rows.select("line", "fields", "reason").collect(), key=lambda row: row.line)
    return [
        row.reason or tuple(value for name, value in row.fields.asDict().items() if name != "_broken") for row in lines
    ]


def text_system(folder: Path, **changes: object) -> OldSystem:
    """An old system whose mapping is the demo's with other keys."""
    old = old_system(folder)
    path = folder / "order_lines.yaml"
    mapping = yaml.safe_load(path.read_text()) | {"files": "transactions/*", **changes}
    path.write_text(yaml.safe_dump(mapping))
    return old


def place_of(work: Work, name: str) -> tuple[int, int, int, int]:
    """Of one file: read, good, quarantined, duplicate."""
    (chunk,) = [one for one in work.ledger.chunks(work.plan.plan_id) if one.source_object.endswith(f"/{name}")]
    assert chunk.counts is not None
    assert chunk.counts.is_conserved
    return chunk.counts.read, chunk.counts.good.rows, chunk.counts.quarantined, chunk.counts.duplicate


def quarantine(work: Work) -> dict[str, list[Row]]:
    """Refused records by file, in the order of their lines."""
    found: dict[str, list[Row]] = {}
    rows = delta.read(work.lake, QUARANTINE_ROWS).orderBy("source_object", "position")
    for row in rows.select("source_object", "position", "reason", F.octet_length("sealed").alias("bytes")).collect():
        found.setdefault(Path(row.source_object).name, []).append(row)
    return found


def order(basket: int, **changes: object) -> str:
    """One good record; a change to `...` leaves a key out."""
    values: dict[str, object] = {
        **dict.fromkeys(("week", "quantity", "product_id", "store_id"), 1),
        "basket_id": basket,
        "buyer": {"number": f"H{1000 + basket % 7}"},
        "transaction_timestamp": "2017-01-02 12:00:00",
        **dict.fromkeys(("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"), 1.5),
        **changes,
    }
    return json.dumps({key: value for key, value in values.items() if value is not ...}, ensure_ascii=False)


def json_system(folder: Path) -> OldSystem:
    old = text_system(folder, format="jsonl")
    path = folder / "order_lines.yaml"
    path.write_text(path.read_text().replace("token: household_id", "token: buyer.number"))
    (old.export / "transactions").mkdir()
    return old


def event(number: int, **changes: object) -> str:
    """One event as BigQuery exports it: integers of 64 bits are texts."""
    parameters = [
        {"key": "ga_session_id", "value": {"int_value": "1704067000"}},
        {"key": "value", "value": {"double_value": 12.5}},
        {"key": "page_title", "value": {"string_value": "Shoes"}},
        {"key": "nothing", "value": {}},
    ]
    values: dict[str, object] = {
        "event_timestamp": str(1704067200123456 + number),
        "event_name": "page_view",
        "event_params": parameters,
        "event_bundle_sequence_id": "77",
        "user_pseudo_id": f"19000000{number}.1704000000",
        "user_properties": [{"key": "tier", "value": {"string_value": "gold", "set_timestamp_micros": "1"}}],
        "device": {"category": "mobile", "language": "de"},
        "geo": {"country": "Germany"},
        "platform": "WEB",
    }
    return json.dumps(values | changes)


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def flipped(packed: bytes) -> bytes:
    """A frame of zstd with one bit flipped, which gives other lines, as many as before."""
    wanted = _unpacked(packed).split(b"\n")
    for place in range(len(packed) // 2, len(packed)):
        found = packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]
        try:
            lines = _unpacked(found).split(b"\n")
        except OSError:
            continue
        if lines != wanted and (len(lines), lines[-1]) == (len(wanted), wanted[-1]):
            return found
    raise AssertionError("every flip shows")


def _unpacked(packed: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        return bytes(stream.read())
