"""What becomes of the report when things break: `uv run python tests/benchmarks/drill_faults.py [--kills N]`.

The real report of the sample is killed at random moments spread over its run (with its kernel, and without), and run
on full disks, without its input, twice at once, with a broken kernel, and with too little memory. After each fault,
the last good report has the bytes it had, or is a new one that is whole; nothing unfinished lies under a name of its
own; the next run ends well and leaves nothing else behind. Prints one row a fault. `--only WORD` runs the faults whose
name has it. Disks are filled and made read-only as root on Linux; elsewhere those rows say that they were skipped.
"""

import argparse
import csv
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SCA = str(Path(sys.executable).parent / "sca")
MONTH = "2026-06"
MIB = 1024**2


@dataclass
class Row:
    """What came of one fault: times tried, and how often each thing that must hold did."""

    name: str
    tried: int = 0
    whole: int = 0
    partial: int = 0
    next_tried: int = 0
    next_well: int = 0
    said: list[str] = field(default_factory=list)


class Drill:
    """A folder with exports, a good report, and all that a run writes, so that nothing of this machine is touched."""

    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.random, self.rows = work, random.Random(seed), list[Row]()
        self.data, self.out, self.log = work / "data", work / "out", work / "log"
        shutil.copytree(ROOT / "data" / "sample", self.data)
        for name in ("out", "cache", "tmp", "jupyter"):
            (work / name).mkdir()
        self.env = os.environ | {
            "SCA_CACHE": str(work / "cache"),
            "TMPDIR": str(work / "tmp"),
            "JUPYTER_PATH": str(work / "jupyter"),
            "SCA_KEY": "a key for a drill alone",
        }
        self.seconds = 0.0

    def start(self, *more: str, out: Path | None = None, month: str = MONTH, **kwargs: object) -> subprocess.Popen[str]:
        command = [SCA, "report", month, "--data", str(self.data), "--out", str(out or self.out)]
        options = {"env": self.env, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, "--log", str(self.log), *more], start_new_session=True, **(options | kwargs))

    def make_good(self) -> None:
        """Make the report and take its time."""
        began = time.monotonic()
        run = self.start()
        assert run.wait(timeout=300) == 0, run.stderr and run.stderr.read()
        self.seconds = time.monotonic() - began

    def row(self, name: str) -> Row:
        """Return the row of a fault."""
        if not (found := [row for row in self.rows if row.name == name]):
            self.rows.append(Row(name))
        return found[0] if found else self.rows[-1]

    @contextmanager
    def fault(self, name: str, out: Path | None = None, and_next: bool = True) -> Iterator[Row]:
        """Do what is in the block, then look at what is left of the report, and at the next run."""
        row, place = self.row(name), out or self.out
        before, lines = hash_all(place / MONTH), len(self.read_log())
        yield row
        row.tried += 1
        after = hash_all(place / MONTH)
        row.whole += (after == before) or is_whole(place / MONTH)
        row.partial += len(find_partial(place, self.work / "cache"))
        row.said += self.read_log()[lines:]
        if and_next:
            row.next_tried += 1
            lines = len(self.read_log())
            run = self.start(out=out)
            _, errors = run.communicate(timeout=400)
            left = {p.name for p in place.iterdir() if not is_whole(p)} | {
                p.name for p in (self.work / "tmp").iterdir()
            }
            well = run.returncode == 0 and is_whole(place / MONTH) and not left
            row.next_well += well
            row.said += self.read_log()[lines:]
            if not well:
                print(f"  after {name}: exit {run.returncode}, left {sorted(left)}, said {errors}", flush=True)

    def read_log(self) -> list[str]:
        """Return the lines of the log without their times."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [line.split(" ", 1)[-1] for line in lines]

    def expect(self, run: subprocess.Popen[str], row: Row, codes: tuple[int, ...] = (2,)) -> None:
        """Wait for a run that fails with one sentence."""
        _, errors = run.communicate(timeout=400)
        lines = errors.strip().splitlines()
        if run.returncode not in codes or (run.returncode == 2 and len(lines) != 1) or "Traceback" in errors:
            print(f"  {row.name}: exit {run.returncode}, said {errors[-600:]}", flush=True)


def hash_all(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_whole(folder: Path) -> bool:
    """Return whether a report is whole, by its own manifest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        rows = {
            p.stem: sum(1 for _ in csv.reader(p.open(encoding="utf-8", newline=""))) - 1
            for p in (folder / "tables").glob("*.csv")
        }
        json.loads((folder / "report.ipynb").read_text(encoding="utf-8"))
        page = (folder / "report.html").read_text(encoding="utf-8")
        is_packed = zipfile.ZipFile(folder / "tables.xlsx").testzip() is None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False
    return rows == manifest["tables"] and page.rstrip().endswith("</html>") and is_packed


