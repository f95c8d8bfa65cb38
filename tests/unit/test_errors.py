"""Whatever fails in a program becomes one message and the exit status that its starter relies on."""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_jobs.errors import RetryableError, TerminalError, ended


def failing(error: BaseException) -> Callable[[], int]:
    def act() -> int:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TerminalError("a is b; do c"), 1, "prog: a is b; do c\n"),
        (RetryableError("a is b; do c"), 75, "prog: a is b; do c\n"),
        (KeyboardInterrupt(), 130, "prog: interrupted\n"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/x"),
            1,
            "prog: the system says: No space left on device (/data/x); make room there, then start it again\n",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "mend its owner or mode"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), 75, "is what it asks running"),
        (OSError("of a library"), 70, "nobody expected"),
        (ZeroDivisionError("division"), 70, "nobody expected"),
    ],
)
def test_how_a_program_ends(capsys: pytest.CaptureFixture[str], error: BaseException, status: int, said: str) -> None:
    assert ended("prog", failing(error)) == status
    shown = capsys.readouterr().err
    assert said in shown
    assert ("Traceback" in shown) == (status == 70)


PROGRAMS = {
    "services.setup.__main__": ("require_writable", ["status"]),
    "services.cli.__main__": ("ensure", ["status"]),
    "services.demo.__main__": ("run", []),
    "services.demo.export": ("export", ["--out", "x"]),
    "services.demo.live": ("load", ["--input", "x"]),
    "services.bundle.__main__": ("_verify", ["verify", "x"]),
    "services.cluster.__main__": ("_run", ["status", "-i", "x"]),
    "services.topics.__main__": ("load", []),
    "services.event_logs.__main__": ("load", []),
    "migration.__main__": ("_run", ["status"]),
    "spark_jobs.__main__": ("_run", ["identity"]),
    "trino_catalog.apply": ("load", []),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_full_disk_is_a_message_in_every_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, program: str
) -> None:
    monkeypatch.chdir(tmp_path)
    function, arguments = PROGRAMS[program]
    module = importlib.import_module(program)

    def full(*_given: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, function, full)
    assert module.main(arguments) == 1
    shown = capsys.readouterr().err
    assert "No space left on device" in shown
    assert "Traceback" not in shown
