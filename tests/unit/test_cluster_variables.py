"""A slip in the name of a variable is found; what is no role's business is left alone."""

from __future__ import annotations

from typing import Any

from services.cluster.variables import unknown
from services.setup import paths
from tests.appliance.cluster import INVENTORY

ROLES = paths.REPO / "ansible" / "roles"


def test_a_slip_is_named_with_its_host() -> None:
    own = {"kafka_heap_mb": 384, "kafka_hep_mb": 384, "own_note": "x", "ansible_user": "root"}
    assert unknown({"h2": own, "h1": {}}, ROLES) == ["h2: kafka_hep_mb"]


def test_what_is_used_is_known() -> None:
    every: Any = INVENTORY["all"]
    assert unknown({"h1": every["vars"]}, ROLES) == []
