"""Make the monthly report: run the notebook, publish it as one offline page, write the tables.

The only module that writes reports and tables. A report is built in a folder of its own beside the last one
and takes its place only when whole: a run that fails or is killed leaves the last good report untouched (``holding``
says where that is certain).
"""

import errno
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sca_analysis import cache, engines, holding
from sca_analysis.display import guard_formulas
from sca_analysis.errors import ReportError, SCAError
from sca_analysis.exports import Exports
from sca_analysis.folder import CONFIG, Plan, find_files, read_config
from sca_analysis.monthly import Month, parse_month
from sca_analysis.pseudonyms import find_key, name_key
from sca_analysis.standards import STANDARDS

if TYPE_CHECKING:  # the notebook's kernel imports this module for what it writes, and needs none of these
    import nbformat
    import papermill

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "monthly_report.ipynb"
FILES = ("report.html", "report.ipynb", "tables", "tables.xlsx", "set_aside.csv", "manifest.json")
logging.getLogger("papermill").addHandler(logging.NullHandler())  # what it warns of is an error of ours later
# what Python, NumPy, Arrow and DuckDB raise
_NO_MEMORY = ("MemoryError", "_ArrayMemoryError", "ArrowMemoryError", "OutOfMemoryException")
#: What stands on every page of an identified report.
IDENTIFIED = "IDENTIFIED: rows on single patients, for the plan's own use; not to be shared"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
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


