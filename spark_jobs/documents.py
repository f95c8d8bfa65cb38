"""YAML files that people write: read strictly, every problem noted with its place; and their JSON Schemas, for editors.

Whoever reads such a file notes problems in `findings.Findings` and goes on, so that an author mends a file once.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from spark_jobs.findings import Keys

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key that stands twice, of which YAML would silently keep the last."""


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    keys = [key.value for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"key stands twice: {', '.join(twice)}", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def parsed(path: Path, problems: list[str]) -> object:
    """What a YAML file holds; None, and a problem, where it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        problems.append(f"{path.name}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.append(f"{path.name}: not UTF-8 at byte {error.start}")
    except yaml.YAMLError as error:
        problems.append(f"{path.name}: not valid YAML: {' '.join(str(error).split())}")
    return None


def object_of(keys: Keys, notes: Mapping[str, Schema]) -> Schema:
    """An object with exactly these keys, with what is noted of each."""
    return {
        "type": "object",
        "properties": {key: notes.get(key, {}) for key in keys},
        "required": [key for key, is_required in keys.items() if is_required],
        "additionalProperties": False,
    }


def text_of(schema: Schema) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
