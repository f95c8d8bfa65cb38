r"""JSON Lines: a record is a line that holds one object; fields are the texts of the keys that the mapping names.

A nested key is named by its path (`user.phone`): the objects on the way are opened, each parsed once into all its keys,
so that none goes by unnoticed. Spark's parser would pass numbers with a fraction or an exponent through doubles, and
drop what follows the object. So such numbers become marked texts first, and the object the first of two in a list.
Both marks are the escape `\u0000`; lines that hold one are refused before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Keys
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.mapping import EVERY_OTHER, Mapping, parents_of
from migration.sources.contents import count_lines
from migration.sources.folders import Folder
from migration.sources.formats import Looked
from migration.sources.lines import MAX_LINE_BYTES, kept_texts, read_texts

MAX_DEPTH = 100
MARK = r"\u0000"
_STRICT = {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}
_FRACTION = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++(?:[eE][-+]?[0-9]++)?|[eE][-+]?[0-9]++)"
_FRACTION_AS_VALUE = rf"([\[:,]\s*+)({_FRACTION})(?=\s*+[,}}\]])"
_STRING_OR_FRACTION = rf'("(?:[^"\\]++|\\.)*+")|({_FRACTION})'
# What a key of the source must look like to stand in a reason: an address or a number may be content.
_NAME = r"^[\p{L}_][\p{L}_.$ -]{0,60}[0-9]{0,3}$"


@dataclass(frozen=True, slots=True)
class Opening:
    """How the JSON text of one value becomes keys and their texts.

    `schema` is Spark's of the value, `mark` a value of it whose first key is the mark; both functions take a value.
    """

    what: str
    schema: str
    mark: str
    keys: Callable[[Column], Column]
    text: Callable[[Column, str], Column]


OBJECT = Opening(
    "an object", "map<string,string>", f'{{"{MARK}":""}}', F.map_keys, lambda found, key: found.getItem(key)
)


@dataclass(frozen=True, slots=True)
class Derived:
    """A field that a layout makes of others: `of` gets their texts in the order of `paths`."""

    paths: tuple[str, ...]
    of: Callable[..., Column]


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Files of JSON objects. A named layout says what else than objects it opens, and which fields it derives."""

    openings: Keys[str, Opening] = field(default_factory=dict)
    derived: Keys[str, Derived] = field(default_factory=dict)

    def look(self, folder: Folder, name: str, mapping: Mapping) -> Looked:
        """The mapping's keys, and the file's hash and number of lines, in one pass over the bytes."""
        lines, sha256 = count_lines(folder, name)
        return Looked(header=tuple(sorted(mapping.source_columns)), records=lines.count, sha256=sha256)

    def read(self, session: SparkSession, paths: Sequence[str], layout: Layout, mapping: Mapping) -> DataFrame:
        """Every line."""
        texts = read_texts(session, paths, mapping.dialect.encoding)
        return self.split_fields(texts, layout.header, is_open=EVERY_OTHER in mapping.ignored)

    def parse(self, records: DataFrame, header: Sequence[str], mapping: Mapping) -> DataFrame:
        """Kept lines once more, by what the mapping says of them now."""
        texts = kept_texts(records, mapping.dialect.encoding)
        return self.split_fields(texts, header, is_open=EVERY_OTHER in mapping.ignored)

    def split_fields(self, texts: DataFrame, header: Sequence[str], *, is_open: bool) -> DataFrame:
        """`fields` (a text per key of the header), `reason` (null where the line is whole), `raw`.

        In: `lines.read_texts`. `is_open`: keys beyond the header's are ignored.
        """
        wanted = {path for name in header for path in self._paths(name)}
        opened = sorted({parent for path in wanted for parent in parents_of(path)}, key=lambda path: path.count("."))
        objects = {path: f"object{number}" for number, path in enumerate(["", *opened])}
        rows = _with_root(texts, objects[""])
        for path in opened:
            rows = _with_object(rows, objects[path], self._text(path, objects), self._opening(path))
        reasons = [self._refusal(path, objects, wanted, is_open=is_open or path in header) for path in objects]
        fields = [self._field(name, objects).alias(f"f{number}") for number, name in enumerate(header)]
        why = F.coalesce("reason", *reasons).alias("reason")
        return rows.select("file", "block_start", "line", "raw", F.struct(*fields).alias("fields"), why)

    def _paths(self, name: str) -> tuple[str, ...]:
        return self.derived[name].paths if name in self.derived else (name,)

    def _opening(self, path: str) -> Opening:
        return self.openings.get(path, OBJECT)

    def _text(self, path: str, objects: Keys[str, str]) -> Column:
        """The text of a key as the parser gave it, marks included."""
        parent, _, key = path.rpartition(".")
        return self._opening(parent).text(F.col(objects[parent]), key)

    def _field(self, name: str, objects: Keys[str, str]) -> Column:
        texts = [_unmarked(self._text(path, objects)) for path in self._paths(name)]
        return self.derived[name].of(*texts) if name in self.derived else texts[0]

    def _refusal(self, path: str, objects: Keys[str, str], wanted: set[str], *, is_open: bool) -> Column:
        """Why an object is none, has a key twice, or one that nobody asked for."""
        opening, found = self._opening(path), F.col(objects[path])
        keys, within = opening.keys(found), f"{path}." if path else ""
        reason = F.when(F.size(keys) != F.size(F.array_distinct(keys)), _about(within, _repeated(keys), "stands twice"))
        if path:
            reason = reason.when(found.isNull() & self._text(path, objects).isNotNull(), f"{path}: not {opening.what}")
        if not is_open:
            known = sorted({name.removeprefix(within).split(".")[0] for name in wanted if name.startswith(within)})
            others = F.array_except(keys, F.array(*map(F.lit, known)))
            reason = reason.when(F.size(others) > 0, _about(within, F.get(others, F.lit(0)), "is not mapped"))
        return reason


