"""Named tabular formats: mappings that are filled in already, read by the CSV or Parquet reader.

A format is data: a ``Layout`` for each table that it gives. An entry of exports.yaml wins over the layout's own
wherever both speak of the same column, rule or selection. A layout's columns are SQL over ``[NAME]``, the trimmed
text of the file's column of that name (NULL where the file has none), so that variants of a format share a layout.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import duckdb

from sca_analysis.errors import ExportError
from sca_analysis.readers.csv import DELIMITERS, read_csv, read_parquet
from sca_analysis.readers.source import Join, Raw, Source, choose, name
from sca_analysis.tables import Table

HEAD = 64 * 1024  # bytes in which a header line is looked for
_BRACKETED = re.compile(r"\[([^\[\]]+)\]")


@dataclass(frozen=True)
class Beside:
    """A file in the same folder whose columns are added by key, where it is there or where it is needed."""

    path: str
    on: Mapping[str, str]
    is_needed: bool = False


@dataclass(frozen=True)
class Layout:
    """One kind of file of a format and how it becomes rows of one table.

    ``marks`` are column names that tell the file, without regard to case; ``columns`` is SQL by canonical column;
    ``where`` is SQL that is true for the rows to keep, with ``selector`` naming what decides; ``joins`` are files
    beside it; ``mend`` may write a copy that the CSV reader can read.
    """

    table: str
    marks: Sequence[str]
    columns: Mapping[str, str]
    date_format: tuple[str, ...] = ()
    keep: Mapping[str, Sequence[str]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: Mapping[str, Literal["set_aside", "warn"]] = field(default_factory=dict)
    joins: Sequence[Beside] = ()
    where: str = ""
    selector: str = ""
    mend: Callable[[Path, Source, Path], Path] | None = None

    def fits(self, header: Sequence[str]) -> bool:
        """Tell whether a header holds every mark."""
        return {m.casefold() for m in self.marks} <= {h.casefold() for h in header}


def read_preset(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    table: Table,
    source: Source,
    work: Path,
    *,
    format_name: str,
    layouts: Sequence[Layout],
) -> Raw:
    """Map a file of a named format onto ``table``; parameters and result as of ``read_csv``.

    Raises
    ------
    ExportError
        If the format does not give the table, or the file's header is none of its layouts.

    """
    mine = [layout for layout in layouts if layout.table == table.name]
    if not mine:
        given = ", ".join(sorted({layout.table for layout in layouts}))
        raise ExportError(f"exports.yaml: {table.name}: format {format_name} is for {given} only.")
    is_parquet = _head(path).startswith(b"PAR1")
    header = _parquet_header(con, path) if is_parquet else header_of(_head(path), source)
    layout = next((one for one in mine if one.fits(header)), None)
    if layout is None:
        lacks = [m for m in mine[0].marks if choose(header, m) is None]
        raise ExportError(
            f"{path.name} is no {format_name} file for {table.name}: its header row lacks {lacks[0]!r}; "
            "check the path, or map its columns yourself with format: csv."
        )
    joins = [] if is_parquet else _join(path, layout)
    for join in [*joins, *([] if is_parquet else source.join)]:
        if (path.parent / join.path).is_file():
            header = [*header, *header_of(_head(path.parent / join.path), Source(path=join.path))]
    computed = {
        column: sql
        for column, sql in layout.columns.items()
        if column not in source.columns and column not in source.constants and _first(sql, header) is not None
    }
    filled = _fill(source, layout, header, computed, joins)
    mended = layout.mend(path, filled, work) if layout.mend and not is_parquet else path
    raw = (read_parquet if is_parquet else read_csv)(con, mended, table, filled, work)
    columns = dict(raw.columns)
    for column, sql in computed.items():
        # the mapping stands on the first column that the SQL names: in its place stands the SQL
        columns[column] = columns[column].replace(name(str(_first(sql, header))), f"({fill_names(sql, header)})")
    selected, selector = raw.selected, raw.selector
    if layout.where:
        selected = f"({selected}) AND coalesce({fill_names(layout.where, header)}, false)"
        selector = ", ".join(s for s in (selector, layout.selector) if s)
    looked_for = tuple(path.parent / one.path for one in layout.joins)
    return replace(
        raw,
        path=path,
        format=format_name,
        columns=columns,
        selected=selected,
        selector=selector,
        source=filled,
        beside=tuple(dict.fromkeys((*raw.beside, *looked_for))),
    )


def recognise(head: bytes, name: str, *, layouts: Sequence[Layout]) -> bool:
    """Tell whether the first bytes of a file hold the header line of one of the layouts, whatever its name."""
    del name
    header = header_of(head)
    return any(layout.fits(header) for layout in layouts)


def header_of(head: bytes, source: Source | None = None) -> list[str]:
    """Return the column names in the first bytes of a delimited file; none where there are none."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head[: len(head) & ~1].decode("utf-16", errors="replace")
    else:
        encoding = source.encoding if source and source.encoding else "utf-8-sig"
        try:
            text = head.decode(encoding, errors="replace")
        except LookupError:
            text = head.decode("utf-8-sig", errors="replace")
    lines = io.StringIO(text, newline=None)
    for _ in range(source.skip_rows if source else 0):
        lines.readline()
    line = next((one for one in lines if one.strip()), "").rstrip("\n")
    choices = [source.delimiter] if source and source.delimiter else list(DELIMITERS)
    try:
        rows = [next(csv.reader([line], delimiter=d), []) for d in choices]
    except csv.Error:
        return []
    return [field.strip() for field in max(rows, key=len)]


