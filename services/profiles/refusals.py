"""Who refuses profiling: noted by token or master id, in force at once and in every generation to come."""

from __future__ import annotations

from services.profiles import generations
from services.profiles.addressing import Keys
from services.profiles.database import Database
from services.profiles.schema import IDENTITY
from spark_jobs.errors import TerminalError

_TABLES = {"token": "identifiers", "person_id": "masters"}


def refuse(database: Database, keys: Keys) -> int:
    """Note a refusal, whether anybody is known by it yet or not; in how many generations somebody was.

    A load that is under way reads the note where it did not see the person now, or was seen by this where it did.
    """
    _hold(keys)
    with database.transaction():
        for key in keys.keys:
            database.run("DELETE FROM refusals WHERE subject = ?", [key])
            values = [key, keys.by, generations.now_text()]
            database.run("INSERT INTO refusals (subject, kind, noted_at) VALUES (?, ?, ?)", values)
    marked = 0
    for one in generations.generations(database):
        if one.kind == IDENTITY:
            with database.transaction():
                marked += sum(_mark(database, one.number, keys.by, key) for key in keys.keys)
    return marked


def allow(database: Database, keys: Keys) -> int:
    """Take a refusal back; how many notes there were. It takes effect with the next identity generation."""
    _hold(keys)
    return sum(database.run("DELETE FROM refusals WHERE subject = ?", [key]) for key in keys.keys)


def count(database: Database) -> int:
    """How many refusals are noted."""
    return int(database.rows("SELECT count(*) FROM refusals")[0][0] or 0)


def _hold(keys: Keys) -> None:
    if keys.reason:
        raise TerminalError(f"the identifier is refused as {keys.reason}")


def _mark(database: Database, number: int, by: str, key: bytes) -> int:
    return database.run(
        f"INSERT INTO refused_{number} (person_no) SELECT k.person_no FROM {_TABLES[by]}_{number} AS k "
        f"WHERE k.{by} = ? AND k.person_no NOT IN (SELECT person_no FROM refused_{number}) ON CONFLICT DO NOTHING",
        [key],
    )
