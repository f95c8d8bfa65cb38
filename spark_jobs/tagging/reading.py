"""A folder of YAML files becomes a catalogue, or one error that lists every problem of every file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import cast

from spark_jobs.documents import parsed
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings, Keys, shown
from spark_jobs.tagging.definitions import UNKNOWN, Among, Catalogue, Head, Level, Life, Rule, Sensitivity, Tag
from spark_jobs.tagging.dependencies import put_together
from spark_jobs.tagging.expanding import EACH, expanded, file_of
from spark_jobs.tagging.measures import Between, Count, Days, Measure, Quantile, Recency, Since
from spark_jobs.tagging.reading_conditions import read_levels
from spark_jobs.tagging.reading_head import HEAD_FILE, SENSITIVITIES, read_head
from spark_jobs.tagging.reading_measures import read_measure
from spark_jobs.tagging.reading_where import Context
from spark_jobs.tagging.vocabulary import sources_of_head, type_of

__all__ = ["HEAD_FILE", "read_catalogue"]

AMONG: tuple[Among, ...] = ("everyone", "members", "customers")
STATES: tuple[Life, ...] = ("draft", "published", "deprecated")
MISSING_ANSWERS = (UNKNOWN, "otherwise")
TAG_KEYS: Keys = {
    "tag": True,
    "title": True,
    "folder": True,
    "owner": True,
    "class": True,
    "among": True,
    "missing": True,
    "measures": True,
    "otherwise": True,
    "levels": False,
    "value": False,
    "expect": False,
    "most_change": False,
    "state": False,
}
TITLE_KEYS: Keys = {"en": True, "zh": True}
MISSING_KEYS: Keys = {"answer": True, "because": True}
TAG_NAME = "[a-z0-9_]{1,64}"


def read_catalogue(folder: Path) -> Catalogue:
    """The catalogue of a folder: `_catalogue.yaml` and one file per tag, or per tags of one kind.

    TerminalError lists all problems.
    """
    files = sorted(path for path in folder.glob("*.yaml") if path.name != HEAD_FILE) if folder.is_dir() else []
    if not files:
        raise TerminalError(f"catalogue {folder}: found no tag files (*.yaml); check --catalogue")
    problems: list[str] = []
    head = read_head(parsed(folder / HEAD_FILE, problems), problems)
    tags = [tag for path in files for tag in _read_file(path, head, problems)]
    catalogue = put_together(head, tags, problems)
    if problems:
        lines = "\n  ".join(problems)
        raise TerminalError(f"catalogue {folder}: {len(problems)} problems, nothing was computed:\n  {lines}")
    return catalogue


def _read_file(path: Path, head: Head, problems: list[str]) -> Iterator[Tag]:
    findings = Findings(path.name)
    raw = parsed(path, findings.problems)
    if raw is not None or not findings.problems:
        if isinstance(raw, dict) and isinstance(raw.get("tag"), str) and file_of(raw["tag"]) != path.stem:
            findings.add("tag", f"found '{raw['tag']}', wanted the file's name '{path.stem}'")
        for definition, mine in expanded(raw, findings):
            yield from read_tag(definition, head, mine)
            problems += mine.problems if mine is not findings else []
    problems += findings.problems


def read_tag(raw: object, head: Head, findings: Findings) -> Iterator[Tag]:
    """The tag of a definition, if it is any; what is wrong with it becomes problems."""
    given = findings.mapping(raw, "", TAG_KEYS)
    if not given:
        return
    name = findings.text(given.get("tag"), "tag")
    if name and not re.fullmatch(TAG_NAME, name):
        findings.add("tag", f"found '{name}', wanted at most 64 of a-z, 0-9 and _")
    title = findings.mapping(given.get("title"), "title", TITLE_KEYS)
    missing = findings.mapping(given.get("missing"), "missing", MISSING_KEYS)
    answer = findings.choice(missing.get("answer"), "missing.answer", MISSING_ANSWERS, what="answer")
    among = findings.choice(given.get("among"), "among", AMONG, what="group of persons")
    otherwise = findings.text(given.get("otherwise"), "otherwise")
    context = _measures(given.get("measures"), head, findings)
    levels, value = _answers(given, context, otherwise)
    yield Tag(
        name=name,
        title_en=findings.text(title.get("en"), "title.en"),
        title_zh=findings.text(title.get("zh"), "title.zh"),
        folder=findings.text(given.get("folder"), "folder"),
        owner=findings.text(given.get("owner"), "owner"),
        classes=_classes(given.get("class"), findings),
        missing_means=findings.text(missing.get("because"), "missing.because"),
        rule=Rule(
            among=next((group for group in AMONG if group == among), "everyone"),
            missing_is_unknown=answer == UNKNOWN,
            otherwise=otherwise,
            levels=levels,
            value=value,
        ),
        expect=_expected(given["expect"], (levels, otherwise), findings) if "expect" in given else (),
        state=_state(given.get("state", "published"), findings),
        most_change=findings.share(given["most_change"], "most_change") if "most_change" in given else None,
    )


def _state(raw: object, findings: Findings) -> Life:
    known = findings.choice("" if raw is None else raw, "state", STATES, what="state")
    return next((one for one in STATES if one == known), "published")


def _classes(raw: object, findings: Findings) -> tuple[Sensitivity, ...]:
    names = raw if isinstance(raw, list) else [raw]
    found = {findings.choice(name, "class", SENSITIVITIES, what="class") for name in names}
    return tuple(cast("Sensitivity", name) for name in sorted(found - {None, "none"}, key=str))


def _measures(raw: object, head: Head, findings: Findings) -> Context:
    measures: dict[str, Measure | None] = {}
    context = Context(findings, head, sources_of_head(head), measures)
    for name, item in findings.entries(raw, "measures").items():
        measures[name] = read_measure(item, f"measures.{name}", context)
    return context


def _answers(given: Mapping[str, object], context: Context, otherwise: str) -> tuple[tuple[Level, ...], Measure | None]:
    findings, measures = context.findings, context.measures
    if ("levels" in given) == ("value" in given):
        findings.add("", "found both or neither of levels and value, wanted one of them")
        return (), None
    if otherwise == UNKNOWN:
        findings.add("otherwise", "'unknown' is an answer of its own, wanted another word")
    if "levels" in given:
        return read_levels(given["levels"], context, otherwise=otherwise), None
    name = findings.choice(given["value"], "value", measures, what="measure")
    measure = measures[name] if name else None
    is_whole = isinstance(measure, Count | Days | Quantile | Recency | Since | Between)
    if measure is not None and type_of(measure) not in ("text", "shares") and not is_whole:
        findings.add("value", f"'{name}' is no text, distribution, count, number of days or band; give levels")
    return (), measure


def _expected(
    raw: object, answers: tuple[tuple[Level, ...], str], findings: Findings
) -> tuple[tuple[str, Decimal, Decimal], ...]:
    """Value to the least and the largest share of persons that it must have to be published."""
    levels, otherwise = answers
    values = [level.value for level in levels] + [otherwise, UNKNOWN]
    bands = []
    for value, band in findings.entries(raw, "expect").items():
        where = f"expect.{value}"
        if levels:
            findings.choice(value, "expect", values, what="value")
        if not isinstance(band, list) or len(band) != 2:
            findings.add(where, f"found {shown(band)}, wanted two shares: [least, largest]")
            continue
        least, largest = (findings.share(share, where) for share in band)
        if least > largest:
            findings.add(where, f"found {shown(band)}, wanted the smaller share first")
        bands.append((value, least, largest))
    return tuple(bands)


# `each` belongs to a file, not to a definition: it is gone when a definition is read.
FILE_KEYS: Keys = {**TAG_KEYS, EACH: False}
