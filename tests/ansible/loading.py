"""Scripts and filters of the roles as modules: they lie in no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from services.setup import paths

ANSIBLE = paths.REPO / "ansible"


def load(path: str) -> ModuleType:
    """The module at a path under `ansible/roles`."""
    file = ANSIBLE / "roles" / path
    specification = importlib.util.spec_from_file_location(Path(path).stem, file)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
