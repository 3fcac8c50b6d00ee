"""Make the monthly report: run the notebook, publish it as one offline page, write the tables.

The only module that writes reports and tables. A report is built in a folder of its own beside the last one
and takes its place only when whole: a run that fails leaves the last good report untouched.
"""

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import nbformat
import pandas as pd
import papermill
from nbconvert.filters import markdown2html
from plotly.offline import get_plotlyjs

from sca_analysis.errors import ReportError, SCAError
from sca_analysis.exports import CONFIG, Exports, read_config
from sca_analysis.monthly import Month, parse_month

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "monthly_report.ipynb"
FIGURE = "application/vnd.plotly.v1+json"
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


def make_report(month: str, data: Path, out: Path, notebook: Path = NOTEBOOK, progress: bool = False) -> Path:
    """Run the monthly notebook and publish it; return the folder of the report.

    Parameters
    ----------
    month : str
        YYYY-MM.
    data : Path
        Exports folder.
    out : Path
        The report is written to ``out/month``: report.html, report.ipynb, tables/*.csv,
        tables.xlsx, set_aside.csv, manifest.json.
    notebook : Path
    progress : bool
        Show a progress bar.

    Raises
    ------
    ParameterError, ExportError
        If the month or the exports cannot be used.
    ReportError
        If a cell fails or the report cannot be written; says which, and where the notebook is.

    """
    parse_month(month)
    read_config(data)  # says at once what a cell would say later
    if not notebook.exists():
        raise ReportError(f"there is no notebook {notebook}: run from a checkout of the project.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{month}-", dir=out))
    except OSError as error:
        raise ReportError(f"{out} cannot be written to ({error.strerror}): choose another --out.") from error
    try:
        executed = _execute(month, data, work, notebook, progress)
        (work / "report.html").write_text(render(executed, f"SCA report {month}"), encoding="utf-8")
        _take_place(work, out / month)
    except papermill.PapermillExecutionError as error:
        kept = out / f"{month}.failed.ipynb"
        shutil.copyfile(work / "report.ipynb", kept)
        raise ReportError(_say_failure(error, month, kept, (out / month).exists())) from error
    except OSError as error:
        raise ReportError(f"the report {month} could not be written to {out} ({error.strerror}).") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out / month


def save_month(month: Month, folder: str | Path | None) -> None:
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
    save_tables(month.tables, target)
    month.exports.set_aside.to_csv(target / "set_aside.csv", index=False, lineterminator="\n")
    manifest = describe_run(month)
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def save_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write tables as ``folder/tables/*.csv`` and as sheets of ``folder/tables.xlsx``.

    Raises
    ------
    ReportError
        If the folder cannot be written to.

    """
    try:
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        for name, frame in tables.items():
            frame.to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        _write_xlsx(tables, folder / "tables.xlsx")
    except OSError as error:
        raise ReportError(f"{folder} cannot be written to ({error.strerror}): choose another.") from error


def describe_run(month: Month) -> dict[str, Any]:
    """Return what a report was made from: inputs with SHA-256, parameters, versions, row counts."""
    files = month.exports.files
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": {
            "month": month.month,
            "as_of": month.as_of.isoformat(),
            "data": str(month.exports.folder),
        },
        "inputs": [{"path": p, "sha256": h} for p, h in hash_inputs(month.exports)],
        "rows": [
            {k: int(f[k]) if k in ("rows_read", "accepted", "set_aside") else f[k] for k in files.columns}
            for f in files.to_dict("records")
        ],
        "tables": {name: len(frame) for name, frame in month.tables.items()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
    }


def hash_inputs(exports: Exports) -> list[tuple[str, str]]:
    """Return the path and SHA-256 of every input file and of exports.yaml."""
    paths = list(dict.fromkeys(exports.paths))
    config = exports.folder / CONFIG
    hashes = []
    for path in [config, *paths] if config.exists() else paths:
        with path.open("rb") as stream:
            hashes.append((os.path.relpath(path, exports.folder), hashlib.file_digest(stream, "sha256").hexdigest()))
    return hashes


def render(notebook: nbformat.NotebookNode, title: str) -> str:
    """Return a run notebook as one HTML page that needs no network: plotly once, no code."""
    loader = jinja2.PackageLoader("sca_analysis")
    environment = jinja2.Environment(loader=loader, autoescape=True)
    # Markdown is ours or computed from counts and amounts; markdown2html sanitises neither
    environment.filters["markdown"] = lambda text: markupsafe.Markup(markdown2html(text))  # noqa: S704
    page = environment.get_template("report.html.j2")
    return page.render(cells=notebook.cells, title=title, plotlyjs=get_plotlyjs(), figure_type=FIGURE)


def _execute(month: str, data: Path, work: Path, notebook: Path, progress: bool) -> nbformat.NotebookNode:
    """Run the notebook in a kernel of its own, with parameters passed as data."""
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # the kernel inherits it: figures as data, no script
    executed: nbformat.NotebookNode = papermill.execute_notebook(
        str(notebook),
        str(work / "report.ipynb"),
        parameters={"month": month, "data": str(data.resolve()), "folder": str(work.resolve())},
        progress_bar={"file": sys.stderr} if progress else False,
        log_output=False,
        cwd=str(notebook.parent),
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=50"],
    )
    return executed


def _take_place(work: Path, final: Path) -> None:
    """Put a whole report in the place of the last one, which is kept until then."""
    work.chmod(0o755)  # mkdtemp made it for the owner alone
    former = final.with_name(f".{final.name}-former")
    shutil.rmtree(former, ignore_errors=True)
    if final.exists():
        final.rename(former)
    try:
        work.rename(final)
    except OSError:
        if former.exists():
            former.rename(final)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _say_failure(error: papermill.PapermillExecutionError, month: str, kept: Path, has_former: bool) -> str:
    """Say in one sentence which cell failed; only an error of ours has a message fit to be shown."""
    what = f": {error.evalue.rstrip('.')}" if _is_ours(error.ename) else f" with {error.ename}"
    left = "the last good report is untouched" if has_former else "there is no report for it yet"
    code = (error.source.strip().splitlines() or [""])[0]
    where = f"cell {error.cell_index + 1} (`{code}`)"
    return f"the report {month} failed in {where}{what} ({left}; the notebook as far as it ran is {kept})."


def _is_ours(name: str) -> bool:
    kinds = [SCAError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return name in {k.__name__ for k in kinds}


def _write_xlsx(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Write one sheet a table; text stays text, whatever it begins with."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs={"options": options}) as writer:
        money = writer.book.add_format({"num_format": "#,##0.00"})
        for name, frame in tables.items():
            plain = frame.copy()
            exact = [c for c in frame if "decimal" in str(frame[c].dtype)]
            # a spreadsheet holds binary numbers only: the exact cents are in the CSV beside it
            plain[exact] = plain[exact].astype("Float64")
            plain.to_excel(writer, sheet_name=name, index=False, freeze_panes=(1, 0))
            sheet = writer.sheets[name]
            for place, column in enumerate(frame):
                sheet.set_column(place, place, max(12, min(40, len(column) + 2)), money if column in exact else None)
            sheet.autofilter(0, 0, max(len(frame), 1), max(len(frame.columns) - 1, 0))
