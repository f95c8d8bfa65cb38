"""One Trino serves every test that only asks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from services.embedded.stack import EmbeddedStack
from trino_catalog.connection import connected

if TYPE_CHECKING:
    from trino_catalog.connection import Trino


@pytest.fixture(scope="session")
def trino_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Trino without Kafka, in a data directory of its own."""
    with EmbeddedStack(tmp_path_factory.mktemp("trino") / "data", with_kafka=False) as running:
        yield running


@pytest.fixture(scope="session")
def trino(trino_stack: EmbeddedStack) -> Iterator[Trino]:
    """A connection to it."""
    with connected(trino_stack.trino_url) as connection:
        yield connection
