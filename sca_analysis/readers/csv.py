"""Delimited text (.csv, .txt, .psv, .tsv, also .gz) and Parquet, read by DuckDB.

Delimiter, encoding and byte-order mark are found out from the file unless ``exports.yaml``
says them. DuckDB reads UTF-8 with one kind of line end and quotes in order; any other file is
first rewritten to that in a temporary file, a block at a time.
"""

import codecs
import csv
import io
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import duckdb
import numpy as np
import numpy.typing as npt
from charset_normalizer import from_bytes

from sca_analysis.errors import ExportError
from sca_analysis.readers.lines import copy_in_order, find_blank, in_order, open_bytes
from sca_analysis.readers.source import (
    BOMS,
    Join,
    Malformed,
    Raw,
    Source,
    choose,
    map_columns,
    map_selection,
    name,
    quote,
    rows_of,
)
from sca_analysis.tables import Table

DELIMITERS = (",", "|", "\t", ";")
#: Longest record that is read; a longer one is set aside. [bytes]
MAX_RECORD = 4 * 1024 * 1024
_HEAD = 1024 * 1024  # bytes looked at to find out encoding, line ends and delimiter
_REASONS = {
    "MISSING COLUMNS": "too_few_fields",
    "TOO MANY COLUMNS": "too_many_fields",
    "UNQUOTED VALUE": "broken_quotes",
    "INVALID ENCODING": "bytes_not_in_encoding",
    "INVALID UNICODE": "bytes_not_in_encoding",
    "LINE SIZE OVER MAXIMUM": "record_too_long",
}
#: Ends of lines to some programs, but to no CSV: with them, all rows stand in the header.
_NO_LINE_END = re.compile(r"[\x1c-\x1e\x85\u2028\u2029]")
_ORDER = "sca_order"  # a name that no export has
_NOT_TEXT = (b"PK\x03\x04", b"%PDF", b"PAR1", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"\x28\xb5\x2f\xfd", b"\x89PNG")


@dataclass(frozen=True)
class Text:
    """A delimited file as DuckDB will read it: itself, or a copy of its records in order.

    ``start`` is the row of the first record that DuckDB reads less one; ``lost`` are the records
    that the copy leaves out.
    """

    path: Path
    delimiter: str
    header: list[str]
    skip: int
    start: int
    lost: tuple[Malformed, ...] = ()


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
    expected = expected_names(table, source)
    text = _prepare(path, source, expected, work)
    relation, header = _relation(text), text.header
    for join in source.join:
        relation, header = _join(con, relation, header, path, join, expected, work)
    selected, selector = map_selection(source, header, path.name)
    before = _last_scan(con)
    return Raw(
        path=path,
        format="csv",
        relation=relation,
        columns=map_columns(table, source, header, path.name),
        selected=selected,
        selector=selector,
        first_row=source.skip_rows + 2,
        beside=tuple(path.parent / join.path for join in source.join),
        malformed=lambda: _rejected(con, text, source.skip_rows, before),
    )


