"""What a request that fails gets: a problem body (RFC 9457). None repeats an identifier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of failure: status and title are always the same."""

    name: str
    status: int
    title: str


NO_KEY = Problem("unauthorised", 401, "No key, or one that is not in force")
NO_SCOPE = Problem("missing-scope", 403, "The key may not do this")
UNKNOWN_PERSON = Problem("unknown-person", 404, "Nobody is known by this identifier")
NO_ROUTE = Problem("no-such-resource", 404, "There is nothing at this address")
NO_METHOD = Problem("method-not-allowed", 405, "This address is asked in another way")
NO_IDENTIFIER = Problem("not-an-identifier", 400, "This value can identify nobody")
BAD_REQUEST = Problem("bad-request", 400, "The request is not what the API takes")
TOO_LARGE = Problem("too-large", 413, "The request is too large")
TOO_MANY = Problem("too-many-requests", 429, "The key has asked for too many persons")
NOT_LOADED = Problem("not-loaded", 503, "No snapshot is loaded")
NO_STORE = Problem("store-unavailable", 503, "The store does not answer")
DEFECT = Problem("defect", 500, "A failure that nobody expected")


class RefusedError(Exception):
    """A request that gets a problem instead of an answer. `members` stand beside the problem's own."""

    def __init__(
        self,
        problem: Problem,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        """The detail may be shown to the asker: it holds no identifier."""
        super().__init__(problem.name)
        self.problem, self.detail = problem, detail
        self.headers, self.members = dict(headers or {}), dict(members or {})


def body(problem: Problem, detail: str, members: Mapping[str, object] | None = None) -> dict[str, object]:
    """The members of a problem."""
    head = {"type": f"urn:databank:problem:{problem.name}", "title": problem.title, "status": problem.status}
    return {**head, "detail": detail, **(members or {})}


def response(error: RefusedError) -> Response:
    """The problem as a response, which no cache keeps."""
    content = json.dumps(body(error.problem, error.detail, error.members), ensure_ascii=False)
    headers = {"Cache-Control": "no-store", **error.headers}
    return Response(content, status_code=error.problem.status, headers=headers, media_type=MEDIA_TYPE)
