"""What a campaign brought: both groups counted by who they are today, with an interval that was published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.activation.adapters import MockAdapter
from services.activation.campaigns import Campaign
from services.activation.report import report
from services.activation.uplift import Share, difference, wilson
from services.activation.waves import Refusals, run
from services.profiles.published import newest_published
from spark_jobs.triggers.control import number_of, threshold
from tests.activation_lake import WIN_BACK, campaign_of, doors, people, write_orders
from tests.profile_lake import WORKSPACE, LakeWriter, master_id, phone

WEEK = timedelta(days=7)
PERSONS = range(1, 31)


@pytest.mark.parametrize(
    ("told", "control", "lower", "upper"),
    [
        # Newcombe 1998, table II, method 10.
        pytest.param(Share(56, 70), Share(48, 80), 0.0524, 0.3339, id="a"),
        pytest.param(Share(9, 10), Share(3, 10), 0.1705, 0.8090, id="b"),
        pytest.param(Share(10, 10), Share(0, 20), 0.6791, 1.0, id="g"),
        pytest.param(Share(10, 10), Share(0, 10), 0.6075, 1.0, id="h"),
    ],
)
def test_the_interval_is_the_published_one(told: Share, control: Share, lower: float, upper: float) -> None:
    found = difference(told, control)
    assert found is not None
    assert [round(number, 4) for number in found[1:]] == [lower, upper]
    assert difference(control, told) == pytest.approx((-found[0], -found[2], -found[1]))


def test_of_nobody_nothing_is_said() -> None:
    assert difference(Share(0, 0), Share(1, 2)) is None
    assert wilson(Share(0, 0)) == (0.0, 1.0)
    low, high = wilson(Share(0, 10))
    assert low == pytest.approx(0, abs=1e-12)
    assert 0 < high < 1


@dataclass(frozen=True)
class Groups:
    """A campaign that was sent at a moment, and who was told, and who was not."""

    lake: LakeWriter
    campaign: Campaign
    told: set[int]
    control: set[int]
    sent_at: datetime

    def report(self, now: datetime) -> dict[str, Any]:
        with doors(self.lake, self.lake.root.parent, MockAdapter()) as opened:
            published = newest_published(opened.lake, WORKSPACE)
            assigned = opened.store.assigned(self.campaign.name)
            return dict(report(opened.lake, assigned, published, window=WEEK, now=now))


@pytest.fixture
def groups(tmp_path: Path, key_file: Path) -> Groups:
    """Everybody was dormant, nobody is; one of each group is one person now; some bought: before, in time, too late."""
    lake = LakeWriter(tmp_path / "lake", key_file)
    campaign = campaign_of(tmp_path, WIN_BACK)
    control = {n for n in PERSONS if number_of(campaign.salt, master_id(n)) < threshold(campaign.share)}
    told = set(PERSONS) - control
    lake.next()
    people(lake, *PERSONS)
    lake.publish({person: {"dormant": "true"} for person in PERSONS})
    with doors(lake, tmp_path, MockAdapter()) as opened:
        run(opened, campaign, WORKSPACE, Refusals("", ()), now=datetime.now(UTC), accept=None)
    sent_at = datetime.now(UTC)

    # One of each group become one person: neither says anything of its group.
    one, other, *rest = min(told), min(control), *sorted(told)[1:]
    lake.next()
    lake.person(other, resolves_to=one)
    lake.holds(one, "phone", phone(other))
    lake.publish({person: {} for person in PERSONS})
    bought = {rest[0]: sent_at + timedelta(days=1), rest[1]: sent_at + timedelta(days=6, hours=23)}
    late = {rest[2]: sent_at + timedelta(days=8)}
    before = {max(control): sent_at - timedelta(days=1)}
    write_orders(lake, *bought.items(), *late.items(), *before.items(), (one, sent_at + timedelta(days=1)))
    return Groups(lake, campaign, told, control, sent_at)


def test_who_came_back_and_how_much_more_than_in_the_control_group(groups: Groups) -> None:
    told, control = len(groups.told) - 1, len(groups.control) - 1
    assert told > 2
    assert control > 2
    facts = groups.report(groups.sent_at + timedelta(days=9))
    assert facts["told"] == {"persons": told, "bought": 2, "silent_or_dormant": told, "reactivated": 2}
    assert facts["control"] == {"persons": control, "bought": 0, "silent_or_dormant": control, "reactivated": 0}
    assert (facts["in_both_groups"], facts["window_not_over"]) == (1, 0)
    wanted = difference(Share(2, told), Share(0, control))
    assert wanted is not None
    uplift = facts["reactivated_uplift"]
    assert [uplift[name] for name in ("difference", "lower", "upper")] == pytest.approx(wanted, abs=1e-6)
    early = groups.report(groups.sent_at + timedelta(days=2))
    assert (early["told"]["persons"], early["window_not_over"]) == (0, len(PERSONS) - 2)
    assert early["bought_uplift"] is None