def read_parquet(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map a Parquet file onto the canonical columns of ``table``; typed columns become text.

    Raises
    ------
    ExportError
        If the file is no Parquet or lacks a column.

    """
    del work
    scan = f"read_parquet({_literal(path)}, hive_partitioning=false)"
    try:
        described = con.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()
    except (duckdb.Error, RuntimeError, UnicodeError) as error:  # the latter of a name that is no text
        raise ExportError(f"{path.name} is not a readable Parquet file: export it again, or set its format.") from error
    header = [row[0] for row in described]
    plain = ", ".join(f"{_as_text(name(row[0]), row[1])} AS {name(row[0])}" for row in described)
    selected, selector = map_selection(source, header, path.name)
    return Raw(
        path=path,
        format="parquet",
        relation=f"(SELECT {plain} FROM {scan})",
        columns=map_columns(table, source, header, path.name),
        selected=selected,
        selector=selector,
        first_row=1,  # Parquet has no header row
    )


def _as_text(column: str, kind: str) -> str:
    """SQL for a typed value as text; a whole number that pandas made a float loses its ``.0`` again."""
    if kind not in ("DOUBLE", "FLOAT"):
        return f"CAST({column} AS VARCHAR)"
    whole = f"abs({column}) < 1e15 AND {column} = trunc({column})"
    return f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"


def _literal(path: Path) -> str:
    """``path`` as SQL in which DuckDB sees no wildcard: it would read the files that match instead."""
    return quote("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


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
        If there is no header, it holds what may be the ends of all rows, or two columns have one name that is needed.

    """
    with open_bytes(text) as stream:
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
    if not header or "\x00" in "".join(header):
        raise ExportError(
            f"{where} has no header row where one is expected: set skip_rows in exports.yaml or check the format."
        )
    if found := _NO_LINE_END.search("".join(header)):
        raise ExportError(
            f"{where}: the header holds U+{ord(found[0]):04X}, which ends no line of a CSV, so that rows would be "
            "lost: save the file with line ends of LF or CR LF."
        )
    folded = [h.casefold() for h in header]
    for one in sorted(expected):
        if folded.count(one) > 1:
            raise ExportError(f"{where}: the header has {one!r} {folded.count(one)} times; rename all but one.")
    return best, _unique(header)


def _prepare(path: Path, source: Source, expected: set[str], work: Path) -> Text:
    """Find out how ``path`` is written, and copy it where DuckDB would misread it."""
    with _readable(path):
        plain = _as_plain_utf8(path, source, work)
        delimiter, header = read_header(plain, path.name, source, expected)
        with open_bytes(plain) as stream:
            fine = in_order(stream, delimiter, source.skip_rows)
        if fine:
            return Text(plain, delimiter, header, skip=source.skip_rows + 1, start=0)
        with open_bytes(plain) as stream, tempfile.NamedTemporaryFile(dir=work, suffix=".csv", delete=False) as target:
            lost = copy_in_order(
                stream, cast(BinaryIO, target), delimiter, source.skip_rows, MAX_RECORD, keep_blank=len(header) == 1
            )
    return Text(Path(target.name), delimiter, header, skip=0, start=source.skip_rows + 1, lost=tuple(lost))


def _relation(text: Text) -> str:
    columns = ", ".join(f"{quote(h)}: 'VARCHAR'" for h in text.header)
    return (
        f"read_csv({_literal(text.path)}, delim={quote(text.delimiter)}, quote='\"', escape='\"', comment='', "
        f"header=false, skip={text.skip}, auto_detect=false, columns={{{columns}}}, hive_partitioning=false, "
        f"max_line_size={MAX_RECORD}, store_rejects=true, ignore_errors=true, nullstr='', parallel=true)"
    )


def _join(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    header: Sequence[str],
    path: Path,
    join: Join,
    expected: set[str],
    work: Path,
) -> tuple[str, list[str]]:
    """Add the columns of another file by key; a row without a match keeps blanks."""
    file = path.parent / join.path
    text = _prepare(file, Source(path=join.path), expected | {n.strip().casefold() for n in join.on.values()}, work)
    scan, theirs = _relation(text), text.header
    pairs = []
    for mine, key in join.on.items():
        left, right = choose(header, mine), choose(theirs, key)
        for chosen, wanted, where in ((left, mine, path.name), (right, key, file.name)):
            if chosen is None:
                raise ExportError(f"{where}: there is no column {wanted!r}, which exports.yaml joins on.")
        pairs.append((name(str(left)), name(str(right))))
    keys = ", ".join(right for _, right in pairs)
    known = " AND ".join(f"{right} IS NOT NULL" for _, right in pairs)  # a blank key matches no row
    before = _last_scan(con)
    try:
        [(repeated,)] = con.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {scan} WHERE {known} GROUP BY {keys} HAVING count(*) > 1)"
        ).fetchall()
    except duckdb.Error as error:
        raise ExportError(f"{file.name} cannot be read as csv: check the file, or export it again.") from error
    if repeated:
        raise ExportError(
            f"{file.name}: {', '.join(join.on.values())} repeats for {repeated} keys, so rows of {path.name} "
            "would multiply; join on a column that is unique."
        )
    bad = _rejected(con, text, 0, before)
    if bad:
        raise ExportError(
            f"{file.name} row {bad[0].row}: {bad[0].reason.replace('_', ' ')}, as in {len(bad)} rows, so rows of "
            f"{path.name} would lose what is joined to them; correct the file or export it again."
        )
    taken = {h.casefold() for h in header}
    added = [t for t in theirs if t.casefold() not in taken]
    mine_columns = ", ".join(f"l.{name(h)}" for h in header)
    their_columns = "".join(f", r.{name(t)}" for t in added)
    condition = " AND ".join(f"l.{a} = r.{b}" for a, b in pairs)
    # the order of the left file is what row numbers rest on, so it is numbered before the join
    joined = (
        f"(SELECT {mine_columns}{their_columns} FROM (SELECT *, row_number() OVER () AS {name(_ORDER)} "
        f"FROM {relation}) l LEFT JOIN {scan} r ON {condition} ORDER BY l.{name(_ORDER)})"
    )
    return joined, [*header, *added]


def _last_scan(con: duckdb.DuckDBPyConnection) -> int:
    """Return the number of the last read of which DuckDB refused a record."""
    try:
        [(number,)] = con.execute("SELECT coalesce(max(scan_id), -1) FROM reject_scans").fetchall()
    except duckdb.CatalogException:  # there is no such table before the first read
        return -1
    return int(number)


