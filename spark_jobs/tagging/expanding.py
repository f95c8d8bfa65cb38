"""A file with `each` is one definition for several tags: every entry fills in the names that stand behind a `$`.

`$name` as a whole value takes the entry's value as it is, a list or a number too; inside a text its text. `$$` is `$`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Template

from spark_jobs.findings import Findings, listed, shown

EACH = "each"
VARIABLE = "[a-z][a-z0-9_]*"

Entry = Mapping[str, object]


def expanded(raw: object, findings: Findings) -> Iterator[tuple[object, Findings]]:
    """The definitions of one file, each with its own place for problems; the file itself where it has no `each`."""
    if not isinstance(raw, dict) or EACH not in raw:
        yield raw, findings
        return
    definition = {key: value for key, value in raw.items() if key != EACH}
    entries = _entries(raw[EACH], findings)
    unused = set(entries[0] if entries else ()) - set(_variables(definition))
    if unused:
        findings.add(EACH, f"{listed(unused)}: nothing stands for it, wanted each name behind a $ in the definition")
    for number, entry in enumerate(entries, start=1):
        mine = Findings(f"{findings.file}: {EACH}[{number}]")
        filled = _filled(definition, entry, mine)
        yield filled, mine


def _entries(raw: object, findings: Findings) -> list[Entry]:
    if not isinstance(raw, list) or not raw:
        findings.add(EACH, f"found {shown(raw)}, wanted a list of mappings, one a tag")
        return []
    entries = [findings.entries(item, f"{EACH}[{number}]") for number, item in enumerate(raw, start=1)]
    for number, entry in enumerate(entries, start=1):
        if set(entry) != set(entries[0]):
            findings.add(f"{EACH}[{number}]", f"found names {listed(entry)}, wanted those of the first entry")
    return entries


def _variables(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (*_variables(key), *_variables(item))
    elif isinstance(value, list):
        for item in value:
            yield from _variables(item)
    elif isinstance(value, str):
        yield from Template(value).get_identifiers()


def _filled(value: object, entry: Entry, findings: Findings) -> object:
    if isinstance(value, dict):
        return {_filled(key, entry, findings): _filled(item, entry, findings) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, entry, findings) for item in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    template = Template(value)
    names = template.get_identifiers()
    if not template.is_valid() or not set(names) <= set(entry):
        findings.add("", f"found {shown(value)}, wanted behind each $ one of the names of the entry: {listed(entry)}")
        return value
    if len(names) == 1 and value in (f"${names[0]}", f"${{{names[0]}}}"):
        return entry[names[0]]
    return template.substitute({name: str(entry[name]) for name in names})


def file_of(tag: str) -> str:
    """The name that a tag's file has: of `dormant_$line` it is dormant_line."""
    return tag.replace("${", "").replace("}", "").replace("$", "")
