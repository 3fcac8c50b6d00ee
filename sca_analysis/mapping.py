"""A mapping assistant: which table each file of a folder is, and which column is which.

In: a folder of exports in columns of their own. Out: a proposal for each file, with its reasons and what is missing,
and an ``exports.yaml`` of all of them. Names are compared with those that the field uses
(``reference/column_names.csv``), and each match is tried on the first values: a proposal is a start.
"""

import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from sca_analysis.errors import ParameterError
from sca_analysis.folder import CONFIG
from sca_analysis.readers import recognise, synthea
from sca_analysis.readers.csv import DELIMITERS
from sca_analysis.readers.presets import header_of
from sca_analysis.readers.source import Source
from sca_analysis.rules import BLANKS
from sca_analysis.tables import EXPORTS, Column, Kind, Table

#: Files of a folder that are looked at, values of a column that are tried, and share of them that has to fit.
MOST_FILES, MOST_ROWS, FITS = 500, 500, 0.8
#: Likeness of two names (difflib's ratio) from which they are taken for the same, beside a fit of the values.
ALIKE = 0.84
#: A file that has fewer than half of the columns that a table must have, or fewer than two of its columns by name, is
#: none of the tables.
LEAST = 5.0
_HEAD = 1024 * 1024
_SUFFIXES = (".csv", ".txt", ".tsv", ".psv", ".parquet", ".json", ".ndjson", ".edi", ".x12", ".837", ".835", ".gz")
_DATES = ("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%Y/%m/%d", "%d-%b-%Y", "%m-%d-%Y", "%d.%m.%Y", "%b %d %Y")
_HINTS = {
    "claims": "claim clm line service encounter",
    "directory": "directory provider network roster practitioner",
    "members": "member eligib enrol coverage span beneficiar patient",
    "benefits": "benefit plan_design",
    "fees": "fee rate schedule price",
    "agreements": "agreement sca request authoriz case",
}
_SHAPES = {
    Kind.NPI: r"[12]\d{9}(\.0)?",
    Kind.TAXONOMY: r"[0-9A-Za-z]{9}[Xx]",
    Kind.ZIP: r"\d{3,5}(-?\d{4})?(\.0)?",
    Kind.FIPS: r"\d{4,5}",
    Kind.MONEY: r"[-(]?\$?-?[\d,]*\.?\d+\)?",
    Kind.NUMBER: r"-?[\d,]*\.?\d+",
    Kind.RATE: r"0?\.\d+|[01](\.0+)?",
    Kind.COUNT: r"\d+(\.0)?",
    Kind.FLAG: r"(?i)true|false|t|f|yes|no|y|n|[01]",
    Kind.MONTH_DAY: r"\d{1,2}-\d{1,2}",
    Kind.LATITUDE: r"-?\d{1,2}\.\d+",
    Kind.LONGITUDE: r"-?\d{1,3}\.\d+",
}


