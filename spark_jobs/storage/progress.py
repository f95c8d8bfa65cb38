"""How far a job is: its running stages, told in its log while it works, where who started it asks for that."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

EVERY_VARIABLE = "DATABANK_PROGRESS_S"  # seconds between two tellings; absent or 0: none
MOST_STAGES = 3  # of many that run at a time
LAST_WORD_S = 10.0  # a JVM that hangs must not hold the job


@dataclass(frozen=True, slots=True)
class Stage:
    """One running stage: its tasks, and the rows that its finished and running tasks have met so far."""

    number: int
    name: str
    tasks: int
    tasks_done: int
    rows_read: int
    rows_shuffled: int
    rows_written: int

    def __str__(self) -> str:
        rows = {"read": self.rows_read, "from shuffles": self.rows_shuffled, "written": self.rows_written}
        told = [f"{count:,} rows {name}" for name, count in rows.items() if count]
        return ", ".join([f"stage {self.number} ({self.name}): {self.tasks_done} of {self.tasks} tasks", *told])


@contextmanager
def told(spark: SparkSession) -> Iterator[None]:
    """Tell every few seconds what runs, while the block does; silent where nobody asked."""
    every_s = interval_s(os.environ.get(EVERY_VARIABLE, ""))
    if every_s is None:
        yield
        return
    ended = threading.Event()
    teller = threading.Thread(target=_tell, args=(spark, ended, every_s), daemon=True, name="progress")
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join(timeout=LAST_WORD_S)


def interval_s(text: str) -> float | None:
    """Seconds between two tellings; None for none: what is no number must not end a job."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if seconds > 0 else None


def stages(spark: SparkSession) -> list[Stage]:
    """The stages that run now, as Spark's own status store knows them; the store is there without a UI."""
    active = spark.sparkContext._jsc.sc().statusStore().activeStages()  # noqa: SLF001 - PySpark has no name for it
    found = (active.apply(number) for number in range(min(active.size(), MOST_STAGES)))
    return [
        Stage(
            one.stageId(),
            one.name().partition(" at ")[0],
            one.numTasks(),
            one.numCompleteTasks(),
            one.inputRecords(),
            one.shuffleReadRecords(),
            one.outputRecords(),
        )
        for one in found
    ]


def _tell(spark: SparkSession, ended: threading.Event, every_s: float) -> None:
    while not ended.wait(every_s):
        try:
            for stage in stages(spark):
                log.info("%s", stage)
        except (Py4JError, OSError):  # the session ends: the job itself says how
            return
