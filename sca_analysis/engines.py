"""The engines that work on the accepted tables: DuckDB and Polars, behind the same narwhals expressions.

In: a folder of Parquet, one file a table. Out: ``Store``, which hands out frames of one engine.
"""

import importlib.util
import shutil
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pyarrow as pa

from sca_analysis import cache
from sca_analysis.errors import ExportError
from sca_analysis.intake import connect
from sca_analysis.readers.source import quote
from sca_analysis.tables import CLAIMS, EXPORTS

DEFAULT = "duckdb"
#: Each engine with the package that it needs.
ENGINES = {"duckdb": "duckdb", "polars": "polars"}
_SMALL = 64 * 1024**2  # bytes of Parquet that DuckDB holds in memory instead of reading them for each question


def refuse_unknown(engine: str) -> None:
    """Raise ``ExportError`` if there is no such engine, or its package is not installed."""
    if engine not in ENGINES:
        raise ExportError(f"engine {engine!r} is not known; known are {', '.join(ENGINES)}.")
    if importlib.util.find_spec(ENGINES[engine]) is None:
        raise ExportError(f"engine {engine!r} needs a package that is not installed: pip install {ENGINES[engine]}.")


@dataclass(frozen=True)
class Store:
    """The tables of one export over one engine."""

    folder: Path
    engine: str
    connection: duckdb.DuckDBPyConnection = field(repr=False)

    def table(self, name: str) -> nw.LazyFrame[Any]:
        """Return a table; ``claims`` are the versions that count, ``claim_versions`` all."""
        if self.engine == "duckdb":
            return nw.from_native(self.connection.table(name))
        rows = self._scan(CLAIMS.name if name == "claim_versions" else name)
        if name == CLAIMS.name:
            rows = rows.filter(nw.col("is_current"))
        return rows.drop("is_current") if name in (CLAIMS.name, "claim_versions") else rows

    def lift(self, rows: pa.Table) -> nw.LazyFrame[Any]:
        """Return rows as a frame of the engine."""
        if self.engine == "duckdb":
            return nw.from_native(self.connection.from_arrow(rows))
        return nw.from_arrow(rows, backend="polars").lazy()

    def repeats(self, name: str) -> nw.LazyFrame[Any]:
        """Return the rows of a table that repeat the key of another: few, so that DuckDB has them always."""
        return nw.from_native(self.connection.table(f"repeats_{name}"))

    def _scan(self, name: str) -> nw.LazyFrame[Any]:
        return nw.scan_parquet(self.folder / f"{name}.parquet", backend="polars")


def open_store(entry: Path, is_temporary: bool, engine: str) -> Store:
    """Return the tables of an entry over an engine; what is temporary goes with them."""
    con, work = connect()
    is_small = sum(p.stat().st_size for p in entry.glob("*.parquet")) < _SMALL
    in_memory = engine == "duckdb" and is_small
    folder = entry if is_temporary or in_memory else cache.hold(entry)
    for path in sorted(folder.glob("*.parquet")):
        table, _, of = path.stem.partition(".")
        if table in EXPORTS:
            name = f"{of}_{table}" if of else "every_claim" if table == CLAIMS.name else table
            kind = "TABLE" if in_memory else "VIEW"
            con.execute(f"CREATE {kind} {name} AS SELECT * FROM read_parquet({quote(str(path))})")
    columns = ", ".join(f'"{c}"' for c in CLAIMS.names)
    con.execute(f"CREATE VIEW claim_versions AS SELECT {columns} FROM every_claim")
    con.execute(f"CREATE VIEW claims AS SELECT {columns} FROM every_claim WHERE is_current")
    for gone in (work, *((folder,) if folder != entry or is_temporary else ())):
        weakref.finalize(con, shutil.rmtree, gone, ignore_errors=True)
    return Store(folder, engine, con)
