"""How a route asks: what the key allows, which snapshot is seen, and the store behind both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from services.profiles import answers, generations, problems, reading
from services.profiles.access import READ, ApiKey, KeyRing
from services.profiles.addressing import TYPES, Addressing, Asked, Keys, wanted
from services.profiles.answers import Asking
from services.profiles.counters import Counters
from services.profiles.database import Database
from services.profiles.limits import Limits
from services.profiles.problems import RefusedError
from services.profiles.reading import Reader, Seen
from spark_jobs.errors import PlatformError

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes work with; `threads` ask a store that is reached through a network."""

    database: Database
    reader: Reader
    addressing: Addressing
    keys: KeyRing
    limits: Limits
    counters: Counters
    threads: ThreadPoolExecutor

    async def ask(self, act: Callable[[], Answer]) -> Answer:
        """Ask the store: at once where that takes microseconds (SQLite), else in a thread."""
        if not self.database.blocks:
            return act()
        return await asyncio.get_running_loop().run_in_executor(self.threads, act)


def service_of(
    database: Database, addressing: Addressing, counters: Counters, *, processes: int = 1, threads: int = 8
) -> Service:
    """A service on an open store; processes: how many of them share a key's rate."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="store")
    return Service(
        database, Reader(database), addressing, KeyRing(database), Limits(processes=processes), counters, pool
    )


async def asker(service: Service, request: Request) -> ApiKey:
    """The key that a request came with; RefusedError where it opens nothing."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    given = given.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "")
    if service.keys.is_stale():
        await service.ask(service.keys.refresh)
    key = service.keys.opened_by(given)
    if key is None:
        headers = {"WWW-Authenticate": 'Bearer realm="databank profiles"'}
        raise RefusedError(problems.NO_KEY, "Send `Authorization: Bearer KEY`.", headers=headers)
    return key


def admit(service: Service, key: ApiKey, workspace: str | None, *, persons: int) -> str:
    """The workspace that is asked about; RefusedError where the key may not, or has asked for too many persons."""
    if READ not in key.grant.scopes:
        raise RefusedError(problems.NO_SCOPE, f"The key lacks the scope {READ}.")
    if workspace is None:
        if len(key.grant.workspaces) != 1 or key.grant.enters(""):
            raise RefusedError(problems.BAD_REQUEST, "The key opens several workspaces: name one by `workspace`.")
        (workspace,) = key.grant.workspaces
    if not key.grant.enters(workspace):
        raise RefusedError(problems.NO_SCOPE, "The key does not open this workspace.")
    if wait_s := service.limits.wait_s(key, persons):
        detail = f"Ask again in {wait_s} s; the key is good for {key.grant.rate:g} persons a second."
        raise RefusedError(problems.TOO_MANY, detail, headers={"Retry-After": str(wait_s)})
    return workspace


def keys_of(service: Service, asked: Asked) -> Keys:
    """The store's keys of a question; RefusedError where its type is not declared."""
    if asked.type not in TYPES:
        raise RefusedError(problems.BAD_REQUEST, f"The type is none of {', '.join(TYPES)}.")
    return service.addressing.keys(asked)


async def seen_by(service: Service, workspace: str, every: Sequence[Keys], names: Sequence[str]) -> Seen:
    """What the store holds of these; RefusedError where nothing is loaded, or a name is no tag's."""
    seen = await service.ask(lambda: reading.look_up(service.reader, workspace, wanted(every)))
    if seen is None:
        raise RefusedError(problems.NOT_LOADED, "Nothing of this workspace is loaded; `./databank profiles load`.")
    if unknown := answers.unknown_names(seen, names):
        raise RefusedError(problems.BAD_REQUEST, f"No such tags: {', '.join(sorted(unknown))[:500]}.")
    return seen


def asking_of(key: ApiKey, names: Sequence[str]) -> Asking:
    """What an answer is made for."""
    return Asking(key.grant, tuple(dict.fromkeys(names)), datetime.now(UTC))


def answer(content: dict[str, Any]) -> Response:
    """An answer, which no cache keeps."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


async def is_ready(service: Service) -> tuple[bool, str]:
    """Whether the store answers and holds a snapshot, and why not."""
    try:
        found = await service.ask(lambda: generations.pointers(service.database))
    except PlatformError:
        return False, "The store does not answer."
    return bool(found), "" if found else "No snapshot is loaded."