def _with_root(texts: DataFrame, name: str) -> DataFrame:
    """Replace `text` by the object that it is, and complete `reason` where it is none."""
    is_plain = ~F.contains("text", F.lit(MARK))
    rows = _with_object(texts, name, F.when(F.col("reason").isNull() & is_plain, F.col("text")), OBJECT)
    deep = {**_STRICT, "maxNestingDepth": str(MAX_LINE_BYTES), "columnNameOfCorruptRecord": "_broken"}
    within = F.concat(F.lit('{"line":'), "text", F.lit("}"))
    is_json = F.from_json(within, "`_broken` string", deep).getField("_broken").isNull()
    reason = (
        F.when(~is_plain, "NUL byte")
        .when(F.col(name).isNotNull(), F.lit(None))
        .when(
            F.col("is_broken") & F.startswith(F.ltrim("text"), F.lit("{")) & is_json,
            f"nested deeper than {MAX_DEPTH} levels",
        )
        .otherwise("not one JSON object")
    )
    return rows.withColumn("reason", F.coalesce("reason", reason)).drop("text", "is_broken")


def _with_object(rows: DataFrame, name: str, text: Column, opening: Opening) -> DataFrame:
    """Add a column: the value of this text, null where the text is not exactly one; and `is_broken`: it is no JSON."""
    options = {**_STRICT, "maxNestingDepth": str(MAX_DEPTH + 1)}
    listed = [
        F.concat(F.lit("["), marked, F.lit(f",{opening.mark}]")) for marked in (_quickly_marked(text), _marked(text))
    ]
    # One parse is enough but where a text holds what looks like a number, or the line is broken.
    parsed = rows.withColumn(
        "parsed", F.coalesce(*[F.from_json(one, f"array<{opening.schema}>", options) for one in listed])
    )
    last = F.get(opening.keys(F.get("parsed", F.lit(1))), F.lit(0))
    # Nothing but one value stands between the list's begin and the mark.
    found = F.when((F.size("parsed") == 2) & (last == "\0"), F.get("parsed", F.lit(0)))
    return parsed.withColumns({name: found, "is_broken": F.col("parsed").isNull()}).drop("parsed")


def _quickly_marked(text: Column) -> Column:
    """The text with its numbers that are no integers as marked texts; no JSON where one stood inside a text."""
    return F.regexp_replace(text, _FRACTION_AS_VALUE, r'$1"\\u0000$2\\u0000"')


def _marked(text: Column) -> Column:
    """The same whatever its texts hold: they are matched as well, and the empty mark behind each goes again."""
    marked = F.regexp_replace(text, _STRING_OR_FRACTION, r'$1"\\u0000$2\\u0000"')
    return F.replace(marked, F.lit(f'"{MARK}{MARK}"'), F.lit(""))


def _unmarked(text: Column) -> Column:
    nested = F.regexp_replace(text, r'"\\u0000([^"\\]*)\\u0000"', "$1")
    return F.when(F.contains(text, F.lit(MARK)), nested).otherwise(F.replace(text, F.lit("\0"), F.lit("")))


def _repeated(keys: Column) -> Column:
    return F.get(F.filter(keys, lambda key: F.size(F.filter(keys, lambda other: other == key)) > 1), F.lit(0))


def _about(within: str, key: Column, says: str) -> Column:
    """A reason that names a key, unless the key may be content."""
    named = F.concat(F.lit(f"key '{within}"), key, F.lit(f"' {says}"))
    return F.when(F.rlike(key, F.lit(_NAME)), named).otherwise(f"a key of {within.rstrip('.') or 'the record'} {says}")
