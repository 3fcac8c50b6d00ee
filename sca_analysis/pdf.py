"""Print a report's page to PDF with the Chromium of this machine."""

import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from sca_analysis import holding
from sca_analysis.errors import ReportError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
