"""What the X12 readers of claims and of remittances share: values of elements, and rows written as they come."""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Raw, Source, map_columns, map_selection, name
from sca_analysis.readers.x12 import State, at
from sca_analysis.tables import CLAIMS, Table

_AMOUNT = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,8})?|\.[0-9]{1,8})")
_LEADING = re.compile(r"[A-Z0-9]{1,3}([^A-Za-z0-9 .-])")
#: SQL for the provider's own number of a line.
LINE_REFERENCE = f"nullif({name('line_reference')}, '')"
_BATCH = 20_000  # rows written at a time

# ---- values ----


def split_composite(text: str, component: str) -> list[str]:
    """Return the components of a composite that begins with a code.

    Where the separator that ISA16 names is not in it, the one that stands after the code is taken:
    files are found that name one and use another.
    """
    if component in text:
        return text.split(component)
    other = _LEADING.match(text)
    return text.split(other[1]) if other else [text]


def first_day(qualifier: str, text: str) -> str:
    """Return the first day of a date (D8), range (RD8) or time (DT) as written; others stay as they are."""
    if qualifier == "RD8":
        return text.partition("-")[0].strip()
    return text[:8] if qualifier == "DT" else text


def is_date(text: str) -> bool:
    """Say whether a text is eight digits, as all dates of the guides are."""
    return len(text) == 8 and text.isdecimal() and text.isascii()


def amount_of(text: str) -> Decimal | None:
    """Return the exact amount of an element, blank being zero, None if it is no number."""
    if not text:
        return Decimal(0)
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def procedure_of(parts: Sequence[str], revenue: str) -> str:
    """Return the HCPCS code of a composite medical procedure, else ``R`` and the four-digit revenue code."""
    qualifier, code = at(parts, 0), at(parts, 1)
    if qualifier in ("NU", "RB"):  # a revenue code in place of a procedure
        revenue, code = code or revenue, ""
    return code or (f"R{revenue.zfill(4)}" if revenue else "")


def mark_of(given_name: str) -> str:
    """Return what tells a dependant from the subscriber of one identifier: a sum of the given name.

    The 835 names patients by given name but has no birth date, so that only the name gives both the
    same mark. Two dependants of one given name are not told apart.
    """
    letters = "".join(c for c in given_name.upper() if c.isalnum())
    return "-" + hashlib.sha256(letters.encode("utf-8", "surrogatepass")).hexdigest()[:6]


# ---- rows ----


@contextmanager
def open_rows(work: Path, columns: Sequence[str]) -> Iterator[tuple[Path, Callable[[tuple[str | int, ...]], None]]]:
    """Give a Parquet file and a function that adds a row to it: a text for each column, then its place."""
    schema = pa.schema([*((c, pa.string()) for c in columns), ("place", pa.int64())])
    with tempfile.NamedTemporaryFile(dir=work, suffix=".parquet", delete=False) as file:
        path = Path(file.name)
    rows: list[tuple[str | int, ...]] = []
    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            *columns, places = zip(*rows, strict=True)
            arrays = [pa.array(_plain(values), pa.string()) for values in columns]
            arrays.append(pa.array(places, pa.int64()))
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            rows.clear()

        def write(row: tuple[str | int, ...]) -> None:
            rows.append(row)
            if len(rows) >= _BATCH:
                flush()

        yield path, write
        if rows:
            flush()


def _plain(values: Sequence[str]) -> Sequence[str]:
    """Return values as valid text; one with bytes that were no UTF-8 is read as cp1252."""
    if "".join(values).isascii():
        return values
    return [
        v.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
        if any("\ud800" <= c <= "\udfff" for c in v)
        else v
        for v in values
    ]


def raw_of(
    path: Path,
    table: Table,
    source: Source,
    chosen: str,
    relation: str,
    state: State,
    own: Sequence[str],
    number: str = "",
    original: str = "",
    stands_for: str = "",
    reference: str = "",
) -> Raw:
    """Return the rows that were written, mapped by ``exports.yaml`` over canonical and own columns.

    ``number`` is the column of the claim's number as submitted, the others are as in ``Raw``.
    """
    where = path.name
    selected, selector = map_selection(source, own, where)
    return Raw(
        path=path,
        format=chosen,
        relation=relation,
        columns=map_columns(table, source, own, where),
        selected=selected,
        selector=selector,
        first_row=1,
        place=name("place"),
        reference=reference,
        number=f"nullif({name(number)}, '')" if number else "",
        original=original,
        stands_for=stands_for,
        malformed=lambda: sorted(state.malformed, key=lambda m: m.row),
    )


def refuse_options(table: Table, source: Source, chosen: str, meant: Sequence[Table] = (CLAIMS,)) -> None:
    """Refuse a table or options that X12 has no use for.

    Raises
    ------
    ExportError
        With the first such option.

    """
    if table not in meant:
        names = " and ".join(one.name for one in meant)
        raise ExportError(f"exports.yaml: {table.name}: format {chosen} is for {names} only.")
    usable = {"path", "format", "columns", "constants", "values", "keep", "rules", "encoding"}
    if surplus := source.model_fields_set - usable:
        raise ExportError(f"exports.yaml: {table.name}: format {chosen} has no use for {min(surplus)}: leave it out.")
