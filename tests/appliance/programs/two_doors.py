"""Knock at some of the smoke's doors; told: what the smoke is told, and `doors`. Says each one's answer or error."""

from __future__ import annotations

import json
import sys

from services.smoke import doors

told = json.load(sys.stdin)
wanted = told.pop("doors")
cluster = doors.Cluster(**told, mark=doors.new_mark())
knocks = {"Kafka": doors.kafka_keeps_what_it_acknowledges, "HDFS": doors.hdfs_gives_back_what_it_got}
said = {}
for name in wanted:
    try:
        said[name] = knocks[name](cluster)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        said[name] = f"{type(error).__name__}: {error}"
sys.stdout.write(json.dumps(said))
