"""The engines that work on the accepted tables: DuckDB, Polars and Spark, behind the same narwhals expressions.

In: a folder of Parquet, one file a table. Out: ``Store``, which hands out frames of one engine.
"""

import importlib.util
import os
import shutil
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa

from sca_analysis.errors import ExportError
from sca_analysis.intake import connect
from sca_analysis.readers.source import quote
from sca_analysis.tables import CLAIMS, EXPORTS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from scipy.spatial import cKDTree

    from sca_analysis import places

DEFAULT = "duckdb"
#: Each engine with the package that it needs.
ENGINES = {"duckdb": "duckdb", "polars": "polars", "spark": "pyspark"}
_SMALL = 24 * 1024**2  # bytes of Parquet that DuckDB holds in memory instead of reading them for each question
_MANY = 100_000  # places from which a search is worth a Spark job
# any of these in the environment means that somebody has said how Spark is to run
_CONFIGURED = ("PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_HOME", "SPARK_REMOTE")
_LOCAL: dict[str, bool | float | int | str | None] = {
    "spark.master": "local[*]",
    "spark.driver.host": "127.0.0.1",  # members' rows are offered to no network
    "spark.driver.memory": "2g",
    "spark.log.level": "ERROR",
    "spark.sql.dataFrameQueryContext.enabled": "false",  # no note of the line of code in each expression: faster
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
}


def refuse_unknown(engine: str) -> None:
    """Raise ``ExportError`` if there is no such engine, or its package is not installed."""
    if engine not in ENGINES:
        raise ExportError(f"engine {engine!r} is not known; known are {', '.join(ENGINES)}.")
    if importlib.util.find_spec(ENGINES[engine]) is None:
        raise ExportError(f"engine {engine!r} needs a package that is not installed: pip install {ENGINES[engine]}.")
    if engine == "spark" and not has_java():
        raise ExportError("engine 'spark' needs Java, which is not found: install Java 17 or later, or set JAVA_HOME.")


def has_java() -> bool:
    """Return whether Spark can start, or is started elsewhere."""
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else "java"
    return "SPARK_REMOTE" in os.environ or shutil.which(java) is not None


@dataclass(frozen=True)
class Store:
    """The tables of one export over one engine."""

    folder: Path
    engine: str
    connection: duckdb.DuckDBPyConnection = field(repr=False)
    spark: "SparkSession | None" = field(default=None, repr=False)
    is_small: bool = False  # so that memory holds it several times over
    _known: dict[str, nw.LazyFrame[Any]] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> nw.LazyFrame[Any]:
        """Return a table; ``claims`` are the versions that count, ``claim_versions`` all."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    @property
    def keeps_rows(self) -> bool:
        """Whether what was reckoned once is better kept for the next question than reckoned again."""
        return self.is_small or self.spark is not None

    def keep(self, name: str, build: Callable[[], nw.LazyFrame[Any]]) -> nw.LazyFrame[Any]:
        """Return a frame made once, by a name that no table has: in memory, or by Spark's executors."""
        if name not in self._known:
            rows = nw.to_native(build())
            if self.spark:
                rows = rows.persist()
                weakref.finalize(self.connection, rows.unpersist)
            elif self.engine == "duckdb":
                kept = f"kept_{len(self._known)}"
                rows.create(kept)
                rows = self.connection.table(kept)
            else:
                rows = rows.collect().lazy()
            self._known[name] = nw.from_native(rows)
        return self._known[name]

    def lift(self, rows: pa.Table) -> nw.LazyFrame[Any]:
        """Return rows as a frame of the engine."""
        if self.engine == "duckdb":
            return nw.from_native(self.connection.from_arrow(rows))
        if self.spark:
            return nw.from_native(self.spark.createDataFrame(rows))
        return nw.from_arrow(rows, backend="polars").lazy()

    def repeats(self, name: str) -> nw.LazyFrame[Any]:
        """Return the rows of a table that repeat the key of another: few, so that DuckDB has them always."""
        return nw.from_native(self.connection.table(f"repeats_{name}"))

    def spread(self, spots: "places.Floats") -> "places.Search":
        """Return what finds the miles from each of these places (unit vectors) to the nearest point of a tree.

        On Spark, many places lie in partitions, and each tree is broadcast to them.
        """
        from sca_analysis import places  # scipy takes a second to import, which `sca check` need not wait for

        if self.spark is None or len(spots) < _MANY:
            return places.search_from(spots)
        context = self.spark.sparkContext
        count = context.defaultParallelism
        blocks = context.parallelize(np.array_split(spots, count), count).cache()

        def search(tree: "cKDTree") -> "places.Floats":
            index = context.broadcast(tree)
            try:
                return np.concatenate(blocks.map(lambda block: places.nearest_miles(block, index.value)).collect())
            finally:
                index.destroy()

        return search

    def _read(self, name: str) -> nw.LazyFrame[Any]:
        if self.engine == "duckdb":
            return nw.from_native(self.connection.table(name))
        rows = self._scan(CLAIMS.name if name == "claim_versions" else name)
        if name == CLAIMS.name:
            rows = rows.filter(nw.col("is_current"))
        return rows.drop("is_current") if name in (CLAIMS.name, "claim_versions") else rows

    def _scan(self, name: str) -> nw.LazyFrame[Any]:
        path = (self.folder / f"{name}.parquet").resolve()
        if self.spark:
            return nw.from_native(self.spark.read.parquet(path.as_uri()))
        return nw.scan_parquet(path, backend="polars")


