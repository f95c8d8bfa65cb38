"""Who refuses profiling: a tag that the settings name says so, and notes in the store of the profile API.

Each note is 16 bytes and somebody's own word, so all of them fit on the driver where persons would not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import NullPool, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import Settings

Note = tuple[str, bytes]
OF_TOKEN, OF_PERSON = "token", "person_id"
# All of them are read into the driver's memory; a tag that says who refuses has no such bound.
MOST_NOTES = 500_000


@dataclass(frozen=True, slots=True)
class Refusals:
    """Who refuses: the tag that says so ('' for none), and notes, in order."""

    tag: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def text(self) -> str:
        """Words that name both, the same for the same; '' where nobody can refuse."""
        notes = f"{len(self.notes)} {fingerprint(self.notes)}" if self.notes else ""
        return f"{self.tag} {notes}".strip()


def refusals_of(settings: Settings) -> Refusals:
    """What the settings and the store of the profile API say; errors as of `noted`."""
    if settings.profiles is None:
        return Refusals()
    return Refusals(settings.profiles.refusal_tag, tuple(noted(settings.profiles.url)))


def noted(url: str) -> list[Note]:
    """Each note, in order: its kind (`token` or `person_id`) and its subject; none where no store was made yet.

    RetryableError where the store does not answer; TerminalError where there are more than MOST_NOTES.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise TerminalError("[profiles] url is no URL of a database; wanted sqlite:///... or postgresql+...") from None
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        return []  # asking would make it
    engine = create_engine(parsed, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("refusals"):
                return []
            rows = connection.execute(text(f"SELECT kind, subject FROM refusals LIMIT {MOST_NOTES + 1}")).all()
    except SQLAlchemyError as error:
        raise RetryableError(
            f"the store of the profile API does not say who refuses profiling ({type(error).__name__}); "
            "does its database run?"
        ) from error
    if len(rows) > MOST_NOTES:
        raise TerminalError(
            f"the store of the profile API notes more than {MOST_NOTES:,} refusals; let a tag say who refuses "
            "([profiles] refusal_tag)"
        )
    return sorted((str(kind), bytes(subject)) for kind, subject in rows)


def fingerprint(notes: Sequence[Note]) -> str:
    """16 hex digits of the notes; '' for none."""
    if not notes:
        return ""
    found = hashlib.sha256()
    for kind, subject in notes:
        found.update(kind.encode() + b"/" + subject)
    return found.hexdigest()[:16]