def fill_names(sql: str, header: Sequence[str]) -> str:
    """Return SQL in which ``[NAME]`` is the trimmed text of that column, NULL where blank or absent."""

    def column(match: re.Match[str]) -> str:
        chosen = choose(header, match[1])
        return "CAST(NULL AS VARCHAR)" if chosen is None else f"nullif(trim({name(chosen)}), '')"

    return _BRACKETED.sub(column, sql)


def add_up(*columns: str) -> str:
    """Return SQL for the exact sum of amounts, blank where all are; text that is no amount is passed on as it is."""
    texts = [f"[{c}]" for c in columns]
    numbers = [f"try_cast({t} AS DECIMAL(18,4))" for t in texts]
    wrong = " ".join(f"WHEN {t} IS NOT NULL AND {n} IS NULL THEN {t}" for t, n in zip(texts, numbers, strict=True))
    total = " + ".join(f"coalesce({n}, 0)" for n in numbers)
    return f"CASE {wrong} WHEN coalesce({', '.join(texts)}) IS NOT NULL THEN CAST({total} AS VARCHAR) END"


def _join(path: Path, layout: Layout) -> list[Join]:
    """Return the joins of a layout whose files are there."""
    for one in layout.joins:
        if one.is_needed and not (path.parent / one.path).is_file():
            raise ExportError(f"{path.name} needs {one.path} beside it: put that file of the same export there.")
    return [Join(path=j.path, on=dict(j.on)) for j in layout.joins if (path.parent / j.path).is_file()]


def _first(sql: str, header: Sequence[str]) -> str | None:
    """Return the first column that SQL names and the file has."""
    return next((c for n in _BRACKETED.findall(sql) if (c := choose(header, n)) is not None), None)


def _fill(
    source: Source, layout: Layout, header: Sequence[str], computed: Mapping[str, str], joins: Sequence[Join]
) -> Source:
    """Return the source with what the layout says, under what exports.yaml says."""
    columns: dict[str, str | list[str]] = {c: str(_first(sql, header)) for c, sql in computed.items()}
    keep = {k: list(v) for k, v in layout.keep.items() if choose(header, k) is not None}
    values = {c: dict(v) for c, v in layout.values.items() if c in computed}
    return source.model_copy(
        update={
            "columns": columns | source.columns,
            "date_format": source.date_format or list(layout.date_format) or None,
            "keep": keep | source.keep,
            "values": values | {c: values.get(c, {}) | v for c, v in source.values.items()},
            "rules": dict(layout.rules) | source.rules,
            "join": [*joins, *source.join],
        }
    )


def _head(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return bytes(stream.read(HEAD))
    except (OSError, EOFError, zlib.error) as error:
        raise ExportError(f"{path.name} cannot be read: check the file and its permissions.") from error


def _parquet_header(con: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Return the column names of a Parquet file; none where it is damaged, which its reader then says."""
    try:
        return [row[0] for row in con.from_parquet(str(path)).description]
    except (duckdb.Error, RuntimeError, UnicodeError):  # of a name that is no text
        return []
