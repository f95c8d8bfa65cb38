"""Whether live answers agree with the batch's for the same moment: looked at before anybody is sent there."""

from __future__ import annotations

from services.live import states
from services.live.answering import live_answers
from services.live.definitions import LiveFacts
from services.live.progress import Progress
from services.profiles.database import Database
from spark_jobs.errors import TerminalError

# At both ends of the persons' numbers: those that are known longest, and those that came last.
PERSONS_A_SIDE = 500


def check(database: Database, of: Progress, facts: LiveFacts) -> int:
    """Answer some persons at the batch's base time; how many. TerminalError where an answer is not the batch's.

    Who refuses profiling was left out by the batch, or is by readers, and is not looked at.
    """
    differing: dict[str, int] = {}
    count = 0
    for direction in ("ASC", "DESC"):
        sql = f"SELECT person_no FROM facts_{of.number} ORDER BY person_no {direction} LIMIT {PERSONS_A_SIDE}"
        persons = [int(person or 0) for (person,) in database.rows(sql)]
        if not persons:
            continue
        known = [one for one in states.read(database, of, persons) if not one.is_refused]
        answers = live_answers([one.rows for one in known], facts.plan, facts.base)
        for name, values in answers.values.items():
            number = facts.tags[name].number
            wanted = [one.batch[number][0] if number in one.batch else None for one in known]
            if wrong := sum(value != other for value, other in zip(values, wanted, strict=True)):
                differing[name] = differing.get(name, 0) + wrong
        count += len(known)
    if differing:
        shown = {name: wrong for name, wrong in differing.items() if not facts.tags[name].is_sensitive}
        told = ", ".join(f"{name} ({wrong})" for name, wrong in sorted(shown.items()))
        raise TerminalError(
            f"{of.workspace}: of {count} persons live answers differ from the batch's: {told or 'withheld'}; do zone "
            "and history stand in the settings as they did for `tags run`? "
            "`profiles load --without-live` serves the batch alone"
        )
    return count
