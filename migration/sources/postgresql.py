"""PostgreSQL as a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migration.sources.addresses import Address
from migration.sources.dialect import CONNECT_S, Session, TableColumn, TableFacts, Wire, keys_of, literals
from spark_jobs.settings import SourceAccount

# The same text for the same value on every server; a policy that hides rows is an error, not a smaller table.
_SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO'",
    "SET IntervalStyle = 'iso_8601'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1",
    "SET standard_conforming_strings = on",
    "SET row_security = off",
    "SET default_transaction_read_only = on",
    # A range takes as long as it takes.
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
)
_NATIVE = {
    "smallint": "smallint",
    "integer": "int",
    "bigint": "bigint",
    "boolean": "boolean",
    "real": "float",
    "double precision": "double",
    "bytea": "binary",
}
_TEXT_KEYS = ("text", "character varying", "character")
_SAMPLED_ROWS = 1_000


class PostgreSql:
    """PostgreSQL 11 and later."""

    driver = "postgresql+psycopg"
    begin: tuple[str, ...] = (*_SETTINGS, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    key_types = frozenset(
        {"smallint", "integer", "bigint", "numeric", "date", "uuid", "bytea", *_TEXT_KEYS}
        | {"timestamp without time zone", "timestamp with time zone"}
    )

    def connect_arguments(self, account: SourceAccount) -> dict[str, Any]:
        """With a `ca_file` the server must prove that it is the one of the address."""
        tls = {"sslmode": "verify-full", "sslrootcert": str(account.ca_file)} if account.ca_file else {}
        return {"connect_timeout": CONNECT_S, **tls}

    def jdbc(self, address: Address, account: SourceAccount) -> tuple[str, dict[str, str]]:
        """Spark reads in a transaction, because the driver holds all rows at once outside of one."""
        tls = {"sslmode": "verify-full", "sslrootcert": str(account.ca_file)} if account.ca_file else {}
        return f"jdbc:postgresql://{address.place}/{address.database}", {
            "driver": "org.postgresql.Driver",
            "sessionInitStatement": "; ".join(("SET TRANSACTION READ ONLY", *_SETTINGS)),
            "connectTimeout": str(CONNECT_S),
            "tcpKeepAlive": "true",
            **tls,
        }

    def quoted(self, name: str) -> str:
        """In double quotes."""
        return '"' + name.replace('"', '""') + '"'

    def text_of(self, sql: str, data_type: str) -> str:
        """As the type writes itself; times with a zone in UTC."""
        del data_type
        return f"CAST({sql} AS text)"

    def literal(self, text: str, data_type: str) -> str:
        """A constant of the column's own type, so that its index is used; `character` alone would mean one letter."""
        quoted = text.replace("'", "''")
        return f"CAST('{quoted}' AS {'bpchar' if data_type == 'character' else data_type})"

    def wire(self, column: TableColumn) -> Wire:
        """Numbers, truth, bytes and text as they are; what is not as large as Spark's type, or larger, as text."""
        sql, kind = self.quoted(column.name), column.data_type
        if kind in _NATIVE:
            return Wire(sql, _NATIVE[kind], _NATIVE[kind])
        as_text = f"CAST({sql} AS text)"
        if kind == "timestamp with time zone":
            return Wire(f"CAST({sql} AT TIME ZONE 'UTC' AS text)", "string", "timestamp")
        if kind == "money":  # its text has the locale's currency sign
            return Wire(f"CAST(CAST({sql} AS numeric) AS text)", "string", "string")
        if kind == "numeric":
            return Wire(as_text, "string", column.decimal)
        words = {"date": "date", "timestamp without time zone": "timestamp_ntz"}
        return Wire(as_text, "string", words.get(kind, "string"))

    def facts(self, session: Session, schema: str, name: str) -> TableFacts | None:
        """A domain is shown as the type that it stands on."""
        columns = session.rows(
            "SELECT column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns "
            f"WHERE table_schema = {literals([schema])} AND table_name = {literals([name])} ORDER BY ordinal_position"
        )
        if not columns:
            return None
        table = f"{self.quoted(schema)}.{self.quoted(name)}"
        sample = f"(SELECT * FROM {table} LIMIT {_SAMPLED_ROWS}) AS sampled"
        ((row_bytes,),) = session.rows(
            f"SELECT CAST(coalesce(avg(pg_column_size(sampled)), 0) AS bigint) FROM {sample}"
        )
        unique_key, indexed = keys_of(session.rows(_INDEXES.format(table=literals([table]))))
        return TableFacts(tuple(TableColumn(*column) for column in columns), unique_key, indexed, row_bytes)

    def table_names(self, session: Session, schemas: Sequence[str]) -> list[str]:
        """Tables, and partitioned ones without their partitions."""
        rows = session.rows(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ({literals(schemas)}) ORDER BY 1"
        )
        return [row[0] for row in rows]


# An index that is in another order than its column does not order the rows as a comparison of the column does. A key of
# a table with child tables, which are read with it, is none of their rows.
_INDEXES = """
SELECT i.indexrelid, i.indisunique,
       CASE WHEN i.indcollation[k.place - 1] = a.attcollation THEN a.attname END,
       NOT coalesce(a.attnotnull, false)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
CROSS JOIN LATERAL unnest(CAST(i.indkey AS smallint[])) WITH ORDINALITY AS k(number, place)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
WHERE i.indrelid = CAST({table} AS regclass) AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts
  AND NOT (t.relkind = 'r' AND t.relhassubclass)
ORDER BY NOT i.indisprimary, i.indexrelid, k.place
"""
