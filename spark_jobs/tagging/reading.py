"""A folder of YAML files becomes a catalogue, or one error that lists every problem of every file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import date
from pathlib import Path

import yaml

from spark_jobs.errors import TerminalError
from spark_jobs.tagging.definitions import (
    UNKNOWN,
    Catalogue,
    Count,
    Days,
    Level,
    Measure,
    Quantile,
    Rule,
    Sensitivity,
    Tag,
)
from spark_jobs.tagging.findings import Findings, shown
from spark_jobs.tagging.reading_conditions import read_levels
from spark_jobs.tagging.reading_measures import Context, read_measure
from spark_jobs.tagging.vocabulary import SOURCES, type_of

HEAD_FILE = "_catalogue.yaml"

_AMONG = ("everyone", "members", "customers")
_SENSITIVITIES: tuple[Sensitivity, ...] = ("none", "health", "minors", "finance")
_REQUIRED = {"tag", "title", "folder", "owner", "class", "among", "missing", "measures", "otherwise"}
_OPTIONAL = {"levels", "value"}
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_HEAD_REQUIRED = {"workspace", "attributes", "history"}


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key that stands twice, of which YAML would silently keep the last."""


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    keys = [key.value for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"key stands twice: {', '.join(twice)}", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def read_catalogue(folder: Path) -> Catalogue:
    """The catalogue of a folder: `_catalogue.yaml` and one file per tag; TerminalError lists all problems."""
    files = sorted(path for path in folder.glob("*.yaml") if path.name != HEAD_FILE) if folder.is_dir() else []
    if not files:
        raise TerminalError(f"catalogue {folder}: found no tag files (*.yaml); check --catalogue")
    problems: list[str] = []
    head = _read_head(_parsed(folder / HEAD_FILE, problems), problems)
    tags = [_read_tag(path, head, problems) for path in files]
    names = [tag.name for tag in tags]
    problems += [f"tag '{name}' is defined in two files" for name in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        lines = "\n  ".join(problems)
        raise TerminalError(f"catalogue {folder}: {len(problems)} problems, nothing was computed:\n  {lines}")
    return Catalogue(head.workspace, head.complete_since, tuple(sorted(tags, key=lambda tag: tag.name)))


class _Head:
    """What holds for every tag of the folder."""

    def __init__(self) -> None:
        self.workspace = ""
        self.attributes: frozenset[str] = frozenset()
        self.complete_since: tuple[tuple[str, str], ...] = ()


def _parsed(path: Path, problems: list[str]) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        problems.append(f"{path.name}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.append(f"{path.name}: not UTF-8 at byte {error.start}")
    except yaml.YAMLError as error:
        problems.append(f"{path.name}: not valid YAML: {' '.join(str(error).split())}")
    return None


def _read_head(raw: object, problems: list[str]) -> _Head:
    head = _Head()
    if raw is None:
        return head
    findings = Findings(HEAD_FILE)
    given = findings.mapping(raw, "", required=_HEAD_REQUIRED)
    head.workspace = findings.text(given.get("workspace"), "workspace")
    names = given.get("attributes")
    if isinstance(names, list):
        head.attributes = frozenset(findings.text(name, "attributes") for name in names)
    else:
        findings.add("attributes", f"found {shown(names)}, wanted the list of attributes on members' records")
    head.complete_since = _read_history(given.get("history"), findings)
    problems += findings.problems
    return head


def _read_history(raw: object, findings: Findings) -> tuple[tuple[str, str], ...]:
    # Sources whose history begins later than the workspace's, each with its first complete day.
    if raw in (None, {}):
        return ()
    since = []
    for source, day in findings.entries(raw, "history").items():
        if findings.choice(source, "history", SOURCES, what="source"):
            if type(day) is not date:
                findings.add(f"history.{source}", f"found {shown(day)}, wanted a day such as 2017-01-01")
            since.append((source, str(day)))
    return tuple(sorted(since))


def _read_tag(path: Path, head: _Head, problems: list[str]) -> Tag:
    findings = Findings(path.name)
    raw = _parsed(path, findings.problems)
    tag = Tag(path.stem, "", "", "", "", "none", "", Rule("everyone", False, ""))
    if raw is not None or not findings.problems:
        given = findings.mapping(raw, "", required=_REQUIRED, optional=_OPTIONAL)
        tag = _tag_of(given, path.stem, head.attributes, findings) if given else tag
    problems += findings.problems
    return tag


def _tag_of(given: Mapping[str, object], stem: str, attributes: frozenset[str], findings: Findings) -> Tag:
    name = findings.text(given.get("tag"), "tag")
    if name and (name != stem or not set(name) <= _NAME_CHARACTERS):
        findings.add("tag", f"found '{name}', wanted the file's name '{stem}', of a-z, 0-9 and _")
    title = findings.mapping(given.get("title"), "title", required={"en", "zh"})
    missing = findings.mapping(given.get("missing"), "missing", required={"answer", "because"})
    answer = findings.choice(missing.get("answer"), "missing.answer", (UNKNOWN, "otherwise"), what="answer")
    sensitivity = findings.choice(given.get("class"), "class", _SENSITIVITIES, what="class")
    among = findings.choice(given.get("among"), "among", _AMONG, what="group of persons")
    measures = _read_measures(given.get("measures"), attributes, findings)
    otherwise = findings.text(given.get("otherwise"), "otherwise")
    levels, value = _read_answers(given, measures, otherwise, findings)
    return Tag(
        name=name,
        title_en=findings.text(title.get("en"), "title.en"),
        title_zh=findings.text(title.get("zh"), "title.zh"),
        folder=findings.text(given.get("folder"), "folder"),
        owner=findings.text(given.get("owner"), "owner"),
        sensitivity=next((known for known in _SENSITIVITIES if known == sensitivity), "none"),
        missing_means=findings.text(missing.get("because"), "missing.because"),
        rule=Rule(
            among="members" if among == "members" else "customers" if among == "customers" else "everyone",
            missing_is_unknown=answer == UNKNOWN,
            otherwise=otherwise,
            levels=levels,
            value=value,
        ),
    )


def _read_measures(raw: object, attributes: frozenset[str], findings: Findings) -> dict[str, Measure | None]:
    measures: dict[str, Measure | None] = {}
    for name, item in findings.entries(raw, "measures").items():
        measures[name] = read_measure(item, f"measures.{name}", Context(findings, attributes, measures))
    return measures


def _read_answers(
    given: Mapping[str, object], measures: Mapping[str, Measure | None], otherwise: str, findings: Findings
) -> tuple[tuple[Level, ...], Measure | None]:
    if ("levels" in given) == ("value" in given):
        findings.add("", "found both or neither of levels and value, wanted one of them")
        return (), None
    if otherwise == UNKNOWN:
        findings.add("otherwise", "'unknown' is an answer of its own, wanted another word")
    if "levels" in given:
        return read_levels(given["levels"], measures, findings, otherwise=otherwise), None
    name = findings.choice(given["value"], "value", measures, what="measure")
    measure = measures[name] if name else None
    is_shown_whole = measure is None or type_of(measure) == "text" or isinstance(measure, Count | Days | Quantile)
    if not is_shown_whole:
        findings.add("value", f"'{name}' is no text, count, number of days or band; give levels")
    return (), measure
