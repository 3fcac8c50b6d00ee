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
import yaml

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.tables import ENTERED, Table

#: Longest file read: what people type is far shorter. [bytes]
LONGEST = 1_000_000
_OWN = ("entered_by", "entered_on")


def recognise(head: bytes, file_name: str) -> bool:
    """Tell whether a file is YAML by its name."""
    return file_name.endswith((".yaml", ".yml"))


def read_entered(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Read the facts of a file, each a row; what is no fact of a case is malformed.

    Raises
    ------
    ExportError
        If it is no YAML, or longer than anybody types.

    """
    try:
        if path.stat().st_size > LONGEST:
            raise ExportError(f"{path.name} has over {LONGEST:,} bytes: no person typed that; give facts as CSV.")
        documents = list(yaml.load_all(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader))
    except UnicodeDecodeError:
        raise ExportError(f"{path.name} is not text in UTF-8: save it as UTF-8.") from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "its indentation, colons and quotes"
        raise ExportError(f"{path.name} is not valid YAML: correct {where}.") from None
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
