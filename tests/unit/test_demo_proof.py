"""The source's own figures: the package as installed, counted without anything that the demo has exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.demo import export_source
from services.demo.export import SEED
from services.demo.export_tables import source_totals
from services.demo.options import BASE, ZONE, Options
from services.demo.proof import Case, _wanted, case_of

FULL = {"lines": "1469307", "baskets": "155848", "households": "2469", "sales": "4596039.58"}


def wanted(members: Path, *, sample: float = 1.0, seed: int = SEED) -> dict[str, str]:
    return dict(_wanted(Case(export_source.package_folder(), members, ZONE, BASE, sample, seed)))


@pytest.mark.parametrize(
    ("lines", "silent"),
    [
        pytest.param([], "0", id="empty"),
        pytest.param(["1", "3001"], "1", id="one household of 2,469, one who never bought"),
    ],
)
def test_what_the_export_lacks_the_proof_wants_all_the_same(tmp_path: Path, lines: list[str], silent: str) -> None:
    members = tmp_path / "members.csv"
    members.write_text("\n".join(["member_no,phone", *(f"{line}," for line in lines)]) + "\n")
    found = wanted(members)
    assert {name: found[name] for name in FULL} == FULL
    assert found["orders"] == found["purchase events"] == FULL["baskets"]
    assert (found["lines that readers see"], found["sales that readers see"]) == (FULL["lines"], FULL["sales"])
    assert (found["silent members"], found["dormant members"]) == (silent, "144")
    assert len(found) == 22


def test_a_sample_is_chosen_from_the_package_alone(tmp_path: Path) -> None:
    members = tmp_path / "members.csv"
    members.write_text("member_no,phone\n")
    found = wanted(members, sample=0.1)
    with export_source.opened(export_source.package_folder(), seed=SEED, sample=0.1) as con:
        totals = source_totals(con)["all"]
    assert found["households"] == "247" == str(totals["households"])
    assert (found["lines"], found["sales"]) == (str(totals["lines"]), totals["sales_value"])
    assert wanted(members, sample=0.1, seed=SEED + 1)["lines"] != found["lines"]


def test_the_proof_of_a_run_follows_its_options(tmp_path: Path) -> None:
    case = case_of(Options(tmp_path, 0.1, 9, plants_missing_row=False))
    assert (case.sample, case.seed, case.members_file) == (0.1, 9, tmp_path / "demo" / "export" / "members.csv")


def test_the_figures_of_the_input() -> None:
    with export_source.opened(export_source.package_folder(), seed=SEED, sample=1) as con:
        totals = source_totals(con)
        members = con.execute(
            "SELECT count(DISTINCT household_id) FROM demographics SEMI JOIN transactions USING (household_id)"
        ).fetchall()
    assert (totals["history"]["lines"], totals["live"]["lines"]) == (1_218_134, 251_173)
    assert str(totals["all"]["lines"]) == FULL["lines"]
    assert members == [(801,)]
