"""The addresses of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from services.profiles import answers, asking, generations, problems
from services.profiles.addressing import Asked
from services.profiles.asking import Service
from services.profiles.bodies import BATCH_SCHEMA, BatchAnswer, ProblemBody, ProfileAnswer, batch_of
from services.profiles.counters import gauges
from services.profiles.page import page
from services.profiles.problems import RefusedError

_FAILURES: dict[int | str, dict[str, Any]] = {
    problem.status: {
        "description": problem.title,
        "content": {problems.MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}},
    }
    for problem in (problems.BAD_REQUEST, problems.NO_KEY, problems.NO_SCOPE, problems.TOO_MANY, problems.NOT_LOADED)
}
_NOBODY: dict[int | str, dict[str, Any]] = {404: {**_FAILURES[400], "description": problems.UNKNOWN_PERSON.title}}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": BATCH_SCHEMA}}}}

Kind = Annotated[str, Path(description="identifier type, or `person_id` for a master id")]
Value = Annotated[str, Path(description="the identifier in clear; it stands in the address: prefer a batch of one")]
Scope = Annotated[str, Query(description="app, account or site within which the identifier counts")]
Workspace = Annotated[str | None, Query(description="needed where the key opens several")]
Tags = Annotated[str | None, Query(description="names with commas; named tags are told with their default as well")]


def add_routes(app: FastAPI, service: Service) -> None:
    """All of them."""
    _add_profiles(app, service)
    _add_operations(app, service)


def _add_profiles(app: FastAPI, service: Service) -> None:
    # The batch first: a person's address would take it, as a type may have any name.
    @app.post(
        "/v1/profiles:batch",
        response_model=BatchAnswer,
        responses={**_FAILURES, 413: _NOBODY[404]},
        openapi_extra=_BODY,
    )
    async def batch(request: Request, workspace: Workspace = None) -> Response:
        """Up to 500 persons of one snapshot, in the order of their identifiers."""
        key = await asking.asker(service, request)
        identifiers, names = await batch_of(request)
        where = asking.admit(service, key, workspace, persons=len(identifiers))
        every = [asking.keys_of(service, one) for one in identifiers]
        seen = await asking.seen_by(service, where, every, names)
        made = asking.asking_of(key, names)
        told = [_told(answers.profile(one, seen, made), one.reason) for one in every]
        return asking.answer({**answers.provenance(seen.pointer, made.at), "profiles": told})

    @app.get("/v1/profiles/{kind}/{value:path}", response_model=ProfileAnswer, responses={**_FAILURES, **_NOBODY})
    async def profile(
        request: Request, *, kind: Kind, value: Value, scope: Scope = "", workspace: Workspace = None, tags: Tags = None
    ) -> Response:
        """One person by any identifier: 404 for nobody, an empty list of tags for somebody who has none."""
        key = await asking.asker(service, request)
        where = asking.admit(service, key, workspace, persons=1)
        wanted = asking.keys_of(service, Asked(kind, value, scope))
        if wanted.reason:
            raise RefusedError(problems.NO_IDENTIFIER, f"It is refused as {wanted.reason}.")
        names = [name for name in (tags or "").split(",") if name]
        seen = await asking.seen_by(service, where, [wanted], names)
        made = asking.asking_of(key, names)
        found, origin = answers.profile(wanted, seen, made), answers.provenance(seen.pointer, made.at)
        if found is None:
            raise RefusedError(problems.UNKNOWN_PERSON, "No person of this snapshot holds it.", members=origin)
        return asking.answer({**origin, **found})


def _told(found: dict[str, Any] | None, reason: str) -> dict[str, Any]:
    if found is not None:
        return {"found": True, **found}
    if reason:
        return {"found": False, "problem": problems.body(problems.NO_IDENTIFIER, f"It is refused as {reason}.")}
    return {"found": False, "problem": problems.body(problems.UNKNOWN_PERSON, "No person of this snapshot holds it.")}


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """The process answers."""
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse, responses={503: _FAILURES[503]})
    async def readyz() -> str:
        """The store answers and a snapshot is loaded."""
        ready, why = await asking.is_ready(service)
        if not ready:
            raise RefusedError(problems.NOT_LOADED, why)
        return "ready\n"

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """What is measured, as Prometheus reads it; nothing of any person."""
        known = await service.ask(lambda: generations.pointers(service.database))
        live = await service.ask(lambda: generations.live_moments(service.database))
        at = datetime.now(UTC)
        ages = ((one.workspace, float(answers.age_s(one.published_at, at))) for one in known)
        numbers = ((one.workspace, float(one.publication)) for one in known)
        lines = [*service.counters.lines()]
        lines += gauges("snapshot_age_seconds", "Since the snapshot in force was published.", ages)
        lines += gauges("publication", "Number of the publication in force.", numbers)
        if live:
            behind = ((workspace, max(0.0, at.timestamp() - as_of / 1e6)) for workspace, as_of in live)
            lines += gauges("live_age_seconds", "Since the moment that live tags hold for.", behind)
        return "\n".join(lines) + "\n"

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        return page(app.openapi())
