"""What a bare FastAPI route costs, served in the same way: `python -m bench.profiles.floor --port PORT`."""

from __future__ import annotations

import argparse
import json
import sys

import uvicorn
from fastapi import FastAPI
from starlette.responses import Response

from bench.profiles.rows import TAGS

# As long as an answer of the API.
_TAG = {"state": "value", "value": "1", "version": "tag_00-v1", "since": "2026-01-01T00:00:00+00:00"}
_BODY = json.dumps({"publication": 1, "filler": "x" * 350, "tags": [{"tag": tag, **_TAG} for tag in TAGS[::2]]})


def make() -> FastAPI:
    """One route that answers without asking anything."""
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/v1/profiles/{kind}/{value:path}")
    async def profile(kind: str, value: str) -> Response:  # noqa: ARG001 - the route has them, as the API's has
        return Response(_BODY, media_type="application/json")

    return app


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m bench.profiles.floor", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args(argv)
    uvicorn.run(
        "bench.profiles.floor:make", factory=True, host="127.0.0.1", port=args.port, workers=args.processes,
        loop="uvloop", http="httptools", access_log=False, log_config=None,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