def _rejected(con: duckdb.DuckDBPyConnection, text: Text, skip_rows: int, before: int) -> list[Malformed]:
    """Return the records that the copy left out or DuckDB refused in its last read; blank lines uncounted.

    ``before`` is the last read before, which may have been of the same file.
    """
    if _last_scan(con) == before:
        return list(text.lost)
    # DuckDB names a record once or several times, and counts blank lines; every read is a scan of its own
    found = con.execute(
        "SELECT e.line, first(e.error_type ORDER BY e.error_type), min(e.line_byte_position) "
        "FROM reject_errors e JOIN reject_scans s ON e.scan_id = s.scan_id AND e.file_id = s.file_id "
        "WHERE s.file_path = ? AND s.scan_id = (SELECT max(scan_id) FROM reject_scans WHERE file_path = ?) "
        "AND s.scan_id > ? GROUP BY e.line ORDER BY e.line",
        [str(text.path), str(text.path), before],
    ).fetchall()
    if not found:
        return list(text.lost)
    lines = np.array([line for line, _, _ in found], dtype=np.int64) + text.start
    if not text.start and len(text.header) > 1:  # a copy holds no blank lines; in one column they are records
        with open_bytes(text.path) as stream:
            blank = find_blank(stream, skip_rows)
        lines -= [_count_blank(blank, position) for _, _, position in found]
    rows = rows_of(lines, [m.row for m in text.lost])
    refused = [
        Malformed(int(row), _REASONS.get(str(kind), "malformed_record"))
        for row, (_, kind, _) in zip(rows, found, strict=True)
    ]
    return sorted([*text.lost, *refused], key=lambda m: m.row)


def _count_blank(blank: npt.NDArray[np.int64], position: int) -> int:
    """Count the blank lines before a record whose position DuckDB gives, which may be that of a blank line."""
    count = int(np.searchsorted(blank, position))
    while count < len(blank) and blank[count] <= position + 1:
        position = int(blank[count]) + 1
        count += 1
    return count


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that cannot be read into a sentence."""
    try:
        yield
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is damaged"
        raise ExportError(
            f"{path.name} cannot be read to its end ({why}): check the file and its permissions, or export it again."
        ) from error


def _as_plain_utf8(path: Path, source: Source, work: Path) -> Path:
    """Return ``path`` itself if it is UTF-8 with one kind of line end, else a rewritten copy."""
    with open_bytes(path) as stream:
        head = stream.read(_HEAD)
    if not head:
        raise ExportError(f"{path.name} is empty: it has no header row; export it again.")
    if head.startswith(_NOT_TEXT):
        raise ExportError(
            f"{path.name} is not delimited text: save it as CSV, name it after its format, or set that in exports.yaml."
        )
    encoding = _known(source.encoding or _find_encoding(head), path)
    if encoding in ("utf-8", "ascii") and not _mixed_line_ends(path):
        return path
    return _rewrite(path, encoding, work)


def _known(encoding: str, path: Path) -> str:
    """Return Python's name of a text encoding."""
    try:
        "".encode(encoding)  # refuses what is no encoding of text, such as base64
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise ExportError(f"exports.yaml: encoding {encoding!r} of {path.name} is not known; try cp1252.") from error


def _find_encoding(head: bytes) -> str:
    for bom, encoding in BOMS:
        if head.startswith(bom):
            return encoding
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[0::2].count(0) > len(head) // 4:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character cut off at the end is fine
    except UnicodeDecodeError:
        lone = sum(byte >= 0x80 for byte in head)
        # one or two stray bytes in a megabyte are damage, to be set aside, not an encoding
        if lone <= 2 and len(head) >= 10_000:
            return "utf-8"
        best = from_bytes(head, cp_isolation=["cp1252", "latin_1", "utf_16", "cp850", "mac_roman"]).best()
        return best.encoding if best else "cp1252"
    return "utf-8"


def _mixed_line_ends(path: Path) -> bool:
    """Tell whether carriage returns stand alone, which DuckDB's strict reading refuses."""
    with open_bytes(path) as stream:
        carry = b""
        while block := stream.read(_HEAD):
            block = carry + block
            carry = b"\r" if block.endswith(b"\r") else b""
            pairs = block.count(b"\r\n") if b"\r" in block else 0
            if b"\r" in block and block.count(b"\r") - len(carry) != pairs:
                return True
            if pairs and block.count(b"\n") != pairs:
                return True
    return bool(carry)


def _rewrite(path: Path, encoding: str, work: Path) -> Path:
    """Write ``path`` as UTF-8 with LF line ends, block by block; undecodable bytes are kept."""
    # a byte that the encoding does not have stays as it is: it is no UTF-8, so its record will be set aside
    keep = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    with tempfile.NamedTemporaryFile(dir=work, suffix=".csv", delete=False) as target, open_bytes(path) as stream:
        reader = io.TextIOWrapper(stream, encoding=encoding, errors=keep, newline=None)
        while text := reader.read(_HEAD):
            target.write(text.encode("utf-8", errors=keep))
    return Path(target.name)


def _unique(header: Sequence[str]) -> list[str]:
    """Give blank and repeated names a number, so that DuckDB takes them."""
    taken = {h.casefold() for h in header}
    seen: set[str] = set()
    names = []
    for position, one in enumerate(header, start=1):
        base = unique = one or f"column_{position}"
        while unique.casefold() in seen or (unique != one and unique.casefold() in taken):
            unique = f"{base}_{position}" if unique == base else f"{unique}_"
        seen.add(unique.casefold())
        names.append(unique)
    return names
