"""One reader per export format; adding a format is one file here, one line below and a test."""

from collections.abc import Callable
from pathlib import Path

import duckdb

from sca_analysis.errors import ExportError
from sca_analysis.readers.csv import read_csv, read_parquet
from sca_analysis.readers.medicare_fees import read_facility, read_non_facility
from sca_analysis.readers.source import Raw, Source
from sca_analysis.tables import Table

Reader = Callable[[duckdb.DuckDBPyConnection, Path, Table, Source, Path], Raw]

READERS: dict[str, Reader] = {
    "csv": read_csv,
    "parquet": read_parquet,
    "medicare-fees": read_non_facility,
    "medicare-fees-facility": read_facility,
}


def read(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Read one file by the reader of its format (``Parquet`` by suffix, else delimited text).

    Raises
    ------
    ExportError
        If the format is not known, or the reader refuses the file.

    """
    chosen = source.format or ("parquet" if path.suffix == ".parquet" else "csv")
    if chosen not in READERS:
        raise ExportError(
            f"exports.yaml: {table.name}: format {chosen!r} is not known; known are {', '.join(sorted(READERS))}."
        )
    if path.is_dir():
        raise ExportError(f"{path.name} is a folder, where a file of {table.name} is expected.")
    return READERS[chosen](con, path, table, source, work)