def open_store(folder: Path, engine: str) -> Store:
    """Return the tables of a folder, which is this run's alone, over an engine; the folder goes with them.

    Raises
    ------
    ExportError
        If Spark does not start.

    """
    spark = _start_spark() if engine == "spark" else None
    con, work = connect()
    is_small = sum(p.stat().st_size for p in folder.glob("*.parquet")) < _SMALL
    in_memory = engine == "duckdb" and is_small
    for path in sorted(folder.glob("*.parquet")):
        table, _, of = path.stem.partition(".")
        if table in EXPORTS:
            name = f"{of}_{table}" if of else "every_claim" if table == CLAIMS.name else table
            kind = "TABLE" if in_memory else "VIEW"
            con.execute(
                f"CREATE {kind} {name} AS SELECT * FROM read_parquet({quote(str(path))}, hive_partitioning = false)"
            )
    columns = ", ".join(f'"{c}"' for c in CLAIMS.names)
    con.execute(f"CREATE VIEW claim_versions AS SELECT {columns} FROM every_claim")
    con.execute(f"CREATE VIEW claims AS SELECT {columns} FROM every_claim WHERE is_current")
    if in_memory:
        shutil.rmtree(folder, ignore_errors=True)
    for gone in (work, folder):
        weakref.finalize(con, shutil.rmtree, gone, ignore_errors=True)
    return Store(folder, engine, con, spark, is_small)


def _start_spark() -> "SparkSession":
    """Return a session of our own of the Spark that is there or configured; else of one on this machine."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        import pyspark.testing.utils  # noqa: F401 - it would warn in a cell later that its own pandas API lags behind
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    is_ours = SparkSession.getActiveSession() is None and not any(name in os.environ for name in _CONFIGURED)
    builder = SparkSession.builder.config(map=_LOCAL) if is_ours else SparkSession.builder
    try:
        with _silent() if is_ours else nullcontext():
            spark = builder.getOrCreate().newSession()  # so that the settings of others stay as they are
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    except (PySparkException, Py4JError) as error:
        raise ExportError(
            "engine 'spark' did not start: it needs Java 17 or later with 2 GB of memory or, where Spark is "
            "configured, a master that answers."
        ) from error
    return spark


@contextmanager
def _silent() -> Iterator[None]:
    """Let what is started here write its notices to nobody: a report would show them. Errors come as exceptions."""
    stderr, nobody = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nobody)
