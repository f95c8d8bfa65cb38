"""Live answers of persons at a base time, by the kernel that answers the batch, and when time alone may change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.live.counting import PersonRows, counted
from services.live.plan import LivePlan
from spark_jobs.tagging.answers import answers_of_all
from spark_jobs.tagging.columns import People


@dataclass(frozen=True, slots=True)
class LiveAnswers:
    """values: tag to the value of each person, None for the tag's `otherwise`.

    next_at: the first base time at which an answer may be another without a new event; NEVER where there is none.
    """

    values: dict[str, list[str | None]]
    next_at: list[int]


def live_answers(persons: Sequence[PersonRows], plan: LivePlan, base: int) -> LiveAnswers:
    """The answers of persons, in their order, at a base time not before the batch's."""
    if not persons:
        return LiveAnswers({tag.name: [] for tag in plan.plan.tags}, [])
    features = counted(persons, plan, base)
    people = People(features.moment, features, {})
    next_at = features.appears()
    values: dict[str, list[str | None]] = {}
    for tag, answers in answers_of_all(plan.plan, people):
        labels: list[str | None] = [None, *answers.labels[1:]]
        values[tag.name] = [labels[code] for code in answers.codes.tolist()]
        next_at = np.minimum(next_at, answers.next_at)
    return LiveAnswers(values, next_at.tolist())
