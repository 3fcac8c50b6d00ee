"""Faults: whatever breaks, the last good report stays whole, nothing is half-written, and the next run is well.

The same faults on the real report, 50 kills among them: `tests/benchmarks/drill_faults.py`.
"""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import nbformat
import psutil
import pytest
from click.testing import CliRunner, Result
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from sca_analysis import batch, cache, holding, intake, keeping
from sca_analysis.batch import Run, make_reports
from sca_analysis.cli import main
from sca_analysis.errors import ReportError
from sca_analysis.months import parse_months
from sca_analysis.pdf import BROWSERS, print_pdf
from sca_analysis.report import NOTEBOOK
from tests.folders import claim, listing, write_tables

MONTH = "2026-06"
# what the monthly notebook leaves in its folder, slowly, without the analysis: the manifest has the hash of each file
STUB = """
import hashlib, json, pathlib, shutil, os, time
out, src = pathlib.Path(folder), pathlib.Path(data)
def sha(path): return hashlib.sha256(path.read_bytes()).hexdigest()
inputs = [{"path": n, "sha256": sha(src / n)} for n in ("claims.csv", "directory.csv")]
BREAK
(out / "tables").mkdir()
for name in ("tables/gaps.csv", "tables/cases.csv", "tables.xlsx", "set_aside.csv"):
    with (out / name).open("w") as stream:
        for _ in range(4):
            stream.write(f"{time.time_ns()}\\n" * 2000)
            time.sleep(0.02)
inputs = [{"path": p.name, "sha256": sha(p)} for p in sorted(src.glob("*.csv"))]
made = {str(p.relative_to(out)): sha(p) for p in out.rglob("*") if p.is_file() and p.name != "report.ipynb"}
(out / "manifest.json").write_text(json.dumps({"inputs": inputs, "made": made}))
"""
PROCESSES = multiprocessing.get_context("forkserver")  # it imports once; each run is a fork of it


@pytest.fixture(scope="module", autouse=True)
def _ready() -> None:
    PROCESSES.set_forkserver_preload(["sca_analysis.batch"])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An exports folder of two files; caches and temporary files have places of their own."""
    for name, variable in (("cache", keeping.PLACE), ("tmp", "TMPDIR")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", None)
    return write_tables(tmp_path / "data", claims=[claim("M1", 1)], directory=[listing(1)])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A reports folder with a whole report of June."""
    last = tmp_path / "out" / MONTH
    fill(last, "the last good one")
    return last.parent


def fill(folder: Path, words: str) -> None:
    """Write a whole report, by its own manifest."""
    (folder / "tables").mkdir(parents=True)
    for name in ("tables/gaps.csv", "tables/cases.csv", "tables.xlsx", "set_aside.csv"):
        (folder / name).write_text(words)
    (folder / "manifest.json").write_text(json.dumps({"made": hashes(folder)}))
    (folder / "report.html").write_text("<html></html>")


def write_stub(folder: Path, breaks: str = "") -> Path:
    book = nbformat.v4.new_notebook(metadata=nbformat.read(NOTEBOOK, as_version=4).metadata)
    parameters = nbformat.v4.new_code_cell('month = ""\ndata = ""\nfolder = ""', metadata={"tags": ["parameters"]})
    book.cells = [parameters, nbformat.v4.new_code_cell(STUB.replace("BREAK", breaks))]
    nbformat.write(book, folder / "stub.ipynb")
    return folder / "stub.ipynb"


