"""Delimited text (.csv, .txt, .psv, .tsv, also .gz) and Parquet, read by DuckDB.

Delimiter, encoding and byte-order mark are found out from the file unless ``exports.yaml``
says them. DuckDB reads UTF-8 with one kind of line end; any other file is first rewritten to
that in a temporary file, a block at a time.
"""

import codecs
import csv
import gzip
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

import duckdb
from charset_normalizer import from_bytes

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Malformed, Raw, Source, map_columns, map_selection, name, quote
from sca_analysis.tables import Table

DELIMITERS = (",", "|", "\t", ";")
#: Longest record that is read; a longer one is set aside. [bytes]
MAX_RECORD = 4 * 1024 * 1024
_HEAD = 1024 * 1024  # bytes looked at to find out encoding, line ends and delimiter
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_REASONS = {
    "MISSING COLUMNS": "too_few_fields",
    "TOO MANY COLUMNS": "too_many_fields",
    "UNQUOTED VALUE": "broken_quotes",
    "INVALID ENCODING": "bytes_not_in_encoding",
    "INVALID UNICODE": "bytes_not_in_encoding",
    "LINE SIZE OVER MAXIMUM": "record_too_long",
}


def read_csv(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map a delimited file onto the canonical columns of ``table``.

    Parameters
    ----------
    con : DuckDBPyConnection
        Where the relation will be read.
    path : Path
    table : Table
    source : Source
    work : Path
        Folder for a rewritten copy, where one is needed.

    Returns
    -------
    Raw
        A record with too few or too many fields, broken quotes, bytes outside the encoding
        or more than ``MAX_RECORD`` bytes is among its malformed ones.

    Raises
    ------
    ExportError
        If the file is empty, unreadable, not text, or lacks a column.

    """
    text = _as_plain_utf8(path, source, work)
    relation, header = _scan(text, path, source, expected_names(table, source))
    for join in source.join:
        relation, header = _join(con, relation, header, path, join.path, join.on, work)
    selected, selector = map_selection(source, header, path.name)
    return Raw(
        path=path,
        format="csv",
        relation=relation,
        columns=map_columns(table, source, header, path.name),
        selected=selected,
        selector=selector,
        first_row=source.skip_rows + 2,
        malformed=lambda: _rejected(con, text),
    )


def read_parquet(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map a Parquet file onto the canonical columns of ``table``; typed columns become text.

    Raises
    ------
    ExportError
        If the file is no Parquet or lacks a column.

    """
    del work
    try:
        described = con.execute(f"DESCRIBE SELECT * FROM read_parquet({quote(str(path))})").fetchall()
    except duckdb.Error as error:
        raise ExportError(f"{path.name} is not a readable Parquet file: export it again, or set its format.") from error
    header = [row[0] for row in described]
    plain = ", ".join(f"CAST({name(h)} AS VARCHAR) AS {name(h)}" for h in header)
    selected, selector = map_selection(source, header, path.name)
    return Raw(
        path=path,
        format="parquet",
        relation=f"(SELECT {plain} FROM read_parquet({quote(str(path))}))",
        columns=map_columns(table, source, header, path.name),
        selected=selected,
        selector=selector,
        first_row=1,  # Parquet has no header row
    )


def expected_names(table: Table, source: Source) -> set[str]:
    """Return the column names, in lower case, that the file's header can be expected to hold."""
    mapped = [n for v in source.columns.values() for n in ([v] if isinstance(v, str) else v)]
    return {n.strip().casefold() for n in (*mapped, *source.keep, *table.names)}


def read_header(text: Path, where: str, source: Source, expected: set[str]) -> tuple[str, list[str]]:
    """Return delimiter and header of a UTF-8 file.

    The delimiter is the one under which most of the expected names appear in the header; with
    none of them, the one that gives the most fields.

    Raises
    ------
    ExportError
        If there is no header or two columns have one name that is needed.

    """
    with _open(text) as stream:
        head = stream.read(_HEAD).decode("utf-8-sig", errors="replace")
    lines = io.StringIO(head, newline="")
    for _ in range(source.skip_rows):
        lines.readline()
    rest = lines.read()
    if not rest.strip():
        raise ExportError(f"{where} is empty: it has no header row; export it again.")

    def fields(delimiter: str) -> list[str]:
        csv.field_size_limit(_HEAD)
        try:
            row = next(csv.reader(io.StringIO(rest, newline=""), delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            return []
        return [f.strip() for f in row]

    choices = [source.delimiter] if source.delimiter else list(DELIMITERS)
    headers = {d: fields(d) for d in choices}
    best = max(choices, key=lambda d: (len(expected & {f.casefold() for f in headers[d]}), len(headers[d])))
    header = headers[best]
    if not header or "\x00" in rest:
        raise ExportError(f"{where} is not a table of text: its first line is no header; check the file's format.")
    folded = [h.casefold() for h in header]
    for one in sorted(expected):
        if folded.count(one) > 1:
            raise ExportError(f"{where}: the header has {one!r} {folded.count(one)} times; rename all but one.")
    return best, _unique(header)


def _scan(text: Path, path: Path, source: Source, expected: set[str]) -> tuple[str, list[str]]:
    delimiter, header = read_header(text, path.name, source, expected)
    columns = ", ".join(f"{quote(h)}: 'VARCHAR'" for h in header)
    relation = (
        f"read_csv({quote(str(text))}, delim={quote(delimiter)}, quote='\"', escape='\"', comment='', "
        f"header=false, skip={source.skip_rows + 1}, auto_detect=false, columns={{{columns}}}, "
        f"max_line_size={MAX_RECORD}, store_rejects=true, ignore_errors=true, nullstr='', parallel=true)"
    )
    return relation, header


def _join(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    header: Sequence[str],
    path: Path,
    other: str,
    on: dict[str, str],
    work: Path,
) -> tuple[str, list[str]]:
    """Add the columns of another file by key; a row without a match keeps blanks."""
    file = path.parent / other
    lookup = Source(path=other)
    text = _as_plain_utf8(file, lookup, work)
    scan, theirs = _scan(text, file, lookup, {n.casefold() for n in on.values()})
    for mine, key in on.items():
        for names, wanted, where in ((header, mine, path.name), (theirs, key, file.name)):
            if wanted not in names:
                raise ExportError(f"{where}: there is no column {wanted!r}, which exports.yaml joins on.")
    keys = ", ".join(name(k) for k in on.values())
    [(repeated,)] = con.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {scan} GROUP BY {keys} HAVING count(*) > 1)"
    ).fetchall()
    if repeated:
        raise ExportError(
            f"{file.name}: {', '.join(on.values())} repeats for {repeated} keys, so rows of {path.name} "
            "would multiply; join on a column that is unique."
        )
    added = [t for t in theirs if t not in header]
    mine_columns = ", ".join(f"l.{name(h)}" for h in header)
    their_columns = ", ".join(f"r.{name(t)}" for t in added)
    condition = " AND ".join(f"l.{name(a)} = r.{name(b)}" for a, b in on.items())
    # the order of the left file is what row numbers rest on, so it is numbered before the join
    joined = (
        f"(SELECT {mine_columns}, {their_columns} FROM (SELECT *, row_number() OVER () AS _order FROM {relation}) l "
        f"LEFT JOIN {scan} r ON {condition} ORDER BY _order)"
    )
    return joined, [*header, *added]


def _rejected(con: duckdb.DuckDBPyConnection, text: Path) -> list[Malformed]:
    """Return the records that DuckDB refused in the last read of ``text``; blank lines uncounted."""
    rows = con.execute(
        "SELECT e.line, e.error_type, e.line_byte_position FROM reject_errors e JOIN reject_scans s "
        "ON e.scan_id = s.scan_id AND e.file_id = s.file_id WHERE s.file_path = ? ORDER BY e.line",
        [str(text)],
    ).fetchall()
    if not rows:
        return []
    with _open(text) as stream:
        blank = [m.start() for m in re.finditer(rb"(?<=\n)\r?\n", stream.read())] if rows else []
    seen: dict[int, str] = {}
    for line, kind, position in rows:
        row = line - sum(1 for b in blank if b < position)
        seen.setdefault(row, _REASONS.get(str(kind), "malformed_record"))
    return [Malformed(row, reason) for row, reason in seen.items()]


def _open(path: Path) -> BinaryIO:
    """Open a file or a gzip of it for reading bytes."""
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _as_plain_utf8(path: Path, source: Source, work: Path) -> Path:
    """Return ``path`` itself if it is UTF-8 with one kind of line end, else a rewritten copy."""
    try:
        with _open(path) as stream:
            head = stream.read(_HEAD)
    except (OSError, EOFError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged"
        raise ExportError(f"{path.name} cannot be read ({why}): check the file and its permissions.") from error
    if not head:
        raise ExportError(f"{path.name} is empty: it has no header row; export it again.")
    if head[:4] in (b"PK\x03\x04", b"%PDF", b"PAR1"):
        raise ExportError(f"{path.name} is not delimited text: save it as CSV or set its format in exports.yaml.")
    encoding = source.encoding or _find_encoding(head)
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise ExportError(f"exports.yaml: encoding {encoding!r} of {path.name} is not known; try cp1252.") from error
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii") and not _mixed_line_ends(path):
        return path
    return _rewrite(path, encoding, work)


def _find_encoding(head: bytes) -> str:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character cut off at the end is fine
    except UnicodeDecodeError:
        lone = sum(byte >= 0x80 for byte in head)
        # one or two stray bytes in a megabyte are damage, to be set aside, not an encoding
        if lone <= 2 and len(head) >= 10_000:
            return "utf-8"
        best = from_bytes(head, cp_isolation=["cp1252", "latin_1", "utf_16", "cp850", "mac_roman"]).best()
        return best.encoding if best else "cp1252"
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[0::2].count(0) > len(head) // 4:
        return "utf-16-be"
    return "utf-8"


def _mixed_line_ends(path: Path) -> bool:
    """Tell whether carriage returns stand alone, which DuckDB's strict reading refuses."""
    with _open(path) as stream:
        carry = b""
        while block := stream.read(_HEAD):
            block = carry + block
            carry = b"\r" if block.endswith(b"\r") else b""
            body = block[: len(block) - len(carry)]
            if body.count(b"\r") != body.count(b"\r\n") or (
                b"\r\n" in body and body.count(b"\n") != body.count(b"\r\n")
            ):
                return True
    return bool(carry)


def _rewrite(path: Path, encoding: str, work: Path) -> Path:
    """Write ``path`` as UTF-8 with LF line ends, block by block; undecodable bytes are kept."""
    with tempfile.NamedTemporaryFile(dir=work, suffix=".csv", delete=False) as target:
        utf8 = encoding.lower().startswith("utf-8") or encoding.lower() in ("utf8", "ascii")
        keep = "surrogateescape" if utf8 else "replace"
        try:
            with _open(path) as stream:
                reader = io.TextIOWrapper(stream, encoding=encoding, errors=keep, newline=None)
                while text := reader.read(_HEAD):
                    target.write(text.encode("utf-8", errors=keep))
        except (OSError, EOFError, UnicodeError) as error:
            raise ExportError(f"{path.name} cannot be read to its end: it is damaged; export it again.") from error
    return Path(target.name)


def _unique(header: Sequence[str]) -> list[str]:
    """Give blank and repeated names a number, so that DuckDB takes them."""
    seen: dict[str, int] = {}
    names = []
    for position, one in enumerate(header, start=1):
        base = one or f"column_{position}"
        count = seen.get(base.casefold(), 0)
        seen[base.casefold()] = count + 1
        names.append(base if not count else f"{base}_{count}_{position}")
    return names
