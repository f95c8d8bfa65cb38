"""The store's tables: those that stay, and those of one generation, which carry its number in their names.

A generation is filled beside the others and never changed once readers are sent to it, so what a request reads by one
pointer is of one snapshot. The only exception takes answers away and adds none: who refuses profiling.

pointers            workspace -> the generations in force: identity (identifiers, master ids) and tags
generations         one row a generation, from the moment its tables are begun; numbers are never used twice
identifiers_N       token (16 bytes) -> person_no                     grain: one identifier that somebody holds for good
masters_N           master id (16 bytes) -> person_no                 grain: one master id, merged ones included
persons_N           person_no -> master id                            grain: one living person
refused_N           person_no                                         grain: one person who refuses profiling
profiles_N          person_no -> all tags of one workspace, packed    grain: one person with a tag value

Of live tags (docs/live-tags.md), whose generations stand on one of identity and one of tags:
live_progress       live generation -> how far it has come                grain: one that is followed, or waits
live_outbox         messages for the topic that are not known to be sent  grain: one message, in order
live_store          one row: an id of this store, made once
facts_N             person_no -> events at the watermark, packed          grain: one person with such events
registrations_N     person_no -> registrations, packed                    grain: one registered person
spans_N             token -> who held it when                             grain: one identifier that changed hands
left_out_N          person_no                                             grain: one person whom the batch left out
live_N              person_no -> events since, answers, next change       grain: one person who is answered anew
"""

from __future__ import annotations

import uuid

from services.profiles.database import Database
from spark_jobs.errors import TerminalError

IDENTITY, TAGS, LIVE = "identity", "tags", "live"


def _first(database: Database) -> tuple[str, ...]:
    blob = database.bytes_type
    tables = {
        "generations": f"number {database.number_key}, kind TEXT NOT NULL, workspace TEXT NOT NULL, "
        "state TEXT NOT NULL, facts TEXT NOT NULL, dictionary TEXT NOT NULL, begun_at TEXT NOT NULL, retired_at TEXT",
        "pointers": "workspace TEXT PRIMARY KEY, identity_no BIGINT NOT NULL, tags_no BIGINT NOT NULL, "
        "publication BIGINT NOT NULL, snapshot_id TEXT NOT NULL, published_at TEXT NOT NULL, base_at TEXT NOT NULL, "
        "loaded_at TEXT NOT NULL",
        "refusals": f"subject {blob} PRIMARY KEY, kind TEXT NOT NULL, noted_at TEXT NOT NULL",
        "api_keys": "key_id TEXT PRIMARY KEY, digest TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, "
        "workspaces TEXT NOT NULL, rate DOUBLE PRECISION NOT NULL, burst BIGINT NOT NULL, created_at TEXT NOT NULL, "
        "expires_at TEXT, revoked_at TEXT",
    }
    return tuple(f"CREATE TABLE {name} ({columns})" for name, columns in tables.items())


def _live(database: Database) -> tuple[str, ...]:
    progress = "number BIGINT PRIMARY KEY, workspace TEXT NOT NULL, state TEXT NOT NULL, identity_no BIGINT NOT NULL, "
    progress += "tags_no BIGINT NOT NULL, pointer TEXT NOT NULL, as_of BIGINT NOT NULL, reached BIGINT NOT NULL, "
    progress += "offsets TEXT NOT NULL, writes BIGINT NOT NULL"
    outbox = f"seq {database.number_key}, workspace TEXT NOT NULL, number BIGINT NOT NULL, place INTEGER NOT NULL, "
    outbox += "message_key TEXT NOT NULL, message TEXT NOT NULL"
    return (
        "ALTER TABLE pointers ADD COLUMN live_no BIGINT",
        f"CREATE TABLE live_progress ({progress})",
        f"CREATE TABLE live_outbox ({outbox})",
        "CREATE TABLE live_store (store_id TEXT PRIMARY KEY)",
        f"INSERT INTO live_store VALUES ('{uuid.uuid4()}')",
    )


# Numbered from 1 and gapless; one that has been released is never edited.
_STEPS = (_first, _live)


def upgrade(database: Database) -> None:
    """Bring the store's lasting tables to this release's version; TerminalError where they are of a later one."""
    database.run("CREATE TABLE IF NOT EXISTS store_versions (version INTEGER PRIMARY KEY)")
    if _version(database) == len(_STEPS):
        return
    with database.exclusive("upgrade"):
        found = _version(database)
        if found > len(_STEPS):
            raise TerminalError(
                f"the store is of version {found}, this release knows {len(_STEPS)}; start the release that wrote it"
            )
        for number, step in enumerate(_STEPS[found:], start=found + 1):
            with database.transaction():
                for statement in step(database):
                    database.run(statement)
                database.run("INSERT INTO store_versions VALUES (?)", [number])


def _version(database: Database) -> int:
    return int(database.rows("SELECT coalesce(max(version), 0) FROM store_versions")[0][0] or 0)


def tables_of(kind: str, number: int, database: Database) -> dict[str, str]:
    """Name to columns of the tables of one generation, the key first."""
    blob = database.bytes_type
    if kind == IDENTITY:
        return {
            f"identifiers_{number}": f"token {blob}, person_no BIGINT NOT NULL",
            f"masters_{number}": f"person_id {blob}, person_no BIGINT NOT NULL",
            f"persons_{number}": f"person_no BIGINT, person_id {blob} NOT NULL",
            f"refused_{number}": "person_no BIGINT",
        }
    if kind == LIVE:
        return {
            f"facts_{number}": f"person_no BIGINT, packed {blob} NOT NULL",
            f"registrations_{number}": f"person_no BIGINT, packed {blob} NOT NULL",
            f"spans_{number}": f"token {blob}, packed TEXT NOT NULL",
            f"left_out_{number}": "person_no BIGINT",
            f"live_{number}": "person_no BIGINT, next_at BIGINT NOT NULL, as_of BIGINT NOT NULL, "
            f"answers TEXT NOT NULL, events {blob} NOT NULL",
        }
    columns = "person_no BIGINT, tags INTEGER NOT NULL, refused INTEGER NOT NULL, packed TEXT NOT NULL"
    return {f"profiles_{number}": columns}
