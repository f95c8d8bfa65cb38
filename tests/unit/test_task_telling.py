"""Who is told of failed and late runs: one small message, and nothing of it where there is no good address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from _telling import WEBHOOK_VARIABLE, on_deadline, on_failure, tell


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What a listener on loopback was told; its address stands in the file that is looked into."""
    messages: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = tmp_path / "webhook"
        address.write_text(f"http://127.0.0.1:{server.server_port}/token\n")
        monkeypatch.setenv(WEBHOOK_VARIABLE, str(address))
        yield messages
        server.shutdown()
        thread.join()


def test_a_failed_task_is_told_without_a_word_of_why(heard) -> None:
    task = SimpleNamespace(dag_id="d", run_id="r", task_id="t", try_number=4, log_url="http://x/log")
    on_failure({"ti": task, "exception": ValueError("+49 170 1234567")})
    told = {"from": "databank", "what": "task failed", "dag": "d", "run": "r", "task": "t", "attempt": 4}
    assert heard == [{**told, "log": "http://x/log"}]


def test_a_late_run_is_told(heard) -> None:
    on_deadline({"dag_run": {"dag_id": "d", "dag_run_id": "r", "conf": {"source": "/secret"}}, "deadline": {"id": "1"}})
    assert heard == [{"from": "databank", "what": "run is late", "dag": "d", "run": "r"}]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param("file:///etc/passwd", id="no address of the web"),
        pytest.param("http://127.0.0.1:9/", id="nobody answers"),
        pytest.param("http://[", id="no address at all"),
    ],
)
def test_where_nobody_can_be_told_the_run_goes_on(content, tmp_path, monkeypatch, caplog) -> None:
    address = tmp_path / "webhook"
    if content is not None:
        address.write_text(content)
    monkeypatch.setenv(WEBHOOK_VARIABLE, str(address))
    assert tell({"what": "task failed"}) is False
    assert "nobody could be told" in caplog.text


def test_without_a_name_of_a_file_nobody_is_told_and_nothing_is_said(monkeypatch, caplog) -> None:
    monkeypatch.delenv(WEBHOOK_VARIABLE, raising=False)
    assert tell({"what": "task failed"}) is False
    assert caplog.text == ""
