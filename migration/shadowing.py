"""Shadow: the same questions to the old side and to the new one, before any reader is switched; equal or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migration.bodies import changes_of_read, versions_read
from migration.documents import version_of
from migration.jobfile import Job, Switch
from migration.questions import Question
from migration.work import Work
from spark_jobs.errors import TerminalError
from trino_catalog.connection import Trino

SHADOWED = "shadowed"
SHOWN = 5
RELATION = "purchases"


@dataclass(frozen=True, slots=True)
class Answer:
    """What both sides said: rows of the old side, and the rows that only one side has (at most SHOWN of each)."""

    name: str
    rows: int
    only_old: tuple[Any, ...]
    only_new: tuple[Any, ...]

    @property
    def is_equal(self) -> bool:
        """True where both sides gave the same rows."""
        return not self.only_old and not self.only_new


def shadow(work: Work, client: Trino, *, versions: Mapping[str, int]) -> dict[str, int]:
    """Compare both sides and note what came of it, red or green; rows of the old side by question.

    In: the verified version of each table. The run counts for them alone, for these questions and bodies, and for the
    other tables that these read, as they are when it begins.
    """
    if work.job.switch is None or not work.job.questions:
        raise TerminalError(f"job {work.job.name} names no `shadow` file; nothing can be compared")
    read = versions_read(work)
    answers = compare(client, work.job.switch, work.job.questions)
    rows = {answer.name: answer.rows for answer in answers}
    facts = {"differ": [answer.name for answer in answers if not answer.is_equal], "asked": asked(work.job)}
    work.ledger.record_step(work.plan.plan_id, SHADOWED, {**facts, "rows": rows, "versions": versions, "read": read})
    check_equal(answers)
    return rows


def asked(job: Job) -> str:
    """The version of what a shadow run asks: questions and bodies."""
    bodies = [job.switch.old.statement, job.switch.new.statement] if job.switch else []
    return version_of([*bodies, *[[question.name, question.sql] for question in job.questions]])


def check_shadow(work: Work, versions: Mapping[str, int]) -> None:
    """TerminalError where the newest shadow run is red, or was another one than the switch is about."""
    if not work.job.questions:
        return
    last = work.ledger.last_step(work.plan.plan_id, SHADOWED)
    if last is None:
        found = "has passed no shadow run"
    elif last.facts.get("differ"):
        found = f"failed its shadow run at {last.at}: old and new side differ in {', '.join(last.facts['differ'])}"
    elif last.facts.get("asked") != asked(work.job):
        found = f"passed its shadow run at {last.at} with other questions or views"
    elif last.facts.get("versions") != versions:
        found = f"was verified anew after its shadow run at {last.at}"
    elif "read" not in last.facts:
        found = f"passed its shadow run at {last.at}, which did not note in which state the views' tables were"
    elif changed := changes_of_read(work, last.facts["read"]):
        found = f"passed its shadow run at {last.at} before what the views read was changed: {changed}"
    else:
        return
    raise TerminalError(f"plan {work.plan.plan_id} {found}; nothing was switched; run `migration shadow`")


def compare(client: Trino, switch: Switch, questions: Sequence[Question]) -> list[Answer]:
    """Ask both sides every question; rows are compared exactly, as many times as they come, in any order."""
    old, new = switch.old.query, switch.new.query
    return [_answer(question, _ask(client, old, question), _ask(client, new, question)) for question in questions]


def _ask(client: Trino, query: str, question: Question) -> Sequence[Sequence[Any]]:
    sql = question.sql.rstrip().rstrip(";")
    return client.ask(f"WITH {RELATION} AS (\n{query}\n)\n{sql}").rows


def _answer(question: Question, old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> Answer:
    left, right = Counter(map(repr, map(tuple, old))), Counter(map(repr, map(tuple, new)))
    return Answer(question.name, len(old), _shown(left - right), _shown(right - left))


def _shown(rows: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(rows.elements())[:SHOWN])


def check_equal(answers: Sequence[Answer]) -> None:
    """Raise TerminalError with the differences of every question that both sides answer differently."""
    different = [answer for answer in answers if not answer.is_equal]
    if different:
        lines = [f"  {a.name}: only old {list(a.only_old)}, only new {list(a.only_new)}" for a in different]
        raise TerminalError(
            "\n".join([f"{len(different)} of {len(answers)} shadow queries differ; nothing was switched:", *lines])
        )