def hashes(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def is_whole(folder: Path) -> bool:
    found = hashes(folder)
    made = json.loads((folder / "manifest.json").read_text())["made"] if "manifest.json" in found else {}
    is_page = "report.html" in found and (folder / "report.html").read_text().rstrip().endswith("</html>")
    return bool(made) and is_page and made.items() <= found.items()


def run(data: Path, out: Path, *more: str, month: str = MONTH) -> Result:
    """Run the command, with the notebook that ``notebook`` has put in place."""
    return CliRunner().invoke(main, ["report", month, "--data", str(data), "--out", str(out), *more])


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a stand-in for the notebook in place, which breaks as it is told."""

    def place(breaks: str = "") -> None:
        monkeypatch.setattr(batch, "make_reports", partial(make_reports, notebook=write_stub(tmp_path, breaks)))

    place()
    return place


def assert_fails(data: Path, out: Path, said: str, *more: str) -> None:
    """Run; it says one sentence, logs it, and leaves the last report as it was with nothing beside it."""
    before, log = hashes(out / MONTH), data.parent / "log"
    log.unlink(missing_ok=True)
    result = run(data, out, "--log", str(log), *more)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("sca: ")
    assert said in line
    assert f"failed {MONTH} in " in log.read_text()
    assert said in log.read_text()
    assert hashes(out / MONTH) == before
    left = {p.name for p in out.iterdir()} - {f"{MONTH}.failed.ipynb"} if out.exists() else set()
    assert left <= {MONTH}
    assert list((data.parent / "tmp").glob("sca-*")) == []


def assert_next_run_is_well(data: Path, out: Path, notebook: Callable[[str], None]) -> None:
    notebook("")
    result = run(data, out)
    assert result.exit_code == 0, result.output
    assert is_whole(out / MONTH)
    assert [p.name for p in out.iterdir()] == [MONTH]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a size of its own."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no small disk can be mounted: that takes Linux, and root with the right to mount")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def report_in_a_process(data: Path, out: Path, stub: Path, month: str = MONTH) -> None:
    """What a run of its own does: its log is beside the reports' folder."""
    # not those of the server
    os.environ |= {keeping.PLACE: str(out.parent / "cache"), "TMPDIR": str(out.parent / "tmp")}
    tempfile.tempdir = None
    with (out.parent / "log").open("a", buffering=1) as log:
        runs = [Run("", one, data, out) for one in parse_months(month)]
        results = make_reports(runs, jobs=1, log=lambda line: log.write(f"{line}\n"), notebook=stub)
    os._exit(int(any(r.error for r in results)))


def test_killed_at_any_moment(data: Path, out: Path, notebook: Callable[[str], None], tmp_path: Path) -> None:
    chance, began = random.Random(20261126), time.monotonic()
    start = partial(PROCESSES.Process, target=report_in_a_process, args=(data, out, tmp_path / "stub.ipynb"))
    process = start()
    process.start()
    process.join(60)
    assert process.exitcode == 0
    seconds = time.monotonic() - began
    for number in range(6):
        before = hashes(out / MONTH)
        process = start()
        process.start()
        process.join((number + chance.random()) / 6 * seconds)
        assert process.pid
        children = psutil.Process(process.pid).children(recursive=True) if process.is_alive() else []
        process.kill()
        process.join()
        for child in children[: len(children) * (number % 2)]:  # by turns as a cron job is killed, and sca alone
            child.kill()
        assert hashes(out / MONTH) == before or is_whole(out / MONTH)
        assert {p.name for p in out.iterdir() if not p.name.startswith(".")} == {MONTH}
        assert psutil.wait_procs(children, timeout=10)[1] == [], "a kernel does not outlive its run for long"
    (out / f".{MONTH}-abcdefgh").mkdir()
    (out / f".{MONTH}-mine").mkdir()
    before_next = (tmp_path / "log").read_text()
    result = run(data, out, "--log", str(tmp_path / "log"))
    assert result.exit_code == 0, result.output
    assert is_whole(out / MONTH)
    assert {p.name for p in out.iterdir()} == {MONTH, f".{MONTH}-mine"}, "what is not ours stays"
    assert list((tmp_path / "tmp").glob("sca-*")) == []
    log = (tmp_path / "log").read_text().removeprefix(before_next)
    assert f"note {MONTH}: deleted what " in log
    assert f"made {MONTH} in " in log


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from sca_analysis import holding
if sys.argv[3] == "renames":
    holding._swap = lambda *names: False
out, left = Path(sys.argv[1]), int(sys.argv[2])
def count(event, arguments):
    global left
    if event.startswith(("os.", "open", "shutil.", "ctypes.", "fcntl.")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
with holding.alone(out / "2026-06"):
    shutil.copytree(out.parent / "new", out / ".2026-06-abcdefgh")
    sys.addaudithook(count)
    holding.put(out / ".2026-06-abcdefgh", out / "2026-06")
"""


@pytest.mark.parametrize("way", ["swap", "renames"])
def test_killed_at_each_step_of_taking_its_place(tmp_path: Path, way: str) -> None:
    kept, moved = tmp_path / "kept", 0
    fill(kept / MONTH, "old")
    fill(tmp_path / "new", "new")
    works = {hashes(folder)["tables.xlsx"] for folder in (kept / MONTH, tmp_path / "new")}
    for step in range(1, 200):
        out = shutil.copytree(kept, tmp_path / "out")
        done = subprocess.run([sys.executable, "-c", KILLED, str(out), str(step), way])
        if is_absent := not (out / MONTH).exists():
            moved += 1
        notes: list[str] = []
        with holding.alone(out / MONTH, notes.append):
            assert ("the last good one is back" in "".join(notes)) == is_absent
        assert is_whole(out / MONTH)
        assert hashes(out / MONTH)["tables.xlsx"] in works
        assert [p.name for p in out.iterdir()] == [MONTH]
        shutil.rmtree(out)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert step > 10
    if way == "swap" and sys.platform == "linux":
        assert moved == 0, "at no time is there no report"
    elif way == "renames":
        assert moved == 1, "between two renames alone, and the next run puts it back"


def test_a_live_run_is_waited_for_and_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, notes = tmp_path / f".{MONTH}-abcdefgh", list[str]()
    is_held, may_end = threading.Event(), threading.Event()

    def live() -> None:
        with holding.alone(tmp_path / MONTH):
            work.mkdir()
            os.utime(work, (1, 1))  # a clock that was wrong then
            is_held.set()
            may_end.wait(20)

    thread = threading.Thread(target=live)
    thread.start()
    assert is_held.wait(20)
    monkeypatch.setattr(holding, "LONGEST_WAIT", 0.3)
    said = r"another run has been making .*2026-06 for .* minutes: see whether it hangs"
    with pytest.raises(ReportError, match=said), holding.alone(tmp_path / MONTH, notes.append):
        pass
    assert notes == ["another run is making it, which this one waits for"]
    assert work.exists()
    with holding.alone(tmp_path / "2026-05"):
        assert work.exists(), "another month is another matter"
    monkeypatch.setattr(holding, "LONGEST_WAIT", 20)
    threading.Timer(0.3, may_end.set).start()
    with holding.alone(tmp_path / MONTH, notes.append):
        assert notes[-1] == "deleted what 1 runs that did not end had left"
        assert not work.exists()
    thread.join()
    assert list(tmp_path.iterdir()) == []


def test_without_locks_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    fill(tmp_path / f".{MONTH}-former", "old")
    (tmp_path / f".{MONTH}-abcdefgh").mkdir()
    with holding.alone(tmp_path / MONTH), holding.alone(tmp_path / MONTH):
        assert is_whole(tmp_path / MONTH)
        assert (tmp_path / f".{MONTH}-abcdefgh").exists(), "it may be of a live run"


def test_the_same_months_twice_at_once(data: Path, out: Path, notebook: Callable[[str], None], tmp_path: Path) -> None:
    arguments = (data, out, tmp_path / "stub.ipynb", "2026-05..2026-06")
    processes = [PROCESSES.Process(target=report_in_a_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert {p.name for p in out.iterdir()} == {"2026-05", MONTH}
    assert all(is_whole(p) for p in out.iterdir())
    assert list((tmp_path / "tmp").glob("sca-*")) == []
    log = (tmp_path / "log").read_text()
    assert log.count(" made 2026-0") == 4
    assert "another run is making it, which this one waits for" in log


def test_temporary_files_of_live_runs_stay(data: Path, tmp_path: Path) -> None:
    base = tmp_path / "tmp"
    (base / "sca-run-dead").mkdir()
    (base / "sca-run-dead" / "rows").write_text("M1")
    (base / "sca-run-dead.lock").touch()
    (base / "another").mkdir()
    with holding.temporary():
        live = Path(os.environ["TMPDIR"])
        (live / "rows").touch()
        assert {p.name for p in base.iterdir()} == {"another", live.name, f"{live.name}.lock"}
        code = "from sca_analysis import holding\nwith holding.temporary(): pass"
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"TMPDIR": str(base)})
        assert (live / "rows").exists()
    assert [p.name for p in base.iterdir()] == ["another"]
    assert os.environ["TMPDIR"] == str(base)


def test_each_command_clears_what_killed_ones_left(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp" / "sca-run-dead").mkdir()
    (tmp_path / "tmp" / "sca-run-dead" / "rows").write_text("M1")
    (tmp_path / "tmp" / "sca-run-dead.lock").touch()
    assert CliRunner().invoke(main, ["check", "--data", str(data)]).exit_code == 0
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        ("os.kill(os.getpid(), 9)", "kernel ended by itself"),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31)); bytearray(1 << 32)",
            "there was not memory enough",
        ),
        ("(src / 'claims.csv').unlink()", "since claims.csv changed or went while it was made"),
        ("(src / 'new').write_text('x')\n(src / 'new').replace(src / 'claims.csv')", "claims.csv changed or went"),
    ],
)
def test_what_breaks_in_mid_run(
    data: Path, out: Path, notebook: Callable[[str], None], tmp_path: Path, breaks: str, said: str
) -> None:
    claims = (data / "claims.csv").read_bytes()
    notebook(breaks)
    assert_fails(data, out, said)
    (data / "claims.csv").write_bytes(claims)
    if "9" in breaks:
        assert_next_run_is_well(data, out, notebook)


def test_out_taken_away_in_mid_run(data: Path, out: Path, notebook: Callable[[str], None], tmp_path: Path) -> None:
    notebook("shutil.rmtree(out.parent)")
    result = run(data, out)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert not (out / MONTH).exists(), "nor is anything half-written"
    assert_next_run_is_well(data, out, notebook)


def test_kernels_that_do_not_start(
    data: Path, out: Path, notebook: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for argv, said in (
        (["/no/such/python"], "failed at /no/such/python (No such file or directory; the last good report"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "kernel ended by itself or did not start"),
    ):
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "", "language": "python"}))
        assert_fails(data, out, said)

    def find_none(_: KernelSpecManager, name: str) -> None:
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", find_none)
    assert_fails(data, out, "there is no Jupyter kernel python3")


def test_full_disk_of_the_reports(
    data: Path, notebook: Callable[[str], None], small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    place = small_disk("400k")
    fill(place / MONTH, "the last good one")
    assert_fails(data, place, "No space left on device")
    subprocess.run(["mount", "-o", "remount,size=8m", str(place)], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert_fails(data, place, "cannot be written to (Read-only file system)")
    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    assert_next_run_is_well(data, place, notebook)


def test_full_disk_of_what_is_kept(
    data: Path, out: Path, small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in ("4k", "24k", "64k"):
        place = small_disk(size)
        monkeypatch.setenv(keeping.PLACE, str(place))
        assert_fails(data, out, "free some room")
        assert [p.name for p in place.rglob("*")] in ([], ["sca_exports"]), "nothing is half-kept"


def test_full_disk_of_temporary_files(
    data: Path, out: Path, small_disk: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    lines: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(ReportError, match=r"no temporary folder can be made \(No space left on device\)"):
            make_reports([Run("", MONTH, data, out)], log=lines.append)
    assert "no temporary folder can be made" in lines[-1]
    # the browser has room for the first half of a PDF, and says that all is well
    (tmp_path / "chromium").write_text(
        '#!/bin/sh\nfor a; do case $a in --print-to-pdf=*) printf %%PDF-1 > "${a#*=}";; esac; done'
    )
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sca_analysis.pdf.BROWSERS", BROWSERS[:1])
    with pytest.raises(ReportError, match=r"there is no PDF of .*, since chromium failed"):
        print_pdf(out / MONTH / "report.html")
    assert not list(out.rglob("*.pdf"))


def test_log_on_a_full_disk_stops_no_run(data: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(line: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batch, "make_report", lambda *given: None)
    [result] = make_reports([Run("", MONTH, data, out)], log=refuse)
    assert result.outcome == "made"


def test_too_little_memory_to_read(data: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCA_MEMORY", "100KB")
    assert_fails(data, out, "memory")


def test_an_entry_that_another_run_reads_is_not_made_anew(tmp_path: Path, data: Path) -> None:
    from sca_analysis.exports import Exports

    place = keeping.place()
    assert place
    Exports.open(data)
    [entry] = place.iterdir()
    inode, ours = entry.stat().st_ino, cache.start(place)
    assert cache.finish(ours, entry.name, data, intake.latest_day()) == entry
    assert (entry.stat().st_ino, list(place.iterdir())) == (inode, [entry])
