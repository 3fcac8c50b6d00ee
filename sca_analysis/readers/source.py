"""What one entry of ``exports.yaml`` says about a file, and what a reader gives back.

Every reader maps its format onto the canonical columns of a table as text; ``check`` gives
the text its types. So a rule is written once, whatever the format.
"""

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sca_analysis.errors import ExportError
from sca_analysis.tables import Table


class Entry(BaseModel):
    """A part of ``exports.yaml``: unknown names are refused, and a name left blank is as if absent."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_blank(cls, given: object) -> object:
        if isinstance(given, dict):
            # a tilde is YAML for nothing, but also a delimiter
            return {k: v for k, v in given.items() if v not in ("", "null", "~", None) or (k, v) == ("delimiter", "~")}
        return given


#: Byte-order marks and the encodings that they tell; UTF-32 before UTF-16, whose mark begins its own.
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

#: Most rows above a header: far above any real preamble.
MOST_SKIPPED = 100_000

#: What the name of a column in an error message is not: longer than those of NPPES, or of JSON, X12 or several lines.
_LONGEST_NAME = 80  # [characters]
_NO_NAME = frozenset("*~{}^\x00\x85\u2028\u2029")

#: At least one text.
Names = Annotated[list[str], Field(min_length=1)]


class Join(Entry):
    """Another file whose columns are added by a key, such as claim headers to claim lines."""

    path: str
    on: dict[str, str] = Field(min_length=1)  # column of the file: column of the joined file


class Source(Entry):
    """One entry of ``exports.yaml``: where a table's rows are and how to read them.

    ``columns`` maps canonical names to the file's own (a list is joined by a space);
    ``constants`` fills a column with one value; ``values`` translates codes; ``keep`` selects
    rows by the file's own columns (the others are set aside as not selected); ``rules`` says
    for a named rule whether a row that breaks it is set aside or only warned of.
    """

    path: str
    format: str | None = None
    columns: dict[str, str | Names] = {}
    date_format: str | Names | None = None
    constants: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    keep: dict[str, list[str]] = {}
    join: list[Join] = []
    rules: dict[str, Literal["set_aside", "warn"]] = {}
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = None
    skip_rows: int = Field(default=0, ge=0, le=MOST_SKIPPED)

    @field_validator("delimiter", mode="before")
    @classmethod
    def _delimiter(cls, given: object) -> object:
        if given in ("\\t", "tab"):
            return "\t"
        if given in ('"', "\n", "\r", "\0"):
            raise ValueError("a quote or line end cannot be the delimiter")
        return given

    @field_validator("keep", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, keep: object) -> object:
        if isinstance(keep, dict):
            return {k: v if isinstance(v, list) else [v] for k, v in keep.items()}
        return keep


@dataclass(frozen=True)
class Malformed:
    """A record that is no row at all: its place in the file and why; or the first of several that are alike.

    ``file`` is the position of its file among those that were read together.
    """

    row: int
    reason: str
    rows: int = 1
    file: int = 0


@dataclass(frozen=True)
class Raw:
    """Canonical text columns of one file, in file order, as a relation for DuckDB.

    ``relation`` is SQL for a FROM clause; ``columns`` gives, for each canonical column
    present, SQL for its text over that relation; ``selected`` is SQL that is true for the
    rows to keep, with ``selector`` naming the column. ``malformed`` is called after the
    relation was read. ``first_row`` is the row number of the first record. Where rows are not
    counted one by one, ``place`` is SQL for the place of each in the file: the number of its
    segment, resource or line, as in ``Malformed.row``. Where a row is made of several records of the
    file, such as a rate of many prices, ``stands_for`` is SQL for how many. Where several files were read
    together, ``file`` is SQL for the position of the row's file among them, in whose order the rows are.
    ``reference`` is SQL for the provider's own number of a claim line, by which a remittance names it, or for the day
    of what is said of a member, of which the latest counts; ``number`` for
    that of the claim as submitted; ``original`` for the claim that it replaces or, of a remittance, for the payer's
    number of it. ``source`` is the entry as the reader filled it in, where a format knows rules and dates of its own.
    ``beside`` are other files that were read with it, or would have been, had they been there.
    """

    path: Path
    format: str
    relation: str
    columns: dict[str, str]
    selected: str = "true"
    selector: str = ""
    first_row: int = 2
    place: str = ""
    stands_for: str = ""
    file: str = ""
    reference: str = ""
    number: str = ""
    original: str = ""
    source: Source | None = None
    beside: tuple[Path, ...] = ()
    malformed: Callable[[], Sequence[Malformed]] = field(default=lambda: ())


def rows_of(places: npt.NDArray[np.int64], lost: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the rows of records that were numbered without the lost rows: each lost one before moves them on."""
    gaps = np.array(sorted(lost), dtype=np.int64)
    return places + np.searchsorted(gaps - np.arange(len(gaps)), places, side="right")


