"""Operators' YAML documents: read at the door and checked whole, so that one message names every problem."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spark_jobs.errors import TerminalError

VERSION_DIGITS = 16


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping at the top of a YAML file; TerminalError where it is unreadable or something else."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TerminalError(f"{path} is not valid YAML: {' '.join(str(error).split())}; mend that line") from error
    if not isinstance(content, dict):
        raise TerminalError(f"{path} holds {type(content).__name__}, wanted keys with values")
    return content


def key_problems(where: str, given: object, wanted: Mapping[str, tuple[type, bool]]) -> list[str]:
    """What is unknown, missing or mistyped; `wanted` is key to (type, is required)."""
    if not isinstance(given, dict):
        return [f"{where} is {type(given).__name__}, wanted keys with values"]
    problems = [f"{where}: unknown key {key!r}" for key in sorted(set(map(str, given)) - set(wanted))]
    for key, (kind, is_required) in wanted.items():
        if key not in given:
            problems += [f"{where}: missing key {key!r}"] if is_required else []
        elif not _is_of(given[key], kind):
            problems.append(f"{where}: {key} is {type(given[key]).__name__}, wanted {kind.__name__}")
    return problems


def _is_of(value: object, kind: type) -> bool:
    if kind is object:
        return True
    # A YAML `yes` is a bool, and bool is an int to Python: never what was meant.
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float)) if kind is float else isinstance(value, kind)


def version_of(content: object) -> str:
    """16 hex digits of a document's content; comments and order of keys do not count."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]
