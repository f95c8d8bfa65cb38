"""The drift guard in runs: refused whole, accepted by a person for just that publication, asked anew for the next."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_DRIFT, TAG_PUBLICATIONS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import drift_job, job
from tests.spark.test_tag_job import SINCE, arguments
from tests.tag_histories import Life, Order, definition, local, write_catalogue
from tests.tag_tables import settings_of, write_lives

BOUGHT = Life(SINCE, [Order(local("2017-12-01T10:00"))])
LIVES = {0: BOUGHT, 1: BOUGHT, 2: BOUGHT, 3: Life(SINCE)}


def ask(lake: Lake, tags: Path, **given: Any) -> dict[str, Any]:
    none = dict.fromkeys(("accept", "finding", "author", "reason"))
    args = Namespace(**{**none, "workspace": "grocery", "catalogue": tags, **given})
    drift_job.preflight(settings_of(lake), args)
    answer: dict[str, Any] = drift_job.run(lake.spark, settings_of(lake), args)
    return answer


def test_what_left_its_band_is_published_by_whom_a_person_accepted_it(lake: Lake, tmp_path: Path) -> None:
    tags, settings, spark = tmp_path / "tags", settings_of(lake), lake.spark
    secret = definition("secret", expect={"true": [0, 0.5]}, **{"class": "health"})
    calm = definition("calm", expect={"true": [0.7, 0.8]}, most_change=0.1)
    write_catalogue(tags, definition("bought", expect={"true": [0, 0.5]}), secret, calm)
    write_lives(lake, LIVES)

    with pytest.raises(TerminalError) as refused:
        job.run(spark, settings, arguments(tags))
    told = str(refused.value)
    assert "tag 'bought': 'true' has a share of 0.7500, wanted 0 to 0.5" in told
    assert "tag 'secret' (health) left its bands" in told
    assert told.count("0.75") == 1, "of a sensitive tag no share is told"
    assert "calm" not in told
    for table in (PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS):
        assert delta.read(lake, table).isEmpty(), table.name

    shown = ask(lake, tags)
    assert shown["publication"] is None
    assert {one["tag"]: one["levels"] for one in shown["refused"]} == {
        "bought": [{"value": "true", "share": "0.7500", "wanted": "0 to 0.5"}],
        "secret": None,
    }
    assert "0.75" not in json.dumps([one for one in shown["refused"] if one["tag"] == "secret"])
    with pytest.raises(TerminalError, match="tag 'calm' of publication 1 of grocery was not refused"):
        ask(lake, tags, accept="calm", author="ann", reason="no")
    accepted = ask(lake, tags, accept="bought", author="ann", reason="a campaign")
    assert accepted["accepted"]["accepted_by"] == "ann"
    with pytest.raises(TerminalError, match="tag 'secret'") as still:
        job.run(spark, settings, arguments(tags))
    assert "tag 'bought'" not in str(still.value), "one of two is accepted"
    ask(lake, tags, accept="secret", author="bo", reason="a campaign")

    done: dict[str, Any] = job.run(spark, settings, arguments(tags))
    assert (done["changed"], sorted(done["accepted"])) == (True, ["bought", "secret"])
    assert delta.read(lake, TAG_PUBLICATIONS).count() == 1
    bands = {one["tag"]: one for one in ask(lake, tags)["bands"]}
    assert bands["bought"]["values"] == [{"value": "true", "band": "0 to 0.5", "share": "0.7500", "is_outside": True}]
    assert bands["calm"]["values"][0]["is_outside"] is False
    assert bands["secret"] == {"tag": "secret", "most_change": None, "classes": ["health"], "is_outside": True}

    # The next publication has the same shares, and is asked for anew.
    with pytest.raises(TerminalError, match="tag 'bought'"):
        job.run(spark, settings, arguments(tags, "2018-01-04T00:00"))
    assert delta.read(lake, TAG_PUBLICATIONS).count() == 1
    # A moment that is past replaces nothing, so nothing holds it back.
    past = job.run(spark, settings, arguments(tags, "2017-12-24T00:00"))
    assert past["kind"] == "as_of"
    keys = delta.read(lake, TAG_DRIFT).groupBy(*TAG_DRIFT.key).count().where("count > 1")
    assert keys.isEmpty(), "what is refused twice is noted once"
