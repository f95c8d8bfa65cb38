"""Which of Ansible's strategies a verb runs with: Mitogen where it is there, and whatever the operator asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cluster.__main__ import _environment
from services.cluster.state import State


def test_where_mitogen_is_there_plays_run_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ansible_mitogen"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("ANSIBLE_STRATEGY", raising=False)
    environment = _environment(State(tmp_path))
    assert environment["ANSIBLE_STRATEGY"] == "mitogen_linear"
    assert environment["ANSIBLE_STRATEGY_PLUGINS"] == str(package / "plugins" / "strategy")
    monkeypatch.setenv("ANSIBLE_STRATEGY", "linear")
    assert _environment(State(tmp_path))["ANSIBLE_STRATEGY"] == "linear"


def test_where_it_is_not_there_they_run_as_ansible_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.delenv("ANSIBLE_STRATEGY", raising=False)
    assert "ANSIBLE_STRATEGY" not in _environment(State(tmp_path))
