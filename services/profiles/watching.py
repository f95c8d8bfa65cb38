"""The outermost layer of the application: measures, logs and turns what fails into a problem.

A log line has the route, never the path: that holds an identifier.
"""

from __future__ import annotations

import logging
import time
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.profiles import problems
from services.profiles.counters import Counters
from services.profiles.problems import RefusedError
from spark_jobs.errors import RetryableError

log = logging.getLogger(__name__)

_ROUTES = {"/v1/profiles:batch": "batch"}
_PROFILE = "/v1/profiles/"


class Watch:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, counters: Counters) -> None:
        """Count there."""
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - what leaves here would be logged by the server, words and all
            failure = _failure(error)
            if not status:
                await problems.response(failure)(scope, receive, noting)
        route, seconds = _route(scope["path"]), time.perf_counter() - began
        self._counters.count(route, status, seconds)
        if status >= problems.DEFECT.status:
            log.warning("%s %s: %d after %.1f ms", scope["method"], route, status, seconds * 1000)


def _route(path: str) -> str:
    return "profile" if path.startswith(_PROFILE) else _ROUTES.get(path, "other")


def _failure(error: Exception) -> RefusedError:
    if isinstance(error, RetryableError):
        log.warning("the store does not answer: %s", error)
        return RefusedError(problems.NO_STORE, "Ask again in a moment.", headers={"Retry-After": "1"})
    # Its words may hold what was asked for, so only the places in the program are told.
    places = (f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__))
    log.error("%s at %s", type(error).__name__, " < ".join(reversed(list(places)[-6:])))
    return RefusedError(problems.DEFECT, "The request was not answered; the service's log says where it failed.")
