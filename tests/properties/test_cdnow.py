"""Frequency, recency and T of every customer of the CDNOW sample, as tags, against the package's own summary."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from spark_jobs.tagging.calendar import base_of, start_of_day
from spark_jobs.tagging.moment import moment_at
from tests.tag_histories import NEW_YORK, Life, Order, answers, catalogue_of, definition

BEGIN, END = date(1997, 1, 1), date(1997, 9, 30)


def data(name: str) -> Path:
    """A file of the package; the package itself is not imported, as it wants what nobody needs here."""
    found = find_spec("lifetimes")
    assert found is not None, "the package lifetimes is not installed: the CDNOW data are in it, see pyproject.toml"
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "datasets" / name


def purchases() -> dict[str, list[datetime]]:
    """Customer number of the sample to days of purchase before the calibration ends, at noon."""
    found = defaultdict(list)
    for line in data("CDNOW_sample.txt").read_text().splitlines():
        _, customer, day, _, _ = line.split()
        bought = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        if bought <= END:
            found[customer].append(start_of_day(bought, NEW_YORK) + timedelta(hours=12))
    return found


def test_tags_give_what_the_summary_says_of_every_customer(tmp_path: Path) -> None:
    measures = {"dates": "days", "span": "span", "age": "since"}
    catalogue = catalogue_of(
        tmp_path,
        *[
            definition(name, measures={name: {kind: "purchases"}}, levels=None, value=name, otherwise="none")
            for name, kind in measures.items()
        ],
    )
    bought = sorted(purchases().items())
    lives = [Life(min(days), [Order(day) for day in days]) for _, days in bought]
    base = base_of("1997-10-01T00:00", NEW_YORK)
    at = moment_at(base, NEW_YORK, complete_since=BEGIN, catalogue=catalogue)
    found = answers(catalogue, lives, at)

    def number(name: str, person: int) -> int:
        return int(found[name][person][0])

    ours = {
        int(customer): (
            number("dates", person) - 1,
            f"{number('span', person) / 7:.2f}",
            f"{(number('age', person) - 1) / 7:.2f}",
        )
        for person, (customer, _) in enumerate(bought)
    }
    with data("cdnow_customers_summary.csv").open(encoding="utf-8", newline="") as file:
        theirs = {
            int(row["ID"]): (int(row["frequency"]), f"{float(row['recency']):.2f}", f"{float(row['T']):.2f}")
            for row in csv.DictReader(file)
        }
    assert len(theirs) == 2_357
    assert ours == theirs
