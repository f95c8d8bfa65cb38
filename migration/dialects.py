"""How a mapping says that its files are written: the dialect of CSV, the encoding of text; checked whole."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as Keys
from typing import Any

from migration.mapping import EVERY_OTHER, Dialect

# Formats whose records are JSON objects, a line each; `ga4` is one of their named layouts.
JSON_FORMATS = frozenset({"jsonl", "ga4"})
TEXT_FORMATS = JSON_FORMATS | {"csv"}
# Name in a mapping to Java's. In all of them no byte of another character is that of a line end, and none decodes to
# something else than it was encoded from: both are tested for every character.
ENCODINGS = {
    "utf-8": "UTF-8",
    "gbk": "GBK",
    "gb18030": "GB18030",
    "big5": "Big5",
    "shift_jis": "Shift_JIS",
    "latin-1": "ISO-8859-1",
    "windows-1252": "windows-1252",
}
NO_QUOTE = "none"
_WIDE = ("utf-16", "utf16", "utf-32", "utf32", "ucs")
_ENDS = frozenset("\r\n\0")

DIALECT_KEYS: dict[str, tuple[type, bool]] = {
    "encoding": (str, False),
    "delimiter": (str, False),
    "quote": (str, False),
    "escape": (str, False),
    "header": (list, False),
    "nulls": (list, False),
}


def dialect_of(given: Keys[str, Any]) -> Dialect:
    """The dialect of a mapping without `dialect_problems`."""
    quote = given.get("quote", '"')
    return Dialect(
        encoding=given.get("encoding", "utf-8"),
        delimiter=given.get("delimiter", ","),
        quote="" if quote == NO_QUOTE else quote,
        escape=given.get("escape", ""),
        header=tuple(given.get("header", ())),
        nulls=tuple(given.get("nulls", ("",))),
    )


def dialect_problems(given: Keys[str, Any]) -> list[str]:
    """What is wrong with the keys of a dialect; their types are right already."""
    problems = _encoding_problems(given.get("encoding", "utf-8"))
    if given["format"] != "csv":
        foreign = sorted((DIALECT_KEYS.keys() - {"encoding"}) & given.keys())
        return problems + [f"{key} is for csv, and the format is {given['format']}" for key in foreign]
    return problems + _character_problems(dialect_of(given)) + _list_problems(given)


def _encoding_problems(encoding: str) -> list[str]:
    if encoding in ENCODINGS:
        return []
    if encoding.lower().startswith(_WIDE):
        what = f'encoding {encoding!r}: its line ends are not the byte "\\n", so its files cannot be cut into lines'
        return [f"{what}; convert them first (`iconv -f {encoding.upper()} -t UTF-8`) and say utf-8"]
    return [f"encoding {encoding!r}, wanted one of {', '.join(ENCODINGS)}"]


def _character_problems(dialect: Dialect) -> list[str]:
    delimiter, quote, escape = dialect.delimiter, dialect.quote, dialect.escape
    problems = []
    if not delimiter or _ENDS & set(delimiter):
        problems.append(f"delimiter is {delimiter!r}, wanted characters that end no line")
    elif "\\" in delimiter:
        problems.append(f'delimiter is {delimiter!r} with a backslash; YAML reads "\\t" and "\\x01" in double quotes')
    if quote and (len(quote) != 1 or quote not in string.punctuation):
        problems.append(f"quote is {quote!r}, wanted one ASCII character or {NO_QUOTE}")
    if escape and (len(escape) != 1 or escape not in string.punctuation):
        problems.append(f"escape is {escape!r}, wanted one ASCII character such as a backslash")
    special = [text for text in (quote, escape) if text]
    if len(set(special)) < len(special) or any(text in delimiter for text in special):
        problems.append(f"delimiter {delimiter!r}, quote {quote!r} and escape {escape!r} share a character")
    return problems


def _list_problems(given: Keys[str, Any]) -> list[str]:
    dialect = dialect_of(given)
    problems = []
    for key, texts in (("header", dialect.header), ("nulls", dialect.nulls)):
        others = [text for text in texts if not isinstance(text, str)]
        problems += [f"{key} has {text!r}, wanted texts (in YAML, quote NULL and numbers)" for text in others]
        if not others and len(set(texts)) < len(texts):
            problems.append(f"{key} names one text twice")
    if "header" in given and not all(dialect.header or [""]):
        problems.append("header has an empty name or none")
    forbidden = [dialect.delimiter, dialect.quote, 2 * dialect.escape, *_ENDS]
    for text in dialect.nulls:
        if isinstance(text, str) and any(part and part in text for part in forbidden):
            problems.append(f"nulls has {text!r}, which no unquoted field can be")
    return problems


def name_problems(given: Keys[str, Any], names: Iterable[str]) -> list[str]:
    """Why the format has no columns or keys of such names."""
    if given["format"] in JSON_FORMATS:
        problems = [f"key {name!r} has an empty part" for name in sorted(names) if "" in name.split(".")]
        folded = Counter(name.lower() for name in names)
        return problems + [
            f"key {name!r} and another differ in case alone" for name in sorted(folded) if folded[name] > 1
        ]
    if EVERY_OTHER in given.get("ignore", ()):
        return [f"ignore has {EVERY_OTHER!r}, which is for keys of JSON; name the columns"]
    return []
