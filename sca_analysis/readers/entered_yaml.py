"""``entered-yaml``: what a person knows of a case, one file (or YAML document) a case, as rows of ``entered``.

    case_id: SCA000011
    entered_by: A. Analyst, case management
    entered_on: 2026-06-30
    facts:
      setback: yes
      setback_reason: two hospital stays followed the last change of therapist
      license: {value: ME PS1234, entered_by: the practice, entered_on: 2026-06-12}

Scalars are read as text, as in a CSV, so that ``yes``, ``01`` and dates mean what they say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sca_analysis.readers.plain_yaml import read_documents
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.tables import ENTERED, Table

_OWN = ("entered_by", "entered_on")


def recognise(head: bytes, file_name: str) -> bool:
    """Tell whether a file is YAML by its name."""
    return file_name.endswith((".yaml", ".yml"))


def read_entered(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Read the facts of a file, each a row; what is no fact of a case is malformed.

    Raises
    ------
    ExportError
        If it is no YAML, names a fact twice, or is longer than anybody types.

    """
    documents = read_documents(path, path.name)
    rows = [row for document in documents for row in _rows_of(document)]
    columns = ENTERED.names
    good = {c: [row[i] for row in rows if row is not None] for i, c in enumerate(columns)}
    good["place"] = [str(n) for n, row in enumerate(rows, 1) if row is not None]
    target = work / f"{path.stem}.parquet"
    pq.write_table(pa.table(good, schema=pa.schema([(c, pa.string()) for c in good])), target)
    lost = [Malformed(n, "malformed_record") for n, row in enumerate(rows, 1) if row is None]
    return Raw(
        path=path,
        format="entered-yaml",
        relation=f"read_parquet({quote(str(target))})",
        columns={c: name(c) for c in columns},
        place="CAST(place AS BIGINT)",
        malformed=lambda: lost,
    )


def _rows_of(document: Any) -> Iterator[tuple[str | None, ...] | None]:
    """Yield case_id, fact, value, entered_by and entered_on of each fact; None where there is none to be read."""
    if not isinstance(document, dict) or not isinstance(document.get("facts"), dict):
        yield None
        return
    for fact, given in document["facts"].items():
        own = given if isinstance(given, dict) else {"value": given}
        cells = (document.get("case_id"), fact, own.get("value"), *(own.get(c, document.get(c)) for c in _OWN))
        yield cells if all(cell is None or isinstance(cell, str) for cell in cells) else None