def find_partial(out: Path, cache: Path) -> list[Path]:
    """Return what is unfinished under a name that says it is not: reports, failed notebooks, PDFs, kept exports."""
    found = [p for p in out.iterdir() if p.is_dir() and not p.name.startswith(".") and not is_whole(p)]
    for book in out.glob("*.failed.ipynb"):
        try:
            json.loads(book.read_text(encoding="utf-8"))
        except ValueError:
            found.append(book)
    found += [p for p in out.glob("*/report.pdf") if not p.read_bytes().rstrip().endswith(b"%%EOF")]
    for entry in (p for p in cache.glob("*/*") if not p.name.startswith(".")):
        try:
            sizes = json.loads((entry / "entry.json").read_text(encoding="utf-8"))["sizes"]
            is_good = all((entry / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, ValueError, KeyError):
            is_good = False
        found += [] if is_good else [entry]
    return found


def kill_at_random(drill: Drill, kills: int, recover_every: int) -> None:
    """Kill the report at moments spread over its run, by turns with its kernel and alone."""
    moments = [(i + drill.random.random()) / kills * drill.seconds for i in range(kills)]
    drill.random.shuffle(moments)
    done = 0
    while done < kills:
        alone = done % 2 == 1
        is_last = (done + 1) % recover_every == 0 or done + 1 == kills
        name = "killed (SIGKILL): sca alone" if alone else "killed (SIGKILL): sca and its kernel"
        with drill.fault(name, and_next=is_last) as row:
            run = drill.start(stderr=subprocess.DEVNULL)
            try:
                run.wait(timeout=moments[done])
            except subprocess.TimeoutExpired:
                children = psutil.Process(run.pid).children(recursive=True)
                for process in [psutil.Process(run.pid), *([] if alone else children)]:
                    process.kill()
                run.wait()
                _, alive = psutil.wait_procs(children, timeout=5)
                if alive:
                    print(f"  {len(alive)} processes of a killed run live on", flush=True)
                done += 1
            else:
                moments[done] *= drill.random.random()  # it was faster than that: another moment
                row.tried -= 1
                row.whole -= 1
        if is_last:
            print(f"  {done} of {kills} kills", flush=True)


@contextmanager
def disk(path: Path, size: int, options: str = "") -> Iterator[None]:
    """Mount a disk of so many bytes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill_disks(drill: Drill) -> None:
    """Run on disks that have room for the last report and for a part of the new one, or for a part of what is read."""
    size = sum(p.stat().st_size for p in (drill.out / MONTH).rglob("*"))
    place = drill.work / "disk"
    place.mkdir(exist_ok=True)
    with disk(place, 2 * size):
        shutil.copytree(drill.out / MONTH, place / MONTH)
        for share in (0.02, 0.1, 0.3, 0.9):
            used = shutil.disk_usage(place).used
            subprocess.run(["mount", "-o", f"remount,size={used + int(share * size)}", str(place)], check=True)
            with drill.fault("disk full: --out", out=place, and_next=False) as row:
                drill.expect(drill.start(out=place), row)
        subprocess.run(["mount", "-o", f"remount,size={4 * size}", str(place)], check=True)
        with drill.fault("disk full: --out, then room again", out=place):
            pass
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with drill.fault("--out is read-only", out=place, and_next=False) as row:
            drill.expect(drill.start(out=place), row)
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        with drill.fault("--out is read-only, then not", out=place):
            pass
    for name, where, sizes in (
        ("cache", drill.work / "small_cache", (0.01, 0.3, 1.0)),
        ("temporary folder", drill.work / "small_tmp", (0.01, 0.2)),
    ):
        where.mkdir(exist_ok=True)
        for mib in sizes:
            is_last = mib == sizes[-1]
            with disk(where, int(mib * MIB)), drill.fault(f"disk full: {name}", and_next=is_last) as row:
                env = drill.env | {("SCA_CACHE" if name == "cache" else "TMPDIR"): str(where)}
                drill.expect(drill.start("--pdf", env=env), row, codes=(0, 2))


def disturb_files(drill: Drill) -> None:
    """Take away, and swap, an input at several moments; take away the folder of the reports."""
    claims, aside = drill.data / "claims.csv", drill.work / "claims.csv"
    for share in (0.2, 0.4, 0.6):
        for name in ("input taken away in mid-run", "input swapped in mid-run"):
            with drill.fault(name, and_next=share == 0.6) as row:
                run = drill.start()
                time.sleep(share * drill.seconds)
                shutil.copyfile(claims, aside)
                if "taken" in name:
                    claims.unlink()
                else:
                    text = claims.read_text(encoding="utf-8")
                    (drill.data / "new").write_text(text[: text.rstrip().rindex("\n") + 1], encoding="utf-8")
                    (drill.data / "new").replace(claims)
                drill.expect(run, row, codes=(0, 2))  # 0: it was another before anything was read
                if run.returncode == 0 and sha(claims) not in (drill.out / MONTH / "manifest.json").read_text():
                    print(f"  {name}: the manifest names a file that was not read", flush=True)
                shutil.copyfile(aside, claims)
    gone = drill.work / "gone"
    for share in (0.4, 0.8):
        with drill.fault("--out taken away in mid-run", and_next=share == 0.8) as row:
            run = drill.start(out=gone)
            time.sleep(share * drill.seconds)
            shutil.rmtree(gone, ignore_errors=True)
            drill.expect(run, row)


def run_at_once(drill: Drill) -> None:
    """Make the same month, and the same months, twice at once."""
    for name, month, runs in (
        ("two reports of one month at once", MONTH, 2),
        ("one range of three months, twice at once", "2026-04..2026-06", 2),
    ):
        with drill.fault(name) as row:
            started = [drill.start("--jobs", "1", month=month) for _ in range(runs)]
            for run in started:
                drill.expect(run, row, codes=(0,))
        for other in ("2026-04", "2026-05"):
            shutil.rmtree(drill.out / other, ignore_errors=True)


def break_kernels(drill: Drill) -> None:
    """Kill the kernel in mid-notebook; let it not start."""
    for share in (0.4, 0.6, 0.8):
        with drill.fault("kernel killed in mid-notebook (as when memory ends)", and_next=share == 0.8) as row:
            run = drill.start()
            while run.poll() is None and not (kernels := psutil.Process(run.pid).children(recursive=True)):
                time.sleep(0.1)
            time.sleep(share * drill.seconds / 2)
            for kernel in kernels:
                kernel.kill()
            drill.expect(run, row)
    spec = drill.work / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    for argv in (["/no/such/python"], [sys.executable, "-c", "raise SystemExit(3)"]):
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
        with drill.fault("kernel that does not start", and_next=False) as row:
            drill.expect(drill.start(), row)
    shutil.rmtree(spec)
    with drill.fault("kernel that does not start, then does"):
        pass


def limit_memory(drill: Drill) -> None:
    """Leave too little address space for the whole run, and too little memory for the engine."""

    def limit(mib: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))

    for mib in (900, 1500, 2500, 4000):
        with drill.fault("memory: address space limited (RLIMIT_AS)", and_next=mib == 4000) as row:
            drill.expect(drill.start(preexec_fn=limit(mib)), row, codes=(0, 1, 2))
    for given in ("1MB", "20MB"):
        with drill.fault("memory: SCA_MEMORY too little", and_next=given == "20MB") as row:
            drill.expect(drill.start(env=drill.env | {"SCA_MEMORY": given}), row, codes=(0, 2))


def show(rows: list[Row]) -> None:
    print("\n| fault | tried | last good report whole | partial files | next run well | what the log said |")
    print("|---|--:|--:|--:|--:|---|")
    for row in rows:
        told = [line for line in row.said if line.startswith(("note", "failed"))]
        shown = dict.fromkeys(line.split(": ", 1)[-1] if line.startswith("note") else line for line in told)
        words = " / ".join(list(shown)[:4]) or "begin, made"
        well = f"{row.next_well} of {row.next_tried}" if row.next_tried else ""
        print(f"| {row.name} | {row.tried} | {row.whole} | {row.partial} | {well} | {words} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--recover-every", type=int, default=1, help="let a run end after so many kills")
    parser.add_argument("--only", default="", help="one of kill, fill, disturb, run, break, limit")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that disks are given back
    faults: list[Callable[[Drill], None]] = [fill_disks, disturb_files, run_at_once, break_kernels, limit_memory]
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        drill = Drill(Path(name).resolve(), given.seed)
        drill.make_good()
        drill.make_good()  # with what the first has kept
        print(f"seed {given.seed}; a run takes {drill.seconds:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)
        try:
            if given.only in "kill":
                kill_at_random(drill, given.kills, given.recover_every)
            for fault in faults:
                if fault.__name__.startswith(given.only):
                    if fault is fill_disks and os.geteuid() != 0:
                        print("disks are not filled: only root can mount one")
                        continue
                    fault(drill)
        finally:
            show(drill.rows)


if __name__ == "__main__":
    main()