@dataclass(frozen=True)
class Proposal:
    """What one file may be.

    Attributes
    ----------
    path : str
        Relative to the folder.
    table : str
        Name of one of ``tables.EXPORTS``; blank = nothing fits.
    format : str
        As in ``readers.READERS``; a format other than csv and parquet needs no columns.
    columns : dict
        Canonical column: the file's own.
    date_format : str or None
        As ``date_format`` of exports.yaml.
    missing : tuple of str
        Required columns that nothing fits.
    unused : tuple of str
        The file's own columns that are left over.
    notes : tuple of str
        What to look at, one sentence each.

    """

    path: str
    table: str
    format: str
    columns: dict[str, str] = field(default_factory=dict)
    date_format: str | None = None
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether the file can be read as proposed."""
        return bool(self.table) and not self.missing


@dataclass(frozen=True)
class _Content:
    """The header and the first values of a delimited or Parquet file, column by column."""

    header: list[str]
    values: list[list[str]]


def propose(folder: str | Path) -> list[Proposal]:
    """Return a proposal for each file of a folder, in order of their names.

    Raises
    ------
    ParameterError
        If there is no such folder, or no file in it that could be an export.

    """
    root = Path(folder)
    if not root.is_dir():
        raise ParameterError(f"there is no folder {root}: name the one that your exports are in.")
    found = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix.lower() in _SUFFIXES and p.name != CONFIG)
    if not found:
        raise ParameterError(f"{root} holds no file that could be an export ({', '.join(_SUFFIXES)}).")
    return _without_second_best([propose_file(path, root) for path in found[:MOST_FILES]])


def propose_file(path: Path, folder: Path) -> Proposal:
    """Return what one file may be."""
    shown = path.relative_to(folder).as_posix()
    for table in EXPORTS.values():
        form = recognise(path, table, Source(path=shown))
        if form not in ("csv", "parquet"):
            meant = _table_of(path) if form == "synthea" else table.name
            return Proposal(shown, meant, form, notes=(f"recognised as {form}, which needs no mapping",))
    try:
        content = _read(path)
    except (OSError, ValueError, csv.Error) as error:
        return Proposal(shown, "", "", notes=(f"cannot be read as a table ({type(error).__name__})",))
    form = "parquet" if path.suffix == ".parquet" else "csv"
    if not content.header or not all(any(c.isalpha() for c in name) for name in content.header if name):
        return Proposal(shown, "", form, notes=("has no header row with names: say skip_rows, or add one",))
    tried = [_match(table, content, path.name) for table in EXPORTS.values()]
    score, table, columns, notes = max(tried, key=lambda t: t[0])
    if score < LEAST:
        return Proposal(shown, "", form, unused=tuple(content.header), notes=("looks like none of the tables",))
    missing = tuple(c.name for c in table.columns if c.required and c.name not in columns)
    date_format, about = _find_date_format(table, content, columns)
    left = tuple(n for n in content.header if n not in columns.values())
    return Proposal(shown, table.name, form, columns, date_format, missing, left, (*notes, *about))


def _table_of(path: Path) -> str:
    """Return the table that a Synthea file is of."""
    with path.open("rb") as stream:
        header = header_of(stream.read(_HEAD))
    return next(layout.table for layout in synthea.LAYOUTS if layout.fits(header))


def _without_second_best(proposals: list[Proposal]) -> list[Proposal]:
    """Leave out Synthea's patients where its coverage spans, which also are members, are there."""
    spans = [p for p in proposals if p.format == "synthea" and p.path.endswith("payer_transitions.csv")]
    if not spans:
        return proposals
    note = ("coverage spans are taken from payer_transitions.csv instead",)
    return [
        replace(p, table="", notes=note) if p.format == "synthea" and p.path.endswith("patients.csv") else p
        for p in proposals
    ]


def as_yaml(proposals: Sequence[Proposal], plan: str = "My plan") -> str:
    """Return the exports.yaml of the usable proposals; what is left out stands in it as comments."""
    config: dict[str, Any] = {"plan": {"name": plan}}
    for one in proposals:
        if not one.is_usable:
            continue
        entry: dict[str, Any] = {"path": one.path, "format": one.format}
        renamed = {ours: theirs for ours, theirs in one.columns.items() if ours != theirs}
        entry |= {"columns": renamed} if renamed else {}
        entry |= {"date_format": one.date_format} if one.date_format else {}
        config.setdefault(one.table, []).append(entry)
    lines = ["# Proposed by `sca map`: compare each column with your data before you believe a figure."]
    for one in proposals:
        if not one.is_usable:
            why = f"{one.table} without {', '.join(one.missing)}" if one.table else "no table"
            lines.append(f"# not used: {one.path} ({why})")
    return "\n".join(lines) + "\n" + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=120)


def write_config(folder: str | Path, proposals: Sequence[Proposal], plan: str = "My plan") -> Path:
    """Write ``exports.yaml`` into a folder that has none, and return its path.

    Raises
    ------
    ParameterError
        If there is one already, or the folder cannot be written to.

    """
    path = Path(folder) / CONFIG
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(as_yaml(proposals, plan))
    except FileExistsError:
        raise ParameterError(f"{path} exists already: move it away, and it will be proposed anew.") from None
    except OSError as error:
        raise ParameterError(f"{path} cannot be written ({error.strerror}): choose a folder of yours.") from error
    return path


