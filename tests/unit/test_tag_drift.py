"""The drift guard: where a share is outside its band or moved too far, and what an acceptance is held to."""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.tagging import drift_job
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.drift import Attempt, Finding, Shares, findings_of, shown
from tests.tag_histories import catalogue_of, definition
from tests.unit.test_tag_check import settings

ATTEMPT = Attempt("grocery", 7, 1_000)
BANDED = {"expect": {"true": [0.05, 0.4]}}
MOST = 3


def shares(persons: int = 1_000, **values: int) -> Shares:
    return Shares({"a": values}, persons, MOST)


def found(catalogue: Catalogue, now: Shares, before: Shares | None = None, attempt: Attempt = ATTEMPT) -> list[Finding]:
    return list(findings_of(catalogue, now, before, attempt))


@pytest.mark.parametrize(
    ("now", "left"),
    [
        pytest.param(shares(true=50), [], id="the least share is inside"),
        pytest.param(shares(true=400), [], id="and so is the largest"),
        pytest.param(shares(true=49), ["0.0490"], id="less"),
        pytest.param(shares(true=401), ["0.4010"], id="more"),
        pytest.param(shares(false=1_000), ["0.0000"], id="nobody has it"),
        pytest.param(shares(0, true=0), ["0.0000"], id="there is nobody at all"),
        pytest.param(shares(1_000_000, true=400_001), ["0.4000"], id="outside by less than is shown"),
    ],
)
def test_a_share_is_held_to_its_band(tmp_path: Path, now: Shares, left: list[str]) -> None:
    findings = found(catalogue_of(tmp_path, definition("a", **BANDED)), now)
    assert [one.share for finding in findings for one in finding.left] == left
    assert all(one.wanted == "0.05 to 0.4" for finding in findings for one in finding.left)


@pytest.mark.parametrize(
    ("now", "before", "left"),
    [
        pytest.param(shares(true=300), shares(true=200), {}, id="just as far as it may"),
        pytest.param(shares(true=301), shares(true=200), {"true": "0.3010"}, id="further up"),
        pytest.param(shares(true=99), shares(2_000, true=400), {"true": "0.0990"}, id="further down, by shares"),
        pytest.param(shares(b=150), shares(), {"b": "0.1500"}, id="a value that is new"),
        pytest.param(shares(), shares(b=150), {"b": "0.0000"}, id="a value that is gone"),
        pytest.param(shares(true=900), None, {}, id="no state before"),
        pytest.param(shares(true=900), Shares({}, 1_000, MOST), {}, id="no such tag before"),
        pytest.param(shares(b=300, c=300, d=290), shares(b=300, c=300, e=290), {}, id="cut lists: may be small"),
        pytest.param(shares(b=300, c=300, d=290), shares(b=300, c=300, e=100), {"d": "0.2900"}, id="cut: is not"),
    ],
)
def test_a_share_moves_no_further_than_it_may(
    tmp_path: Path, now: Shares, before: Shares | None, left: dict[str, str]
) -> None:
    findings = found(catalogue_of(tmp_path, definition("a", most_change=0.1)), now, before)
    assert {one.value: one.share for finding in findings for one in finding.left} == left


def test_of_a_list_that_was_cut_rare_values_with_a_band_are_no_bound() -> None:
    known = Shares({"a": {"b": 500, "c": 300, "d": 100, "rare": 1}}, 1_000, MOST)
    assert known.of("a", "rare") == (Fraction(1, 1_000), Fraction(1, 1_000))
    assert known.of("a", "left out") == (Fraction(0), Fraction(1, 10))


def test_an_acceptance_is_of_what_was_shown_and_nothing_else(tmp_path: Path) -> None:
    one = catalogue_of(tmp_path / "one", definition("a", **BANDED))
    level = [{"value": "true", "when": {"orders": {"at_least": 2}}}]
    others = {
        "another rule": catalogue_of(tmp_path / "rule", definition("a", levels=level, **BANDED)),
        "another band": catalogue_of(tmp_path / "band", definition("a", expect={"true": [0.05, 0.41]})),
    }
    accepted = found(one, shares(true=500))[0].finding
    assert found(one, shares(100_000, true=50_004))[0].finding == accepted, "shown alike"
    told = {name: found(catalogue, shares(true=500))[0].finding for name, catalogue in others.items()}
    told["another share"] = found(one, shares(true=501))[0].finding
    for name, attempt in {
        "another number": replace(ATTEMPT, number=8),
        "another moment": replace(ATTEMPT, base=1_001),
        "another workspace": replace(ATTEMPT, workspace="toys"),
    }.items():
        told[name] = found(one, shares(true=500), attempt=attempt)[0].finding
    assert len({accepted, *told.values()}) == 1 + len(told), told


def test_of_a_sensitive_tag_no_share_is_told(tmp_path: Path) -> None:
    (finding,) = found(catalogue_of(tmp_path, definition("a", **{"class": "health"}, **BANDED)), shares(true=777))
    assert finding.told == "tag 'a' (health) left its bands"
    (plain,) = found(catalogue_of(tmp_path / "plain", definition("a", **BANDED)), shares(true=777))
    assert plain.told == "tag 'a': 'true' has a share of 0.7770, wanted 0.05 to 0.4"


def test_shares_are_shown_to_a_hundredth_of_a_percent() -> None:
    assert [shown(Fraction(n, 3)) for n in range(4)] == ["0.0000", "0.3333", "0.6667", "1.0000"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({"accept": "a", "author": "ann", "reason": " "}, "--reason: found nothing", id="no reason"),
        pytest.param({"accept": "a"}, "--author, --reason: found nothing", id="nobody"),
        pytest.param({"author": "ann"}, "belong to --accept TAG", id="nothing is accepted"),
    ],
)
def test_who_accepts_says_who_and_why(given: dict[str, str], problem: str) -> None:
    none = dict.fromkeys(("catalogue", "accept", "finding", "author", "reason"))
    with pytest.raises(TerminalError, match=problem):
        drift_job.preflight(settings(), argparse.Namespace(**{**none, "workspace": "grocery", **given}))
