"""Two runs that read the same and write at once: no identifier gets two numbers, no link is counted twice."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTIFIERS, IDENTITY_LINKS
from spark_jobs.errors import RetryableError
from spark_jobs.identity import ledger, outcome
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from tests.spark.identity_rows import event, put, resolve

pytestmark = pytest.mark.thorough

FIRST = [event("a1", 0, "login:ann", "phone:ann"), event("b1", 1, "login:bob", "device:b")]
NEWS = [event("a2", 5, "login:ann", "openid:ann"), event("c1", 6, "login:cat", "phone:cat")]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        pytest.param((outcome, "counted"), "published meanwhile", id="while it numbers identifiers"),
        pytest.param((ledger, "link_additions"), "extended the ledger meanwhile", id="while it extends the ledger"),
    ],
)
def test_what_two_runs_find_is_written_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, step: tuple[ModuleType, str], said: str
) -> None:
    put(lake, FIRST, [])
    resolve(lake)
    put(lake, NEWS)
    honest, calls = getattr(*step), list[str]()

    def overtaken(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the step itself
        prepared = honest(*given, **named)
        if not calls:
            calls.append(step[1])
            resolve(lake)
        return prepared

    monkeypatch.setattr(*step, overtaken)
    with pytest.raises(RetryableError, match=said):
        resolve(lake)
    assert calls
    tokens = delta.read(lake, IDENTIFIERS).groupBy("type", "scope", "token").count()
    assert tokens.where("count > 1").isEmpty()
    links = delta.read(lake, IDENTITY_LINKS).groupBy("link_id").agg(F.sum("observations").alias("seen"))
    assert {row.seen for row in links.collect()} == {1}
    assert resolve(lake)["changed"] is False
