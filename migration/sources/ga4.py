"""Google Analytics 4: its export from BigQuery as JSON Lines, an event a line.

Parameters and user properties are lists of a key and a value of one of four types; here they have paths like any nested
key (`event_params.ga_session_id`), and are the text of whichever value is there.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from migration.sources.json_lines import Derived, JsonLines, Opening
from migration.sources.json_texts import MARK

_KINDS = ("string_value", "int_value", "float_value", "double_value")
_VALUE = f"struct<{','.join(f'{kind}:string' for kind in _KINDS)}>"


def _parameter(found: Column, key: str) -> Column:
    place = F.array_position(found.getField("key"), key).cast("int") - 1
    return F.coalesce(*[F.get(found.getField("value").getField(kind), place) for kind in _KINDS])


def _event_id(*parts: Column) -> Column:
    return F.sha2(F.to_json(F.array(*parts)), 256)


def _is_signed_in(user_id: Column) -> Column:
    return F.when(F.length(F.trim(user_id)) > 0, "true").otherwise("false")


_PARAMETERS = Opening(
    "a list of parameters",
    f"array<struct<key:string,value:{_VALUE}>>",
    f'[{{"key":"{MARK}"}}]',
    lambda found: found.getField("key"),
    _parameter,
)
# An event has no id of its own. What was sent together may have one time and one name: the parameters tell it apart.
_EVENT_ID = Derived(
    (
        *("user_pseudo_id", "event_timestamp", "event_name", "event_bundle_sequence_id"),
        *("batch_event_index", "batch_ordering_id", "batch_page_id", "event_params"),
    ),
    _event_id,
)

GA4 = JsonLines(
    openings={"event_params": _PARAMETERS, "user_properties": _PARAMETERS},
    derived={"event_id": _EVENT_ID, "is_signed_in": Derived(("user_id",), _is_signed_in)},
)
