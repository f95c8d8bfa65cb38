"""JSON Lines: a record is a line that holds one object; fields are the texts of the keys that the mapping names.

A nested key is named by its path (`user.phone`). An object on the way is opened with all its keys, so that none goes by
unnoticed; those of the record itself come out of the line's one parse.
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
from migration.sources.json_texts import (
    MARK,
    MAX_DEPTH,
    NUL,
    about_key,
    is_too_deep,
    parsed,
    repeated,
    second,
    single,
    unmarked,
)
from migration.sources.lines import MAX_LINE_BYTES, kept_texts, read_texts

RECORD = "record"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a value becomes keys and their texts.

    `schema` is Spark's of the value, `mark` a value of it whose first key is the mark; both functions take a value.
    """

    what: str
    schema: str
    mark: str
    keys: Callable[[Column], Column]
    text: Callable[[Column, str], Column]

    def value(self, values: Column) -> Column:
        """The one value of `json_texts.parsed`, or null."""
        return single(values, F.get(self.keys(second(values)), F.lit(0)))


OBJECT = Opening(
    "an object", "map<string,string>", f'{{"{MARK}":""}}', F.map_keys, lambda found, key: found.getItem(key)
)


@dataclass(frozen=True, slots=True)
class Derived:
    """A field that a layout makes: `of` gets the texts of these paths, in order; of an opened object it is JSON."""

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
        wanted = sorted({path for name in header for path in self._paths(name)})
        objects = self._objects(header, wanted)
        rows = _with_record(texts, wanted, objects)
        reasons = [_key_refusal("", F.col("keys"), None if is_open else wanted)]
        for path, found in objects.items():
            rows = _with_object(rows, path, objects)
            if not found.is_typed:
                is_none = F.col(found.column).isNull() & _text(path, objects).isNotNull()
                reasons.append(F.when(is_none, f"{path}: not {found.opening.what}"))
            keys = found.opening.keys(F.col(found.column))
            reasons.append(_key_refusal(path, keys, None if is_open or path in header else wanted))
        fields = [self._field(name, objects).alias(f"f{number}") for number, name in enumerate(header)]
        why = F.coalesce("reason", *reasons).alias("reason")
        return rows.select("file", "block_start", "line", "raw", F.struct(*fields).alias("fields"), why)

    def _paths(self, name: str) -> tuple[str, ...]:
        return self.derived[name].paths if name in self.derived else (name,)

    def _objects(self, header: Sequence[str], wanted: Sequence[str]) -> dict[str, _Object]:
        """What is opened on the way to the wanted paths, by its own path, the outer before the inner."""
        paths = sorted({parent for path in wanted for parent in parents_of(path)}, key=lambda path: path.count("."))
        return {
            path: _Object(
                self.openings.get(path, OBJECT), f"object{number}", is_typed="." not in path and path not in header
            )
            for number, path in enumerate(paths)
        }

    def _field(self, name: str, objects: Keys[str, _Object]) -> Column:
        texts = [_text(path, objects) for path in self._paths(name)]
        return self.derived[name].of(*texts) if name in self.derived else unmarked(texts[0])


@dataclass(frozen=True, slots=True)
class _Object:
    """An opened object: the column of its value; `is_typed` where the parse of the line itself makes it."""

    opening: Opening
    column: str
    is_typed: bool


def _text(path: str, objects: Keys[str, _Object]) -> Column:
    """The text of a key as the parser gave it, marks included."""
    if path in objects and objects[path].is_typed:
        return F.to_json(F.col(objects[path].column))
    parent, _, key = path.rpartition(".")
    return objects[parent].opening.text(F.col(objects[parent].column), key) if parent else F.col(RECORD).getField(key)


def _with_record(texts: DataFrame, wanted: Sequence[str], objects: Keys[str, _Object]) -> DataFrame:
    """Replace `text` by the record's wanted members and its `keys`; complete `reason` where it is no record."""
    typed = {path: found.opening for path, found in objects.items() if found.is_typed}
    kinds = {path.split(".")[0]: "string" for path in wanted}
    kinds |= {path: opening.schema for path, opening in typed.items()}
    is_plain = ~F.contains("text", F.lit(MARK))
    values = _members(F.when(F.col("reason").isNull() & is_plain, F.col("text")), kinds)
    rows = texts.withColumn("values", values)
    rows = rows.withColumn(RECORD, single(F.col("values"), second(F.col("values")).getField(NUL)))
    reason = F.when(~is_plain, "NUL byte").when(F.col(RECORD).isNull(), _why_no_record(F.col("text"), typed))
    rows = rows.withColumn("reason", F.coalesce("reason", reason))
    keys = F.when(F.col("reason").isNull(), F.json_object_keys("text"))
    return rows.withColumn("keys", keys).drop("text", "values")


def _members(text: Column, kinds: Keys[str, str]) -> Column:
    """`parsed` into members of these kinds; the mark is a member of its own."""
    members = ",".join(f"`{key.replace('`', '``')}`:{kind}" for key, kind in {**kinds, NUL: "string"}.items())
    return parsed(text, f"struct<{members}>", f'{{"{MARK}":"{MARK}"}}')


def _why_no_record(text: Column, typed: Keys[str, Opening]) -> Column:
    """The reason for a line that the record's parse refuses."""
    is_object = OBJECT.value(parsed(text, OBJECT.schema, OBJECT.mark)).isNotNull()
    is_deep = ~is_object & is_too_deep(text, most_bytes=MAX_LINE_BYTES)
    reasons = [F.when(is_deep, f"nested deeper than {MAX_DEPTH} levels")]
    for path, opening in typed.items():
        is_none = is_object & _members(text, {path: opening.schema}).isNull()
        reasons.append(F.when(is_none, f"{path}: not {opening.what}"))
    return F.coalesce(*reasons, F.lit("not one JSON object"))


def _with_object(rows: DataFrame, path: str, objects: Keys[str, _Object]) -> DataFrame:
    """Add the column of an opened object; null where there is none."""
    found = objects[path]
    if found.is_typed:
        return rows.withColumn(found.column, F.col(RECORD).getField(path))
    values = parsed(_text(path, objects), found.opening.schema, found.opening.mark)
    return rows.withColumn("values", values).withColumn(found.column, found.opening.value(F.col("values")))


def _key_refusal(path: str, keys: Column, wanted: Sequence[str] | None) -> Column:
    """Why an object must not have such keys: one stands twice, or, where only some are wanted, is none of these."""
    reason = F.when(F.size(keys) != F.size(F.array_distinct(keys)), about_key(path, repeated(keys), "stands twice"))
    if wanted is None:
        return reason
    within = f"{path}." if path else ""
    known = sorted({name.removeprefix(within).split(".")[0] for name in wanted if name.startswith(within)})
    others = F.array_except(keys, F.array(*map(F.lit, known)))
    return reason.when(F.size(others) > 0, about_key(path, F.get(others, F.lit(0)), "is not mapped"))
