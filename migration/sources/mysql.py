"""MySQL and MariaDB as a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migration.sources.addresses import Address
from migration.sources.dialect import CONNECT_S, Session, TableColumn, TableFacts, Wire, keys_of, literals
from spark_jobs.settings import SourceAccount

# The server stops sending to a reader that takes nothing for so long: Spark may be writing to its disk meanwhile.
_WRITE_TIMEOUT_S = 3_600
_SETTINGS = f"time_zone = '+00:00', sql_mode = '', net_write_timeout = {_WRITE_TIMEOUT_S}"
_READ_ONLY = "SET SESSION TRANSACTION READ ONLY"
_WHOLE = ("tinyint", "smallint", "mediumint", "int", "bigint", "year")
_UNSIGNED_BIGINT = "bigint unsigned"
_BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_SHAPES = ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon")
_TEXT = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
_TIMES = {"date": "date", "datetime": "timestamp_ntz", "timestamp": "timestamp"}
_MOST_SIGNED_BITS = 63


class MySql:
    """MySQL 5.7 and later, MariaDB 10.5 and later."""

    driver = "mysql+pymysql"
    begin: tuple[str, ...] = (
        f"SET SESSION {_SETTINGS}",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )
    key_types = frozenset({*_WHOLE, _UNSIGNED_BIGINT, "decimal", *_TEXT, "binary", "varbinary", "uuid", *_TIMES})

    def connect_arguments(self, account: SourceAccount) -> dict[str, Any]:
        """With a `ca_file` the server must prove that it is the one of the address."""
        tls = {"ssl_ca": str(account.ca_file), "ssl_verify_cert": True, "ssl_verify_identity": True}
        return {"connect_timeout": CONNECT_S, "charset": "utf8mb4", **(tls if account.ca_file else {})}

    def jdbc(self, address: Address, account: SourceAccount) -> tuple[str, dict[str, str]]:
        """MariaDB's driver under MySQL's name: by that name Spark knows how columns are quoted.

        The driver streams where a fetch size is set.
        """
        tls = {"sslMode": "verify-full", "serverSslCert": str(account.ca_file)} if account.ca_file else {}
        return f"jdbc:mysql://{address.place}/{address.database}?permitMysqlScheme", {
            "driver": "org.mariadb.jdbc.Driver",
            "sessionInitStatement": _READ_ONLY,
            "sessionVariables": _SETTINGS.replace(" = ", "="),
            "connectTimeout": str(CONNECT_S * 1000),
            **tls,
        }

    def quoted(self, name: str) -> str:
        """In backticks."""
        return "`" + name.replace("`", "``") + "`"

    def text_of(self, sql: str, data_type: str) -> str:
        """Bytes as hexadecimal digits, all else as it writes itself; time stamps in UTC."""
        return f"HEX({sql})" if data_type in _BYTES else f"CAST({sql} AS CHAR)"

    def literal(self, text: str, data_type: str) -> str:
        """Numbers as they are, text as its bytes: no sign in it means anything, and the column's order counts."""
        if data_type in (*_WHOLE, _UNSIGNED_BIGINT, "decimal"):
            return text
        if data_type in _BYTES:
            return f"x'{text}'"
        return f"'{text}'" if data_type in (*_TIMES, "uuid") else f"_utf8mb4 x'{text.encode().hex()}'"

    def wire(self, column: TableColumn) -> Wire:
        """Whole numbers in 64 bits, text and bytes as they are; all else as text, a zero date among it."""
        sql, kind = self.quoted(column.name), column.data_type
        as_text = f"CAST({sql} AS CHAR)"
        if kind in _WHOLE:  # the driver makes a truth of a tinyint(1)
            return Wire(f"CAST({sql} AS SIGNED)", "bigint", "bigint")
        if kind in ("float", "double"):  # a float alone would be sent with six digits
            return Wire(f"({sql} + 0e0)", "double", "double")
        if kind in (*_BYTES, *_SHAPES):
            return Wire(sql, "binary", "binary")
        if kind == "bit":
            is_signed = column.digits is not None and column.digits <= _MOST_SIGNED_BITS
            bits = f"CAST(CAST({sql} AS UNSIGNED) AS CHAR)"
            return Wire(bits, "string", "bigint" if is_signed else "decimal(20,0)")
        words = {_UNSIGNED_BIGINT: "decimal(20,0)", "decimal": column.decimal, **_TIMES}
        # Of a `char` Spark would add the blanks again that the server has left out.
        return Wire(sql if kind in _TEXT and kind != "char" else as_text, "string", words.get(kind, "string"))

    def facts(self, session: Session, schema: str, name: str) -> TableFacts | None:
        """The bytes of a row are the server's own estimate."""
        table = f"table_schema = {literals([schema])} AND table_name = {literals([name])}"
        columns = session.rows(
            "SELECT column_name, IF(data_type = 'bigint' AND column_type LIKE '%unsigned%', 'bigint unsigned', "
            "data_type), numeric_precision, numeric_scale FROM information_schema.columns "
            f"WHERE {table} ORDER BY ordinal_position"
        )
        if not columns:
            return None
        indexes = session.rows(
            "SELECT index_name, non_unique = 0, IF(sub_part IS NULL, column_name, NULL), nullable = 'YES' "
            f"FROM information_schema.statistics WHERE {table} AND index_type = 'BTREE' "
            "ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index"
        )
        ((row_bytes,),) = session.rows(
            f"SELECT coalesce(avg_row_length, 0) FROM information_schema.tables WHERE {table}"
        )
        unique_key, indexed = keys_of(indexes)
        return TableFacts(tuple(TableColumn(*column) for column in columns), unique_key, indexed, int(row_bytes))

    def table_names(self, session: Session, schemas: Sequence[str]) -> list[str]:
        """Tables; views hold nothing."""
        rows = session.rows(
            "SELECT concat(table_schema, '.', table_name) FROM information_schema.tables "
            f"WHERE table_type = 'BASE TABLE' AND table_schema IN ({literals(schemas)}) ORDER BY 1"
        )
        return [row[0] for row in rows]
