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
NARROW = {"expect": {"true": [0, 0.5]}}
SECRET = definition("secret", expect={"true": [0, 0.5]}, **{"class": "health"})
CALM = definition("calm", expect={"true": [0.7, 0.8]}, most_change=0.1)


def ask(lake: Lake, tags: Path, **given: Any) -> dict[str, Any]:
    none = dict.fromkeys(("accept", "finding", "author", "reason"))
    args = Namespace(**{**none, "workspace": "grocery", "catalogue": tags, **given})
    drift_job.preflight(settings_of(lake), args)
    answer: dict[str, Any] = drift_job.run(lake.spark, settings_of(lake), args)
    return answer


def test_what_left_its_band_is_published_by_whom_a_person_accepted_it(lake: Lake, tmp_path: Path) -> None:
    tags = write_catalogue(tmp_path / "tags", definition("bought", **NARROW), SECRET, CALM)
    write_lives(lake, LIVES)
    _is_refused_whole(lake, tags)
    _is_shown_and_of_sensitive_tags_no_share(lake, tags, tmp_path / "now_sensitive")
    _is_accepted_one_by_one(lake, tags)

    done: dict[str, Any] = job.run(lake.spark, settings_of(lake), arguments(tags))
    assert (done["changed"], sorted(done["accepted"])) == (True, ["bought", "secret"])
    assert delta.read(lake, TAG_PUBLICATIONS).count() == 1
    bands = {one["tag"]: one for one in ask(lake, tags)["bands"]}
    assert bands["bought"]["values"] == [{"value": "true", "band": "0 to 0.5", "share": "0.7500", "is_outside": True}]
    assert bands["calm"]["values"][0]["is_outside"] is False
    assert bands["secret"] == {"tag": "secret", "most_change": None, "classes": ["health"], "is_outside": True}
    _is_asked_anew(lake, tags)


def _is_refused_whole(lake: Lake, tags: Path) -> None:
    with pytest.raises(TerminalError) as refused:
        job.run(lake.spark, settings_of(lake), arguments(tags))
    told = str(refused.value)
    assert "tag 'bought': 'true' has a share of 0.7500, wanted 0 to 0.5" in told
    assert "tag 'secret' (health) left its bands" in told
    assert told.count("0.75") == 1, "of a sensitive tag no share is told"
    assert "calm" not in told
    for table in (PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS):
        assert delta.read(lake, table).isEmpty(), table.name


def _is_shown_and_of_sensitive_tags_no_share(lake: Lake, tags: Path, now_sensitive: Path) -> None:
    shown = ask(lake, tags)
    assert shown["publication"] is None
    assert {one["tag"]: one["levels"] for one in shown["refused"]} == {
        "bought": [{"value": "true", "share": "0.7500", "wanted": "0 to 0.5"}],
        "secret": None,
    }
    noted = delta.read(lake, TAG_DRIFT).where("tag = 'secret'").collect()
    assert "0.75" not in json.dumps([row.asDict() for row in noted], default=str)
    # A class that is declared since holds for what was noted before.
    write_catalogue(now_sensitive, definition("bought", **{"class": "finance"}, **NARROW), SECRET, CALM)
    assert [one["levels"] for one in ask(lake, now_sensitive)["refused"]] == [None, None]


def _is_accepted_one_by_one(lake: Lake, tags: Path) -> None:
    with pytest.raises(TerminalError, match="tag 'calm' of publication 1 of grocery was not refused"):
        ask(lake, tags, accept="calm", author="ann", reason="no")
    accepted = ask(lake, tags, accept="bought", author="ann", reason="a campaign")
    assert accepted["accepted"]["accepted_by"] == "ann"
    with pytest.raises(TerminalError, match="tag 'secret'") as still:
        job.run(lake.spark, settings_of(lake), arguments(tags))
    assert "tag 'bought'" not in str(still.value), "one of two is accepted"
    ask(lake, tags, accept="secret", author="bo", reason="a campaign")


def _is_asked_anew(lake: Lake, tags: Path) -> None:
    with pytest.raises(TerminalError, match="tag 'bought'"):
        job.run(lake.spark, settings_of(lake), arguments(tags, "2018-01-04T00:00"))
    assert delta.read(lake, TAG_PUBLICATIONS).count() == 1, "the next publication has the same shares"
    past = job.run(lake.spark, settings_of(lake), arguments(tags, "2017-12-24T00:00"))
    assert past["kind"] == "as_of", "a moment that is past replaces nothing, so nothing holds it back"
    keys = delta.read(lake, TAG_DRIFT).groupBy(*TAG_DRIFT.key).count().where("count > 1")
    assert keys.isEmpty(), "what is refused twice is noted once"
