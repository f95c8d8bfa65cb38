"""A ledger that cannot be opened says why, and keeps its password."""

from __future__ import annotations

import pytest

from migration.ledger import open_ledger
from spark_jobs.errors import RetryableError, TerminalError


def test_a_database_that_does_not_answer_can_be_tried_again() -> None:
    url = "postgresql+psycopg://ledger:secret@127.0.0.1:1/ledger"
    with pytest.raises(RetryableError, match="does not answer") as error, open_ledger(url):
        pass
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["nonsense", "oracle+none://x", ""])
def test_a_url_that_is_none_is_refused(url) -> None:
    with pytest.raises(TerminalError, match=r"\[ledger\] url"), open_ledger(url):
        pass
