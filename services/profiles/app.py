"""The application: its routes and what all of them share."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.profiles import problems
from services.profiles.asking import Service
from services.profiles.problems import RefusedError
from services.profiles.routes import add_routes
from services.profiles.watching import Watch


def application(service: Service) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="Databank profiles",
        version="1",
        description="What is known of a person, by any identifier, from one published snapshot at a time.",
        docs_url=None,  # FastAPI's own pages load scripts from the internet
        redoc_url=None,
    )
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_middleware(Watch, counters=service.counters)
    add_routes(app, service)
    return app


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return problems.response(error)


async def _not_routed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = problems.NO_METHOD if error.status_code == problems.NO_METHOD.status else problems.NO_ROUTE
    return problems.response(RefusedError(problem, "The page /docs tells what there is.", headers=error.headers or {}))
