"""What is made known after a verb: always the metrics, the rest unless somebody wants to be gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from migration import aftermath
from migration.aftermath import made_known
from migration.work import Work
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings

NAMES = ("write_metrics", "mirror", "count_refusals", "write_progress")


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
        with made_known(
            cast("Work", SimpleNamespace(ledger=1, plan=1)), cast("Settings", SimpleNamespace(metrics_dir=None))
        ):
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            verb()
    else:
        verb()
    assert called == list(known)
