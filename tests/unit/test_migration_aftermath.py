"""What is made known after a verb: always the metrics, the rest unless somebody wants to be gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from migration import aftermath
from migration.aftermath import made_known
from migration.work import Work
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import Settings

WORK = cast("Work", SimpleNamespace(ledger=1, plan=1))
SETTINGS = cast("Settings", SimpleNamespace(metrics_dir=None))
NAMES = ("write_metrics", "mirror", "count_refusals", "write_progress")


def test_what_cannot_be_made_known_leaves_the_verb_its_own_end(monkeypatch, caplog) -> None:
    def fail(*_args: object) -> None:
        raise RetryableError("Delta is slow today")

    for name in NAMES:
        monkeypatch.setattr(aftermath, name, fail)
    with pytest.raises(TerminalError, match="red"), made_known(WORK, SETTINGS):
        raise TerminalError("red")
    with made_known(WORK, SETTINGS):
        pass
    assert caplog.text.count("Delta is slow today") == 2 * len(NAMES)


@pytest.mark.parametrize(
    ("error", "known"),
    [
        pytest.param(None, NAMES, id="done"),
        pytest.param(TerminalError("red"), NAMES, id="failed"),
        pytest.param(KeyboardInterrupt(), NAMES[:1], id="interrupted"),
    ],
)
def test_who_interrupts_does_not_wait(monkeypatch, error, known) -> None:
    called: list[str] = []
    for name in NAMES:
        monkeypatch.setattr(aftermath, name, lambda *_args, name=name: called.append(name))

    def verb() -> None:
        with made_known(WORK, SETTINGS):
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            verb()
    else:
        verb()
    assert called == list(known)
