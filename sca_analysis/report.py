"""Make the monthly report: run the notebook, which writes its tables (``saving``), and publish it as one offline page.

A report is built in a folder of its own beside the last one
and takes its place only when whole: a run that fails or is killed leaves the last good report untouched (``holding``
says where that is certain).
"""

import errno
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import nbformat
import papermill
from jupyter_client.kernelspec import NoSuchKernel

from sca_analysis import engines, holding
from sca_analysis.errors import ReportError, SCAError
from sca_analysis.exports import Exports
from sca_analysis.folder import find_files, read_config
from sca_analysis.months import parse_month
from sca_analysis.page import render
from sca_analysis.pseudonyms import find_key
from sca_analysis.saving import IDENTIFIED, hash_files_of, hash_inputs, name_key_of

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "monthly_report.ipynb"
FILES = ("report.html", "report.ipynb", "tables", "tables.xlsx", "set_aside.csv", "manifest.json")
# What the kernel runs first, without a name that a cell could see.
_FIRST = (
    # jsonschema, which checks notebooks and is loaded with figures, parses a grammar of web addresses where this is
    # there: more than a second, for addresses that no notebook has
    "__import__('sys').modules.setdefault('rfc3987_syntax', None)",
    # at its end nothing is looked through for cycles once more: another second
    "__import__('atexit').register(__import__('gc').freeze)",
)
logging.getLogger("papermill").addHandler(logging.NullHandler())  # what it warns of is an error of ours later
# what Python, NumPy, Arrow and DuckDB raise
_NO_MEMORY = ("MemoryError", "_ArrayMemoryError", "ArrowMemoryError", "OutOfMemoryException")


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
        used = {one["path"]: one["sha256"] for one in manifest["inputs"]}
        beside = [data / name for name in (*used, *manifest["looked_for"])]
    except (OSError, ValueError, KeyError, TypeError):
        return False  # not a manifest of ours: the report is made again
    if made != (month, str(data.resolve()), name_key_of(identified), version("sca-analysis")):
        return False
    config = read_config(data)
    paths = [path for _, source in config.sources() for path in find_files(data, source)]
    if config.reference.taxonomy:
        paths.append(data / config.reference.taxonomy)
    return dict(hash_files_of(data, config.plan, (*paths, *beside))) == used


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


def _execute(
    month: str, data: Path, work: Path, notebook: Path, progress: bool, engine: str, identified: bool
) -> nbformat.NotebookNode:
    """Run the notebook in a kernel of its own, with parameters passed as data."""
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
        extra_arguments=["--IPKernelApp.log_level=50", *(f"--IPKernelApp.exec_lines={line}" for line in _FIRST)],
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


def _say_failure(error: papermill.PapermillExecutionError, month: str, kept: Path, final: Path) -> str:
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
