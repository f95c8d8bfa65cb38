"""Run in Airflow's environment: how a task ends that ran a program, by the program's code; told and said as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from _spark import plain_job


def ended(commands: list[list[str]], facts: list[str]) -> Any:  # noqa: ANN401 - whatever a task gives Airflow
    try:
        return plain_job("task", *commands, facts=facts).execute({})
    except Exception as error:  # noqa: BLE001 - its kind is what is asked for
        return {"error": type(error).__name__, "says": str(error)}


json.dump([ended(**one) for one in json.load(sys.stdin)], sys.stdout)
