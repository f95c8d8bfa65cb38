"""docs/migrate.md, followed word by word in a clean clone: every command ends as the guide says, with what it shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.setup import paths

GUIDE = paths.REPO / "docs" / "migrate.md"
STEP_S = 900
_IS_REFUSED = re.compile(r"migration \w+: ")
_BLOCK = re.compile(r"^```(bash|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> Iterator[tuple[str, list[str]]]:
    """What is typed, and the lines that it must answer with."""
    for kind, text in _BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        if kind == "bash":
            yield text, []
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            typed, *shown = part.splitlines()
            yield typed, shown


def is_like(shown: list[str], said: str) -> bool:
    """True where the answer is what the guide shows; `…` stands for anything, a line of it alone for any lines."""
    lines = [r"(?:.*\n)*?" if line == "…" else re.escape(line.rstrip()).replace("…", ".*") + r" *\n" for line in shown]
    return re.fullmatch("".join(lines), said) is not None


def _complaint(said: str) -> str:
    """The error that a verb ended with, without what it logged before."""
    return said[said.rindex("\nmigration ") + 1 :]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "databank"
    subprocess.run(["git", "clone", "--quiet", str(paths.REPO), str(folder)], check=True)
    yield folder
    subprocess.run([str(folder / "databank"), "down"], cwd=folder, timeout=STEP_S, check=False)


@pytest.mark.campaign
def test_the_guide_to_migration_holds_word_by_word(clone: Path) -> None:
    for typed, shown in steps():
        answer = subprocess.run(
            ["bash", "-ec", typed],
            cwd=clone,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        told = f"$ {typed}\n{answer.stdout}{answer.stderr[-3000:]}"
        wanted = 1 if shown and _IS_REFUSED.match(shown[0]) else 0
        assert answer.returncode == wanted, told
        said = answer.stdout if wanted == 0 else _complaint(answer.stderr)
        assert not shown or is_like(shown, said), told


def test_what_differs_from_the_guide_is_seen() -> None:
    assert is_like(["good: 5", "plan: …"], "good: 5\nplan: 7f\n")
    assert is_like(["a", "…", "b"], "a\n1\n2\nb\n")
    assert not is_like(["good: 5"], "good: 6\n")
    assert not is_like(["good: 5"], "good: 5\nmore\n")