def _match(table: Table, content: _Content, name: str) -> tuple[float, Table, dict[str, str], list[str]]:
    """Return how well a file fits a table, and which column is which."""
    pairs: list[tuple[float, str, int]] = []
    for column in table.columns:
        known = _names().get(table.name, {}).get(column.name, (_plain(column.name),))
        for number, theirs in enumerate(content.header):
            likeness = _likeness(_plain(theirs), known)
            if likeness >= ALIKE and _fit(column, content.values[number]) >= FITS:
                pairs.append((likeness, column.name, number))
    columns: dict[str, str] = {}
    used: set[int] = set()
    notes = []
    for likeness, ours, number in sorted(pairs, key=lambda p: (-p[0], table.names.index(p[1]), p[2])):
        if ours in columns or number in used:
            continue
        columns[ours] = content.header[number]
        used.add(number)
        if likeness < 1:
            notes.append(f"{content.header[number]} is taken for {ours} by a name that is only alike: look at it")
    required = [c.name for c in table.columns if c.required]
    wanted = required or table.names  # benefits have no column that must be there
    found = sum(c in columns for c in wanted)
    hint = any(word in name.lower() for word in _HINTS.get(table.name, "").split())
    # what a table must have counts most, then what else is found, then the file's name
    named = len(columns) - len(notes)
    score = 0.0 if named < 2 else 10 * found / len(wanted) + len(columns) / len(table.columns) + 2 * hint
    ordered = {c: columns[c] for c in table.names if c in columns}
    return score, table, ordered, notes


def _likeness(theirs: str, known: Sequence[str]) -> float:
    """Return how alike a name is to the nearest of the known ones, 0 to 1."""
    if theirs in known:
        return 1.0
    if len(theirs) < 4:
        return 0.0
    return max(SequenceMatcher(None, theirs, one).ratio() for one in known) * 0.999


def _fit(column: Column, values: Sequence[str]) -> float:
    """Return the share of the filled values that a column of this kind could hold; 1 where there are none."""
    filled = [v for v in values if v.strip().lower() not in BLANKS]
    if not filled:
        return 1.0
    if column.kind is Kind.DATE:
        return 1.0 if any(_reads(f, filled) for f in (None, *_DATES)) else 0.0
    shape = _SHAPES.get(column.kind)
    if shape is None or column.allowed:
        return 1.0  # codes and text may be anything; words of a code list can be translated
    return sum(re.fullmatch(shape, v.strip()) is not None for v in filled) / len(filled)


def _find_date_format(table: Table, content: _Content, columns: dict[str, str]) -> tuple[str | None, list[str]]:
    """Return the one format of all dates of a file, None where dates are read without one; and what to look at."""
    dates = [c.name for c in table.columns if c.kind is Kind.DATE and c.name in columns]
    values = [v for d in dates for v in content.values[content.header.index(columns[d])]]
    filled = [v for v in values if v.strip().lower() not in BLANKS]
    if not filled or _reads(None, filled):
        return None, []
    fitting = [f for f in _DATES if _reads(f, filled)]
    if not fitting:
        return None, ["its dates are of several forms: give date_format as a list"]
    both = {"%m/%d/%Y", "%d/%m/%Y"} <= set(fitting)
    return fitting[0], ["dates may be month first or day first: month first is assumed"] if both else []


def _reads(form: str | None, values: Sequence[str]) -> bool:
    """Tell whether nearly all values are dates of a form; without one, those that are read as they are."""
    good = 0
    for value in values:
        try:
            if form is None:
                good += re.fullmatch(r"\d{4}-\d\d-\d\d([T ].*)?|(19|20)\d{6}", value.strip()) is not None
            else:
                datetime.strptime(value.strip(), form)
                good += 1
        except ValueError:
            continue
    return good >= FITS * len(values)


def _read(path: Path) -> _Content:
    """Return header and first values of a delimited or Parquet file."""
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        rows = next(file.iter_batches(MOST_ROWS), None)
        names = file.schema_arrow.names
        columns = [[] if rows is None else [_as_text(v) for v in rows.column(i).to_pylist()] for i in range(len(names))]
        return _Content(list(names), columns)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        head = stream.read(_HEAD)
    header = header_of(head)
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader(lines[:1], delimiter=d), [])))
    rows_read = [r for r in islice(csv.reader(lines[1:], delimiter=delimiter), MOST_ROWS) if len(r) == len(header)]
    return _Content(header, [[row[i] for row in rows_read] for i in range(len(header))])


def _as_text(value: object) -> str:
    return "" if value is None else str(value)


def _plain(name: str) -> str:
    """Return a column's name as it is compared: lower case, words joined by one underscore."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")


@cache
def _names() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the names that the field uses for each column, by table."""
    known: dict[str, dict[str, tuple[str, ...]]] = {}
    with files("sca_analysis").joinpath("reference", "column_names.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            known.setdefault(row["table"], {})[row["column"]] = tuple(row["names"].split())
    return known
