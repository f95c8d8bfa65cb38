"""How a task ends, by the status and the words of the program that it ran."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.embedded import airflow
from services.embedded.layout import prepare
from services.setup import paths
from services.setup.resolved import resolved

PROGRAM = Path(__file__).with_name("programs") / "operators.py"
BIG = "print('{\"big\": \"' + 'x' * 50_000 + '\"}')"
SECRETS = "import os; print(os.environ.keys() & {'AIRFLOW_CONFIG', 'AIRFLOW_HOME', 'PYTHONPATH'} or '{\"none\": 1}')"


def said(words: str, status: int) -> str:
    return f"import sys; sys.stderr.write({words!r}); sys.exit({status})"


# Name: the programs' codes, the facts that the task names, what it gives Airflow or the error with a part of its words.
CASES: dict[str, tuple[list[str], list[str], Any]] = {
    "its named facts go on, the others do not": (['print(\'{"rows": 3, "name": "x"}\')'], ["rows"], {"rows": 3}),
    "facts of all its programs": (["print('{\"a\": 1}')", "print('{\"b\": 2}')"], ["a", "b"], {"a": 1, "b": 2}),
    "without named facts nothing": (["print('{\"rows\": 3}')"], [], None),
    "try again later": (
        [said("no broker", 75)],
        [],
        ("AirflowException", "no broker\nThe same call may"),
    ),
    "killed": (["import os; os.kill(os.getpid(), 9)"], [], ("AirflowException", "ended with status -9")),
    "a person must look": ([said("no such job", 1)], [], ("AirflowFailException", "status 1: no such job")),
    "a defect": ([said("Traceback", 70)], [], ("AirflowFailException", "Repeating it cannot succeed")),
    "the first failure ends it": (
        [said("", 1), "print('{\"rows\": 3}')"],
        ["rows"],
        ("AirflowFailException", "status 1"),
    ),
    "a fact that is missing": (["print('{\"b\": 2}')"], ["a"], ("AirflowFailException", "printed no a; it printed b")),
    "facts over 48 KB": ([BIG], ["big"], ("AirflowFailException", "take 50011 bytes, and 49152 may go through")),
    "nothing of Airflow's own reaches it": ([SECRETS], ["none"], {"none": 1}),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All cases in one process: Airflow takes seconds to load."""
    layout = prepare(tmp_path_factory.mktemp("operators"))
    airflow.prepare(resolved(), layout, port=9)
    told = airflow.environment_of_programs(layout) | {"PYTHONPATH": str(paths.REPO / "dags")}
    given = [{"commands": [[code] for code in codes], "facts": facts} for codes, facts, _ in CASES.values()]
    finished = subprocess.run(
        [str(airflow.python()), "-P", str(PROGRAM)],
        env=told | {"DATABANK_PROGRAM": f"{sys.executable} -c"},
        input=json.dumps(given),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return dict(zip(CASES, json.loads(finished.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_task_ends_as_its_program_says(ended: dict[str, Any], case: str) -> None:
    wanted = CASES[case][2]
    if isinstance(wanted, tuple):
        assert ended[case]["error"] == wanted[0]
        assert wanted[1] in ended[case]["says"]
    else:
        assert ended[case] == wanted


def test_where_there_is_no_program_the_message_says_what_to_do(tmp_path: Path) -> None:
    layout = prepare(tmp_path)
    airflow.prepare(resolved(), layout, port=9)
    told = airflow.environment_of_programs(layout) | {"PYTHONPATH": str(paths.REPO / "dags")}
    finished = subprocess.run(
        [str(airflow.python()), "-P", str(PROGRAM)],
        env=told | {"DATABANK_PROGRAM": str(tmp_path / "absent")},
        input=json.dumps([{"commands": [["x"]], "facts": []}]),
        capture_output=True,
        text=True,
    )
    (found,) = json.loads(finished.stdout.splitlines()[-1])
    assert found["error"] == "AirflowFailException"
    assert "absent cannot be run here; wanted: the platform's program" in found["says"]
