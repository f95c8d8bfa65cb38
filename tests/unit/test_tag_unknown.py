"""What cannot be known is unknown: sources without rows, tags of tags, first rows that may lie further back."""

from __future__ import annotations

from pathlib import Path

from spark_jobs.tagging.moment import NEVER
from tests.tag_histories import HEAD, Life, Order, answers, catalogue_of, definition, local, moment

When = dict[str, object]


def test_what_is_not_recorded_is_unknown_whatever_is_asked(tmp_path: Path) -> None:
    kinds: dict[str, tuple[dict[str, object], When]] = {
        "count": ({"count": "shares"}, {"below": 1}),
        "last": ({"last": "shares"}, {"older_than": "9 days"}),
        "rhythm": ({"rhythm": "shares"}, {"present": True}),
        "preference": ({"preference": "shares.channel"}, {"equals": "chat"}),
        "mix": ({"distribution": "shares.channel"}, {"share_of": {"value": "chat", "above": 0.5}}),
        "then": (
            {
                "sequence": {"first": {"source": "shares"}, "then": {"source": "purchases"}, "within": "2 days"},
                "window": "9 days",
            },
            {"present": True},
        ),
    }
    tags = [
        definition(name, measures={name: measure}, levels=[{"value": "true", "when": {name: when}}])
        for name, (measure, when) in kinds.items()
    ]
    user = definition(
        "user", measures={"x": {"tag": "count"}}, levels=[{"value": "a", "when": {"x": {"equals": "true"}}}]
    )
    channel = {"channel": {"preference": "shares.channel"}}
    shown = definition("shown", measures=channel, levels=None, value="channel", otherwise="none")
    found = catalogue_of(tmp_path, *tags, user, shown, head=HEAD | {"history": {"shares": "none"}})
    given = answers(found, [Life(local("2017-02-01T00:00")), Life()], moment(local("2018-01-01T00:00"), found))
    assert {name: answer[0][0] for name, answer in given.items()} == dict.fromkeys([*kinds, "user", "shown"], "unknown")


def test_a_tag_of_tags_follows_them_and_their_timers(tmp_path: Path) -> None:
    dormant = definition(
        "dormant",
        measures={"last": {"last": "purchases"}},
        levels=[{"value": "true", "when": {"last": {"older_than": "90 days"}}}],
    )
    asleep = {"asleep": {"tag": "dormant"}, "age": {"attribute": "age"}}
    user = definition(
        "a_user",
        measures=asleep,
        levels=[{"value": "call", "when": {"asleep": {"equals": "true"}, "age": {"equals": "65+"}}}],
        otherwise="leave",
    )
    found = catalogue_of(tmp_path, dormant, user)
    base, since = local("2018-01-01T00:00"), local("2017-02-01T00:00")
    old, new = Order(local("2017-05-01T00:00")), Order(local("2017-12-01T00:00"))
    early = local("2015-01-01T00:00")
    lives = [
        Life(since, [old], attributes={"age": "65+"}),
        Life(since, [new], attributes={"age": "65+"}),
        Life(since, [old]),
        Life(early, attributes={"age": "65+"}),
    ]
    given = answers(found, lives, moment(base, found))
    assert [given["a_user"][n][0] for n in range(4)] == ["call", "leave", "leave", "unknown"]
    assert given["a_user"][1][1] == given["dormant"][1][1] != NEVER


def test_days_since_an_unknown_first_order_are_at_least_those_since_the_first_known(tmp_path: Path) -> None:
    old = definition(
        "old",
        measures={"days": {"since": "purchases"}},
        levels=[{"value": "old", "when": {"days": {"above": 300}}}, {"value": "new", "when": {"days": {"below": 10}}}],
    )
    found = catalogue_of(tmp_path, old)
    early = local("2015-01-01T00:00")
    lives = [Life(early, [Order(local(day))]) for day in ("2017-02-01T00:00", "2017-12-30T00:00")]
    given = answers(found, [*lives, Life(early)], moment(local("2018-01-01T00:00"), found))["old"]
    assert [given[n][0] for n in range(3)] == ["old", "unknown", "unknown"]