def quote(text: str) -> str:
    """Return ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """Return ``text`` as a quoted SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def choose(names: Sequence[str], one: str) -> str | None:
    """Return the header name that ``one`` means: exact first, else without regard to case."""
    if one in names:
        return one
    folded = [n for n in names if n.strip().casefold() == one.strip().casefold()]
    return folded[0] if len(folded) == 1 else None


def map_columns(table: Table, source: Source, header: Sequence[str], where: str) -> dict[str, str]:
    """Return SQL for the text of each canonical column that the file provides.

    Parameters
    ----------
    table : Table
    source : Source
    header : sequence of str
        The file's own column names.
    where : str
        The file, for error messages.

    Raises
    ------
    ExportError
        If a mapped column is not in the file, or a required column is neither there, mapped
        nor constant.

    """
    for what, given in (
        ("columns", source.columns),
        ("constants", source.constants),
        ("values", source.values),
    ):
        for canonical in given:
            if canonical not in table.names:
                raise ExportError(
                    f"exports.yaml: {table.name}: {what}: {canonical!r} is not a column of {table.name}; "
                    f"it has {', '.join(table.names)}."
                )
    found: dict[str, str] = {}
    for column in table.columns:
        theirs = source.columns.get(column.name)
        if theirs is not None:
            parts = [_theirs(header, one, column.name, where) for one in _as_list(theirs)]
            found[column.name] = parts[0] if len(parts) == 1 else f"nullif(concat_ws(' ', {', '.join(parts)}), '')"
        elif (same := choose(header, column.name)) is not None and column.name not in source.constants:
            found[column.name] = name(same)
        if column.name in source.constants:
            constant = quote(source.constants[column.name])
            blank_is_null = f"nullif(trim({found.get(column.name)}), '')"
            found[column.name] = f"coalesce({blank_is_null}, {constant})" if theirs else constant
        if column.name in source.values and column.name in found:
            found[column.name] = _translate(found[column.name], source.values[column.name])
    absent = [c.name for c in table.columns if c.required and c.name not in found]
    if absent:
        raise ExportError(
            f"{where}: no column for {', '.join(absent)} of {table.name}: name the file's own column under "
            f"`columns:` in exports.yaml; the file has {_some(header)}."
        )
    return found


def map_selection(source: Source, header: Sequence[str], where: str) -> tuple[str, str]:
    """Return SQL that is true for the rows to keep, and the columns that decide."""
    if not source.keep:
        return "true", ""
    parts = [
        f"coalesce(trim({_theirs(header, column, 'keep', where)}), '') IN ({', '.join(map(quote, values))})"
        for column, values in source.keep.items()
    ]
    return " AND ".join(parts), ", ".join(source.keep)


def _as_list(theirs: str | list[str]) -> list[str]:
    return [theirs] if isinstance(theirs, str) else theirs


def _theirs(header: Sequence[str], one: str, canonical: str, where: str) -> str:
    chosen = choose(header, one)
    if chosen is None:
        raise ExportError(
            f"{where}: there is no column {one!r}, which exports.yaml gives for {canonical}; "
            f"the file has {_some(header)}."
        )
    return name(chosen)


def _translate(sql: str, values: dict[str, str]) -> str:
    whens = " ".join(f"WHEN {quote(a.strip().casefold())} THEN {quote(b)}" for a, b in values.items())
    return f"CASE coalesce(lower(trim({sql})), '') {whens} ELSE {sql} END"


def _some(header: Sequence[str], most: int = 12) -> str:
    # a first row of values would show what may identify a member
    if any(h.strip() and not any(c.isalpha() for c in h) for h in header):
        return "a first row with numbers in it, so its header row may be missing or further down (skip_rows)"
    # a file of another format, or without line ends, is one long name, and holds members
    if any(len(h) > _LONGEST_NAME or set(h) & _NO_NAME for h in header):
        return "a first row that holds no names of columns, so it may be of another format"
    # a quote that is out of order may make rows part of a name
    shown = ", ".join("".join(h.strip().splitlines()[:1]) for h in header[:most])
    return shown if len(header) <= most else f"{shown} and {len(header) - most} more"
