"""Posts to a receiver: signed, tried again with the same key, refused for good, or failed together."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.triggers.posting import KEY_HEADER, SIGNATURE_HEADER, Hook, poster

SECRET = b"sixteen bytes or more"


@dataclass
class Receiver:
    """Answers with the next of `answers`, then with 204; keeps what was posted."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    posted: list[tuple[str, str, bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.posted.append((self.headers[KEY_HEADER], self.headers[SIGNATURE_HEADER], body))
            try:  # several posts at once ask for the last answer
                status = found.answers.pop(0)
            except IndexError:
                status = 204
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)  # seconds between looks
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}/hook?from=databank"
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def hook(receiver: Receiver, tmp_path: Path) -> Hook:
    (tmp_path / "key").write_bytes(SECRET + b"\n")
    return Hook(receiver.url, tmp_path / "key", pauses_s=(0.0, 0.0))


def posts(hook: Hook, *keys: str) -> list[dict[str, Any]]:
    """What becomes of posts with these keys, in two batches."""
    rows = [{"key": key, "value": json.dumps({"of": key})} for key in keys]
    batches = [pa.RecordBatch.from_pylist(part) for part in (rows[:2], rows[2:]) if part]
    return [row for batch in poster(hook)(batches) for row in batch.to_pylist()]


def test_every_post_is_signed_and_has_a_key_of_its_own_that_stays(hook: Hook, receiver: Receiver) -> None:
    assert posts(hook, "w/t/24h/购物车", "b", "c") == [{"accepted": 3, "refused": 0, "failed": 0, "said": ""}]
    first = list(receiver.posted)
    assert len({key for key, _, _ in first}) == 3
    for _, signature, body in first:
        assert signature == "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    posts(hook, "w/t/24h/购物车", "b", "c")
    assert receiver.posted[3:] == first


def test_what_may_be_taken_later_is_tried_again_with_the_same_key(hook: Hook, receiver: Receiver) -> None:
    receiver.answers = [503, 429]
    assert posts(hook, "a") == [{"accepted": 1, "refused": 0, "failed": 0, "said": ""}]
    assert len(receiver.posted) == 3
    assert len(set(receiver.posted)) == 1


@pytest.mark.parametrize("status", [400, 404, 301])
def test_another_answer_is_for_good_and_holds_nobody_up(hook: Hook, receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    assert posts(hook, "a", "b", "c") == [{"accepted": 2, "refused": 1, "failed": 0, "said": ""}]
    assert len(receiver.posted) == 3


def test_a_receiver_that_is_away_fails_the_rest_at_once(hook: Hook, receiver: Receiver) -> None:
    receiver.answers = [204, 500, 500, 500]
    assert posts(hook, *"abcdef") == [{"accepted": 1, "refused": 0, "failed": 5, "said": "status 500"}]
    assert len(receiver.posted) == 4
    nobody = replace(hook, url="http://127.0.0.1:9/")
    assert posts(nobody, "a", "b", "c") == [
        {"accepted": 0, "refused": 0, "failed": 3, "said": "ConnectionRefusedError"}
    ]
    assert posts(hook) == []


@pytest.mark.parametrize(
    "url", ["ftp://h/", "https:///path", "https://u:p@h/", "http://h:port/", "http://h:99999/", "/hook", ""]
)
def test_what_is_no_address_is_refused(hook: Hook, url: str) -> None:
    with pytest.raises(TerminalError, match="no address to post to"):
        _ = replace(hook, url=url).parts


def test_a_key_that_is_missing_or_short_is_refused(hook: Hook, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="cannot be read"):
        replace(hook, key_file=tmp_path / "none").secret()
    (tmp_path / "short").write_text("secret")
    with pytest.raises(TerminalError, match="wanted 16 or more"):
        replace(hook, key_file=tmp_path / "short").secret()
