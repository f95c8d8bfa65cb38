"""A store of the profile API that holds nothing but notes of refusals."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy


def write_notes(file: Path, tokens: Iterable[bytes]) -> str:
    """Make these notes, and no others, the ones that are there; the store's URL."""
    store = sqlalchemy.create_engine(url := f"sqlite:///{file}")
    with store.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS refusals"))
        connection.execute(sqlalchemy.text("CREATE TABLE refusals (subject BLOB, kind TEXT, noted_at TEXT)"))
        for subject in tokens:
            insert = sqlalchemy.text("INSERT INTO refusals VALUES (:subject, 'token', '')")
            connection.execute(insert, {"subject": subject})
    store.dispose()
    return url
