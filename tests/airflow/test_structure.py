"""What every DAG must be, whatever it does: read by Airflow itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from spark_jobs.__main__ import JOBS

PARSE_S = 2.0


def tasks_of(bag: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(dag, name, task) for dag, told in bag["dags"].items() for name, task in told["tasks"].items()]


def test_the_folder_is_read_without_errors_in_two_seconds(bag) -> None:
    assert bag["errors"] == {}
    assert {"databank_daily", "databank_migration", "databank_smoke"} <= set(bag["dags"])
    assert bag["seconds"] < PARSE_S


def test_no_dag_runs_beside_itself_or_makes_up_for_days_by_itself(bag) -> None:
    for name, dag in bag["dags"].items():
        assert dag["max_active_runs"] == 1 or name == "databank_smoke", name
        assert not dag["catchup"], name
        assert dag["doc"], name
        if dag["scheduled"]:
            # A bare cron string has no day behind it.
            assert dag["timetable"] in {"CronDataIntervalTimetable", "AssetTriggeredTimetable"}, name
            assert dag["paused"], name


def test_what_starts_spark_takes_a_slot_and_nothing_else_does(bag) -> None:
    found = 0
    for dag, name, task in tasks_of(bag):
        if task["commands"] is None:
            continue
        starts_spark = any(command[:1] in (["spark_jobs"], ["migration"]) for command in task["commands"])
        assert (task["pool"] == "spark") == starts_spark, f"{dag}.{name}"
        found += starts_spark
    assert found > 5


def test_programs_are_tried_again_with_growing_pauses_and_end_some_time(bag) -> None:
    for dag, name, task in tasks_of(bag):
        if task["kind"] == "DatabankOperator":
            assert task["told"], f"{dag}.{name}"
            assert task["retries"] >= 3, f"{dag}.{name}"
            assert task["backs_off"] > 1, f"{dag}.{name}"
            assert task["most_s"] or name == "move_in", f"{dag}.{name}"


def test_every_job_that_a_task_names_exists(bag) -> None:
    for dag, name, task in tasks_of(bag):
        for command in task["commands"] or []:
            starts = [index + 1 for index, word in enumerate(command) if word in ("spark_jobs", "+")]
            assert {command[index] for index in starts} <= set(JOBS), f"{dag}.{name}"


def test_what_is_delivered_was_built_before_in_the_same_run(bag) -> None:
    tasks = bag["dags"]["databank_daily"]["tasks"]

    def names_of(job: str) -> set[str]:
        return {name for name, task in tasks.items() for command in task["commands"] or [] if job in command}

    def before(name: str) -> set[str]:
        return {one for direct in tasks[name]["after"] for one in (direct, *before(direct))}

    for built, delivered in (("tags", "tags-deliver"), ("audience-build", "audience-deliver")):
        (source,), (door,) = names_of(built), names_of(delivered)
        assert source in before(door), delivered


def test_every_week_persons_are_erased_before_files_are_put_together_and_deleted(bag) -> None:
    """Compaction and vacuum behind it work on what is left; an audit stands on both sides."""
    tasks = bag["dags"]["databank_weekly"]["tasks"]
    wanted = ["audit_before", "erase", "expire", "compact", "vacuum", "audit_after"]
    assert {name: tasks[name]["after"] for name in wanted[1:]} == {name: [before] for before, name in pairwise(wanted)}
    assert "--run" in tasks["erase"]["commands"][0]
    assert "--dry-run" not in tasks["expire"]["commands"][0]


def test_readers_are_switched_by_a_person_alone(bag) -> None:
    switches = 0
    for dag, name, task in tasks_of(bag):
        if any({"cutover", "--cutover"} & set(command) for command in task["commands"] or []):
            (before,) = task["after"]
            asked = bag["dags"][dag]["tasks"][before]
            assert asked["kind"] == "ApprovalOperator", f"{dag}.{name}"
            # Airflow makes a time-out for the answer of the one that a task would have.
            assert (asked["most_s"], asked["answer_within"]) == (None, ""), "a person has time"
            switches += 1
    assert switches


def test_a_run_that_its_schedule_starts_has_a_deadline(bag) -> None:
    scheduled = {name: dag["deadline"] for name, dag in bag["dags"].items() if dag["scheduled"]}
    assert scheduled
    assert all(scheduled.values()), scheduled
