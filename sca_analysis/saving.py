"""Write what a month says: its tables as CSV and as one workbook, rows set aside, and what it was made from.

In: a ``Month``, or tables. Out: files that people open. The notebook of the report calls it, and the command line.
"""

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sca_analysis import cache
from sca_analysis.errors import ReportError
from sca_analysis.exports import Exports
from sca_analysis.folder import CONFIG, Plan
from sca_analysis.pseudonyms import find_key, name_key
from sca_analysis.standards import STANDARDS

if TYPE_CHECKING:  # who hashes inputs alone need not wait for what makes a month
    from sca_analysis.monthly import Month

#: What stands on every page of an identified report.
IDENTIFIED = "IDENTIFIED: rows on single patients, for the plan's own use; not to be shared"
_PACKAGES = (
    "duckdb",
    "narwhals",
    "numpy",
    "pandas",
    "papermill",
    "plotly",
    "pyarrow",
    "scipy",
    "sca-analysis",
)
#: How text begins that a spreadsheet takes for a formula, or may strip to one; an apostrophe before it stops that.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"-?[0-9][0-9,]*(\.[0-9]+)?")


def save_month(month: "Month", folder: str | Path | None) -> None:
    """Write the tables of a month, the rows set aside and the manifest; nothing without a folder.

    Parameters
    ----------
    month : Month
    folder : str, Path or None
        Gets tables/*.csv, tables.xlsx, set_aside.csv and manifest.json; blank: nothing is written.

    """
    if not folder:
        return
    target = Path(folder)
    save_tables(month.tables, target, IDENTIFIED if month.is_identified else "")
    guard_formulas(month.exports.set_aside).to_csv(target / "set_aside.csv", index=False, lineterminator="\n")
    manifest = describe_run(month)
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def save_tables(tables: Mapping[str, pd.DataFrame], folder: Path, mark: str = "") -> None:
    """Write tables as ``folder/tables/*.csv`` and as sheets of ``folder/tables.xlsx``.

    In CSV, text that begins like a formula has an apostrophe before it; in the workbook it is text as it stands, and
    ``mark`` heads every printed page.

    Raises
    ------
    ReportError
        If the folder cannot be written to.

    """
    try:
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        for name, frame in tables.items():
            guard_formulas(frame).to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        _write_xlsx(tables, folder / "tables.xlsx", mark)
    except OSError as error:
        raise ReportError(f"{folder} cannot be written to ({error.strerror}): choose another.") from error


def guard_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table for a CSV that people open: text that a spreadsheet would run gets an apostrophe before it.

    Numbers stay as they are, negative ones too, also where they are written as text.
    """
    texts = [c for c in frame if frame[c].dtype == object or pd.api.types.is_string_dtype(frame[c].dtype)]
    return frame.assign(**{c: frame[c].map(_guard) for c in texts})


def describe_run(month: "Month") -> dict[str, Any]:
    """Return what a report was made from: inputs with SHA-256, parameters, versions, row counts."""
    files = month.exports.files
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": {
            "month": month.month,
            "as_of": month.as_of.isoformat(),
            "data": str(month.exports.folder),
            "engine": month.exports.store.engine,
            "identified": month.is_identified,
            "pseudonym_key": name_key_of(month.is_identified),
        },
        "inputs": [{"path": p, "sha256": h} for p, h in hash_inputs(month.exports)],
        # files beside these that would have been read, had they been there
        "looked_for": [os.path.relpath(p, month.exports.folder) for p, h in month.exports.beside.items() if not h],
        "rows": [
            {k: int(f[k]) if k in ("rows_read", "accepted", "set_aside") else f[k] for k in files.columns}
            for f in files.to_dict("records")
        ],
        "tables": {name: len(frame) for name, frame in month.tables.items()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
    }


def hash_inputs(exports: Exports) -> list[tuple[str, str]]:
    """Return the path and SHA-256 of every input file, of exports.yaml and of a standard of its own."""
    return hash_files_of(exports.folder, exports.plan, (*exports.paths, *exports.beside))


def hash_files_of(folder: Path, plan: Plan, files: Iterable[Path]) -> list[tuple[str, str]]:
    """Return path from the folder and SHA-256 of its exports.yaml, these files, and a standard that is a file."""
    paths = [folder / CONFIG, *files]
    if plan.standard and plan.standard not in STANDARDS:
        paths.append(folder / plan.standard)
    return [(os.path.relpath(path, folder), sha) for path, sha in cache.hash_files(paths).items() if sha]


def name_key_of(identified: bool) -> str:
    """Return what tells keys of pseudonyms apart; blank where there are no pseudonyms."""
    return "" if identified else name_key(find_key())


def _guard(value: object) -> object:
    """Return a cell as it is, or text that begins like a formula with an apostrophe before it."""
    is_formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def _write_xlsx(tables: Mapping[str, pd.DataFrame], path: Path, mark: str) -> None:
    """Write one sheet a table; text stays text, whatever it begins with."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs={"options": options}) as writer:
        writer.book.set_properties({"created": datetime(1980, 1, 1)})  # as its parts have: one content, one file
        money = writer.book.add_format({"num_format": "#,##0.00"})
        for name, frame in tables.items():
            plain = frame.copy()
            exact = [c for c in frame if "decimal" in str(frame[c].dtype)]
            # a spreadsheet holds binary numbers only: the exact cents are in the CSV beside it
            plain[exact] = plain[exact].astype("Float64")
            plain.to_excel(writer, sheet_name=name, index=False, freeze_panes=(1, 0))
            sheet = writer.sheets[name]
            if mark:
                sheet.set_header(f"&C{mark}")
            for place, column in enumerate(frame):
                sheet.set_column(place, place, max(12, min(40, len(column) + 2)), money if column in exact else None)
            sheet.autofilter(0, 0, max(len(frame), 1), max(len(frame.columns) - 1, 0))
