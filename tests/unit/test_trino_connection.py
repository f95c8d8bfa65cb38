"""What a connection to Trino makes of the server's answers; no server here."""

from __future__ import annotations

from pathlib import Path

import pytest
import trino.exceptions

from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import Account
from trino_catalog import connection
from trino_catalog.connection import Trino


class Server:
    """Gives its answers one after the other: rows, or an error that is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.description = [("n",)]

    def cursor(self) -> Server:
        return self

    def execute(self, _sql: str) -> Server:
        return self

    def fetchall(self) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def failure(name: str, kind: type[trino.exceptions.TrinoQueryError] = trino.exceptions.TrinoQueryError) -> Exception:
    return kind({"errorType": "X", "errorName": name, "message": "why"})


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PAUSE_S", 0.0)


def test_a_query_waits_for_the_first_worker() -> None:
    server = Server(failure("NO_NODES_AVAILABLE"), failure("NO_NODES_AVAILABLE"), [[1]])
    assert Trino("url", server).ask("SELECT 1").rows == ((1,),)


def test_a_worker_that_never_comes_is_worth_another_try_later(monkeypatch) -> None:
    monkeypatch.setattr(connection, "_ANNOUNCEMENT_S", 0.0)
    with pytest.raises(RetryableError, match="url failed"):
        Trino("url", Server(failure("NO_NODES_AVAILABLE"))).ask("SELECT 1")


def test_another_failure_is_not_repeated() -> None:
    server = Server(failure("GENERIC_INTERNAL_ERROR"), [[1]])
    with pytest.raises(RetryableError):
        Trino("url", server).ask("SELECT 1")
    assert server.answers == [[[1]]]


def test_a_query_that_is_wrong_needs_a_person() -> None:
    with pytest.raises(TerminalError, match="COLUMN_NOT_FOUND: why"):
        Trino("url", Server(failure("COLUMN_NOT_FOUND", trino.exceptions.TrinoUserError))).ask("SELECT x")


def test_the_authority_of_the_account_counts_and_not_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/another/authority.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    (tmp_path / "password").write_text("secret")
    account = Account("bi", tmp_path / "password", tmp_path / "ca.crt")
    url = "https://h3:8443"
    with connection.connected(url, account=account) as opened:
        session = opened.connection._http_session
        used = session.merge_environment_settings(url, {}, None, None, None)
    assert (used["verify"], dict(used["proxies"])) == (str(tmp_path / "ca.crt"), {})
