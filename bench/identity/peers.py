"""The same question to others: label every number of the links with one of its component, and write that down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def with_scipy(links: Path, target: Path) -> None:
    """One dictionary, one sparse matrix, in memory."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - a peer that is measured where it is installed
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    a, b = (column.to_numpy() for column in pq.read_table(links).columns)
    names, dense = np.unique(np.concatenate([a, b]), return_inverse=True)
    dense = dense.astype(np.int32)
    graph = coo_array((np.ones(a.size, bool), (dense[: a.size], dense[a.size :])), shape=(names.size,) * 2)
    _, label = connected_components(graph, directed=False)
    pq.write_table(pa.table({"node": names, "root": label}), target / "scipy.parquet")


def with_rustworkx(links: Path, target: Path) -> None:
    """The same, with an object of Python for each link: that is how the library takes them."""
    import rustworkx  # noqa: PLC0415 - a peer that is measured where it is installed

    a, b = (column.to_numpy() for column in pq.read_table(links).columns)
    names, dense = np.unique(np.concatenate([a, b]), return_inverse=True)
    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(names.size))
    graph.add_edges_from_no_data(list(zip(dense[: a.size].tolist(), dense[a.size :].tolist(), strict=True)))
    label = np.empty(names.size, np.int64)
    for number, members in enumerate(rustworkx.connected_components(graph)):
        label[list(members)] = number
    pq.write_table(pa.table({"node": names, "root": label}), target / "rustworkx.parquet")


def with_duckdb(links: Path, target: Path) -> None:
    """Randomised contraction in SQL: each number goes to the one of its neighbours that a salted hash prefers."""
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect(str(target / "duckdb.db"))
    connection.execute(f"SET threads = 2; SET temp_directory = '{target}'; SET preserve_insertion_order = false")
    connection.execute(f"CREATE TABLE left_0 AS SELECT DISTINCT a, b FROM read_parquet('{links}/*.parquet')")
    rounds = 0
    while connection.execute(f"SELECT count(*) FROM left_{rounds} WHERE a <> b").fetchall()[0][0] or not rounds:
        connection.execute(
            f"CREATE TABLE chosen_{rounds} AS SELECT v, arg_min(w, hash(w, {rounds})) AS r FROM ("
            f"SELECT a AS v, b AS w FROM left_{rounds} UNION ALL SELECT b, a FROM left_{rounds} "
            f"UNION ALL SELECT a, a FROM left_{rounds} UNION ALL SELECT b, b FROM left_{rounds}) GROUP BY v"
        )
        connection.execute(
            f"CREATE TABLE left_{rounds + 1} AS SELECT DISTINCT x.r AS a, y.r AS b FROM left_{rounds} "
            f"JOIN chosen_{rounds} x ON a = x.v JOIN chosen_{rounds} y ON b = y.v WHERE x.r <> y.r"
        )
        connection.execute(f"DROP TABLE left_{rounds}")
        rounds += 1
    for number in range(rounds - 1, 0, -1):
        connection.execute(
            f"CREATE OR REPLACE TABLE chosen_{number - 1} AS SELECT c.v, coalesce(d.r, c.r) AS r "
            f"FROM chosen_{number - 1} c LEFT JOIN chosen_{number} d ON c.r = d.v"
        )
    connection.execute(
        f"COPY (SELECT v AS node, r AS root FROM chosen_0) TO '{target}/duckdb.parquet' (FORMAT parquet)"
    )


def with_stars(spark: SparkSession, links: Path, target: Path) -> None:
    """Large star and small star in turn, in DataFrames, until neither changes anything; each step is a file."""
    from pyspark.sql import functions as F  # noqa: PLC0415 - other peers need no Spark

    def kept(rows: DataFrame, name: str) -> DataFrame:
        rows.write.mode("overwrite").parquet(str(target / name))
        return spark.read.parquet(str(target / name))

    every = spark.read.parquet(str(links))
    nodes = every.select("a").union(every.select("b")).distinct()
    pairs = kept(every.where("a <> b").selectExpr("greatest(a, b) a", "least(a, b) b").distinct(), "stars_0")
    before, step = None, 0
    while True:
        both = pairs.union(pairs.select("b", "a"))
        least = both.groupBy("a").agg(F.min("b").alias("m"))
        large = both.join(least, "a").where("b > a").select(F.col("b").alias("a"), F.least("m", "a").alias("b"))
        large = large.where("a <> b").distinct()
        least = large.groupBy("a").agg(F.min("b").alias("m"))
        small = large.join(least, "a").select(F.col("b").alias("a"), F.col("m").alias("b")).union(least)
        step += 1
        pairs = kept(small.where("a <> b").distinct(), f"stars_{step}")
        sums = tuple(pairs.agg(F.count(F.lit(1)), F.sum(F.xxhash64("a", "b").cast("decimal(38,0)"))).collect()[0])
        if sums == before:
            break
        before = sums
    labelled = nodes.join(pairs, "a", "left").select(F.col("a").alias("node"), F.coalesce("b", "a").alias("root"))
    labelled.write.parquet(str(target / "stars.parquet"))
