r"""JSON text as Spark parses it, without its two silent losses.

Its parser passes numbers with a fraction or an exponent through doubles, so these become texts with a mark first. It
drops what follows a value, so the value is made the first of two in a list. Both marks are the escape `\u0000`: texts
that hold one must be refused before. (Of nine fields, `get_json_object` for each took 1.4 times as long; a variant took
0.7 times, and lost digits.)
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

MAX_DEPTH = 100
MARK, NUL = r"\u0000", "\0"
_STRICT = {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}
_FRACTION = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++(?:[eE][-+]?[0-9]++)?|[eE][-+]?[0-9]++)"
_FRACTION_AS_VALUE = rf"([\[:,]\s*+)({_FRACTION})(?=\s*+[,}}\]])"
_STRING_OR_FRACTION = rf'("(?:[^"\\]++|\\.)*+")|({_FRACTION})'
# What a key of the source must look like to stand in a reason: an address or a number may be content.
_NAME = r"^[\p{L}_][\p{L}_.$ -]{0,60}[0-9]{0,3}$"


def parsed(text: Column, schema: str, mark: str) -> Column:
    """A list of the text's values and of the value `mark`, all of this schema; null where one is none, or no JSON."""
    options = {**_STRICT, "maxNestingDepth": str(MAX_DEPTH + 1)}
    listed = [F.concat(F.lit("["), one, F.lit(f",{mark}]")) for one in (_quickly_marked(text), _marked(text))]
    # The first parse is enough but where a text holds what looks like a number, or the line is broken.
    return F.coalesce(*[F.from_json(one, f"array<{schema}>", options) for one in listed])


def single(values: Column, last_mark: Column) -> Column:
    """The value of `parsed` where the text is nothing but this one: the second, whose mark is given, is ours."""
    return F.when((F.size(values) == 2) & (last_mark == NUL), F.get(values, F.lit(0)))


def second(values: Column) -> Column:
    """The second value of `parsed`."""
    return F.get(values, F.lit(1))


def is_too_deep(text: Column, *, most_bytes: int) -> Column:
    """True for one object that is JSON but for its depth."""
    options = {**_STRICT, "maxNestingDepth": str(most_bytes), "columnNameOfCorruptRecord": "_broken"}
    within = F.from_json(F.concat(F.lit('{"line":'), text, F.lit("}")), "`_broken` string", options)
    return F.startswith(F.ltrim(text), F.lit("{")) & within.getField("_broken").isNull()


def unmarked(text: Column) -> Column:
    """The text of a value as the source has it."""
    nested = F.regexp_replace(text, r'"\\u0000([^"\\]*)\\u0000"', "$1")
    return F.when(F.contains(text, F.lit(MARK)), nested).otherwise(F.replace(text, F.lit(NUL), F.lit("")))


def repeated(keys: Column) -> Column:
    """A key that stands twice."""
    return F.get(F.filter(keys, lambda key: F.size(F.filter(keys, lambda other: other == key)) > 1), F.lit(0))


def about_key(within: str, key: Column, says: str) -> Column:
    """A reason that names a key of the object `within` ('' for the record), unless the key may be content."""
    named = F.concat(F.lit(f"key '{within}{'.' if within else ''}"), key, F.lit(f"' {says}"))
    return F.when(F.rlike(key, F.lit(_NAME)), named).otherwise(f"a key of {within or 'the record'} {says}")


def _quickly_marked(text: Column) -> Column:
    """The text with its numbers that are no integers as marked texts; no JSON where one stood inside a text."""
    return F.regexp_replace(text, _FRACTION_AS_VALUE, r'$1"\\u0000$2\\u0000"')


def _marked(text: Column) -> Column:
    """The same whatever its texts hold: they are matched as well, and the empty mark behind each goes again."""
    marked = F.regexp_replace(text, _STRING_OR_FRACTION, r'$1"\\u0000$2\\u0000"')
    return F.replace(marked, F.lit(f'"{MARK}{MARK}"'), F.lit(""))