def make_report(
    month: str,
    data: Path,
    out: Path,
    notebook: Path = NOTEBOOK,
    progress: bool = False,
    engine: str = engines.DEFAULT,
    identified: bool = False,
    say: Callable[[str], object] = lambda note: None,
) -> Path:
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
    engine : str
        What works on the tables, of ``engines.ENGINES``.
    identified : bool
        Rows on single patients as the plan sees them, marked on every page; without, all is as it may be shared
        (``privacy``).
    say : callable
        Gets a sentence where another run is waited for, or what killed ones have left is cleared.

    Raises
    ------
    ParameterError, ExportError
        If the month, the engine or the exports cannot be used.
    ReportError
        If a cell fails, an input changes meanwhile, or the report cannot be written; says which, and where the
        notebook is.

    """
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel

    from sca_analysis.page import render

    parse_month(month)
    engines.refuse_unknown(engine)
    # says at once what a cell would say later; the notebook finds what was read in the cache
    exports = Exports.open(data)
    if not identified:
        find_key()
    if not notebook.exists():
        raise ReportError(f"there is no notebook {notebook}: run from a checkout of the project.")
    kept = out / f"{month}.failed.ipynb"
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(holding.alone(out / month, say))
            work = Path(tempfile.mkdtemp(prefix=f".{month}-", dir=out))
        except OSError as error:
            raise ReportError(f"{out} cannot be written to ({error.strerror}): choose another --out.") from error
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        try:
            before = hash_inputs(exports)
            executed = _execute(month, data, work, notebook, progress, engine, identified)
            _refuse_changed(before, work / "manifest.json", month, out / month)
            (work / "report.html").write_text(
                render(executed, f"SCA report {month}", IDENTIFIED if identified else ""), encoding="utf-8"
            )
            holding.put(work, out / month)
            kept.unlink(missing_ok=True)  # of a run that failed before
        except papermill.PapermillExecutionError as error:
            (work / "report.ipynb").replace(kept)  # whole or not at all, whatever room there is
            raise ReportError(_say_failure(error, month, kept, out / month)) from error
        except NoSuchKernel as error:
            raise ReportError(
                f"the report {month} failed since there is no Jupyter kernel python3 ({_say_left(out / month)}): "
                "install ipykernel."
            ) from error
        except RuntimeError as error:  # nbclient's DeadKernelError is one
            raise ReportError(
                f"the report {month} failed since the notebook's kernel ended by itself or did not start "
                f"({_say_left(out / month)}): see whether there was memory enough, and run fewer at a time."
            ) from error
        except OSError as error:
            raise ReportError(_say_disk(error, month, out)) from error
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


def describe_run(month: Month) -> dict[str, Any]:
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
            "pseudonym_key": _name_key(month.is_identified),
        },
        "inputs": [{"path": p, "sha256": h} for p, h in hash_inputs(month.exports)],
        "rows": [
            {k: int(f[k]) if k in ("rows_read", "accepted", "set_aside") else f[k] for k in files.columns}
            for f in files.to_dict("records")
        ],
        "tables": {name: len(frame) for name, frame in month.tables.items()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
    }


def _name_key(identified: bool) -> str:
    """Return what tells keys of pseudonyms apart; blank where there are no pseudonyms."""
    return "" if identified else name_key(find_key())


def hash_inputs(exports: Exports) -> list[tuple[str, str]]:
    """Return the path and SHA-256 of every input file, of exports.yaml and of a standard of its own."""
    return _hash_files(exports.folder, exports.plan, exports.paths)


def is_current(folder: Path, month: str, data: Path, identified: bool = False) -> bool:
    """Return whether a report is whole and was made from what is there now, so that it need not be made again.

    That is so where every file of it is there, and its manifest names the same month, exports folder, version of this
    package, key of the pseudonyms (none: identified), and the same input files with the same SHA-256, no more and no
    fewer.

    Parameters
    ----------
    folder : Path
        Folder of the report.
    month : str
        YYYY-MM.
    data : Path
        Exports folder.
    identified : bool
        As of `make_report`.

    Raises
    ------
    ExportError
        If the exports cannot be used.

    """
    if not all((folder / name).exists() for name in FILES):
        return False
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        given = manifest["parameters"]
        made = (given["month"], given["data"], given["pseudonym_key"], manifest["versions"]["sca-analysis"])
        used = sorted((one["path"], one["sha256"]) for one in manifest["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return False  # not a manifest of ours: the report is made again
    if made != (month, str(data.resolve()), _name_key(identified), version("sca-analysis")):
        return False
    config = read_config(data)
    paths = [path for _, source in config.sources() for path in find_files(data, source)]
    if config.reference.taxonomy:
        paths.append(data / config.reference.taxonomy)
    return sorted(_hash_files(data, config.plan, paths)) == used


def explain(name: str, words: str) -> str | None:
    """Return in plain words what an error of memory or disk means, by its class and its message; None for others.

    Of the message, which may hold a value of a row, only the system's number is looked at.
    """
    if name in _NO_MEMORY:
        return "there was not memory enough, so close other programs, run fewer at a time, or raise SCA_MEMORY if set"
    if number := re.match(r"\[Errno (\d+)\]", words):
        where = ": free some where reports and temporary files (TMPDIR) are" if int(number[1]) == errno.ENOSPC else ""
        return os.strerror(int(number[1])) + where
    return None


def print_pdf(page: Path, timeout: float = 120) -> Path:
    """Print a report to the PDF beside it with the Chromium of this machine, headless; return the PDF.

    Parameters
    ----------
    page : Path
        The report.html.
    timeout : float
        Seconds that the browser may take.

    Raises
    ------
    ReportError
        If there is no Chromium, or it fails: the page is as good as before.

    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ReportError(f"there is no PDF of {page}, since none of {', '.join(BROWSERS)} is installed.")
    target, unfinished = page.with_suffix(".pdf"), page.with_name(f".{page.stem}.pdf")
    with ExitStack() as stack:
        try:
            stack.enter_context(holding.alone(page.parent))  # so that the page stays the one that is printed
            work = stack.enter_context(tempfile.TemporaryDirectory(prefix="sca-pdf-", ignore_cleanup_errors=True))
        except OSError as error:
            raise ReportError(f"there is no PDF of {page}, since it cannot be written ({error.strerror}).") from error
        printed = Path(work) / "report.pdf"
        command = [
            *(browser, "--headless", "--disable-gpu", "--disable-background-networking", "--disable-sync"),
            *("--no-first-run", "--disable-component-update", "--disable-extensions", "--disable-dev-shm-usage"),
            # Chromium's sandbox refuses to run as root, which is who runs in most containers
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            f"--user-data-dir={work}/profile",
            "--no-pdf-header-footer",
            "--generate-pdf-document-outline",
            "--virtual-time-budget=30000",  # milliseconds of the page's own clock: until all is drawn
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        try:
            # its words are of no use to a reader, and a pipe would be held open by what it leaves behind
            done = subprocess.run(  # noqa: S603 - no shell
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            why = (
                f"did not end within {timeout:g} seconds" if isinstance(error, subprocess.TimeoutExpired) else "failed"
            )
            raise ReportError(f"there is no PDF of {page}, since {Path(browser).name} {why}.") from error
        if done.returncode or not _is_pdf(printed):
            raise ReportError(f"there is no PDF of {page}, since {Path(browser).name} failed.")
        try:
            shutil.copyfile(printed, unfinished)
            unfinished.replace(target)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise ReportError(f"there is no PDF of {page}, since it cannot be written ({error.strerror}).") from error
    return target


def _is_pdf(path: Path) -> bool:
    """Return whether a PDF is there from its first words to its last: a full disk cuts it short."""
    content = path.read_bytes() if path.exists() else b""
    return content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")


def _hash_files(folder: Path, plan: Plan, files: Iterable[Path]) -> list[tuple[str, str]]:
    """Return path from the folder and SHA-256 of its exports.yaml, these files, and a standard that is a file."""
    paths = [folder / CONFIG, *files]
    if plan.standard and plan.standard not in STANDARDS:
        paths.append(folder / plan.standard)
    return [(os.path.relpath(path, folder), sha) for path, sha in cache.hash_files(paths).items() if sha]


def _execute(
    month: str, data: Path, work: Path, notebook: Path, progress: bool, engine: str, identified: bool
) -> "nbformat.NotebookNode":
    """Run the notebook in a kernel of its own, with parameters passed as data."""
    import papermill

    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # the kernel inherits it: figures as data, no script
    executed: nbformat.NotebookNode = papermill.execute_notebook(
        str(notebook),
        str(work / "report.ipynb"),
        parameters={
            "month": month,
            "data": str(data.resolve()),
            "folder": str(work.resolve()),
            "engine": engine,
            "identified": identified,
        },
        progress_bar={"file": sys.stderr} if progress else False,
        log_output=False,
        # once, at its end or where a cell fails: to write it before and after every cell took a quarter of the time
        request_save_on_cell_execute=False,
        cwd=str(notebook.parent),
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=50"],
    )
    return executed


def _refuse_changed(before: list[tuple[str, str]], manifest: Path, month: str, final: Path) -> None:
    """Raise ``ReportError`` if an input is another at the end of the notebook: its tables may be of either."""
    if not manifest.exists():  # a notebook of one's own need not write one
        return
    after = {one["sha256"] for one in json.loads(manifest.read_text(encoding="utf-8"))["inputs"]}
    changed = [path for path, sha in before if sha not in after]
    if changed:
        raise ReportError(
            f"the report {month} failed since {', '.join(changed)} changed or went while it was made "
            f"({_say_left(final)}): run it again once nobody writes the exports."
        )


def _say_failure(error: "papermill.PapermillExecutionError", month: str, kept: Path, final: Path) -> str:
    """Say in one sentence which cell failed; only an error of ours has a message fit to be shown."""
    known = error.evalue.rstrip(".") if _is_ours(error.ename) else explain(error.ename, error.evalue)
    what = f": {known}" if known else f" with {error.ename}"
    code = (error.source.strip().splitlines() or [""])[0]
    where = f"cell {error.cell_index + 1} (`{code}`)"
    return f"the report {month} failed in {where}{what} ({_say_left(final)}; the notebook as far as it ran is {kept})."


def _say_disk(error: OSError, month: str, out: Path) -> str:
    """Say what could not be read, written or started, and where if it is not the report."""
    where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else out
    what = f"could not be written to {out}" if where.is_relative_to(out) else f"failed at {where}"
    return f"the report {month} {what} ({error.strerror or 'its folder is gone'}; {_say_left(out / month)})."


def _say_left(final: Path) -> str:
    return "the last good report is untouched" if final.exists() else "there is no report for it yet"


def _is_ours(name: str) -> bool:
    kinds = [SCAError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return name in {k.__name__ for k in kinds}


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
