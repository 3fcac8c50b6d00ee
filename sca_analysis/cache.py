"""Keep what was read: one folder an export's content, so that the next run starts at the tables.

A folder is found by what went into it: the bytes of every file, ``exports.yaml``, and the code that read them. So a
changed file, mapping or version is another folder. It may be deleted at any time, and two runs may fill it at once.
It holds the accepted rows of the exports, members among them: it is readable by its owner alone.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from sca_analysis.errors import ExportError
from sca_analysis.intake import Account
from sca_analysis.keeping import PLACE

KEPT_DAYS = 30  # an entry that no run has used for so long goes
_ABANDONED = 24 * 3600  # seconds after which a half-written entry is nobody's any more
_ENTRY = "entry.json"
_UNFINISHED, _IN_USE = ".unfinished-", ".in-use-"
# nothing else in the folder is ours
_NAMES = re.compile(rf"[0-9a-f]{{32}}|(?:{re.escape(_UNFINISHED)}|{re.escape(_IN_USE)})\w+")
_CODE: tuple[str, ...] = (
    "readers",
    "reference",
    "cache.py",
    "check.py",
    "folder.py",
    "intake.py",
    "medicare.py",
    "plain.py",
    "remittances.py",
    "rules.py",
    "standards.py",
    "tables.py",
)


def hash_files(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file, blank where it is not there.

    Raises
    ------
    OSError
        If one cannot be read.

    """
    found = {}
    for path in dict.fromkeys(paths):
        if path.is_file():
            with path.open("rb") as stream:
                found[path] = hashlib.file_digest(stream, "sha256").hexdigest()
        else:
            found[path] = ""
    return found


def key_of(content: Mapping[str, object]) -> str:
    """Return the name of the entry for what was asked and the files that it means, under this code."""
    text = json.dumps({"code": _hash_code(), "content": content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def find(folder: Path, key: str, root: Path, day: date) -> Path | None:
    """Return the entry of a key, if it is whole and still holds.

    It does not where a file beside the exports that was read with them has changed, or where a date was later than the
    period covered, of which another day may think otherwise.
    """
    entry = folder / key
    try:
        about = json.loads((entry / _ENTRY).read_text(encoding="utf-8"))
        whole = all((entry / name).stat().st_size == size for name, size in about["sizes"].items())
        made = date.fromisoformat(about["period_end"])
        same_day = made == day or (made < day and not about["has_future"])
        beside = {root / name: sha for name, sha in about["beside"].items()}
        if not (whole and same_day and hash_files(beside) == beside):
            return None
        os.utime(entry / _ENTRY)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry


def start(folder: Path) -> Path:
    """Return a new folder beside the entries in which one can be written; ``ExportError`` if there is no room."""
    with _room(folder):
        return Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))


def describe(entry: Path, account: Account, root: Path, day: date) -> None:
    """Write the account of an entry beside its tables, and last what makes it whole.

    Raises
    ------
    ExportError
        If there is no room for it.

    """
    with _room(entry.parent):
        account.set_aside.to_parquet(entry / "set_aside.parquet", index=False)
        account.findings.to_parquet(entry / "findings.parquet", index=False)
    hashes = hash_files(account.beside)
    about = {
        "files": account.files,
        "missing": account.missing,
        "period_end": day.isoformat(),
        "has_future": account.has_future,
        "beside": {os.path.relpath(path, root): sha for path, sha in hashes.items()},
        "sizes": {p.name: p.stat().st_size for p in sorted(entry.glob("*.parquet"))},
    }
    with _room(entry.parent):
        (entry / _ENTRY).write_text(json.dumps(about), encoding="utf-8")


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"the tables read cannot be kept in {folder} ({error.strerror or 'it cannot be written to'}): free some "
            f"room there, or set {PLACE} to a folder that has it."
        ) from error


def recall(
    entry: Path, root: Path
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, tuple[str, ...], dict[Path, str]]:
    """Return files, rows set aside, findings, missing tables and files beside of an entry, as ``Exports`` has them."""
    about = json.loads((entry / _ENTRY).read_text(encoding="utf-8"))
    columns = ["table", "path", "format", "rows_read", "accepted", "set_aside", "reasons"]
    files = pd.DataFrame([tuple(row) for row in about["files"]], columns=columns)
    set_aside, findings = (pd.read_parquet(entry / f"{name}.parquet") for name in ("set_aside", "findings"))
    beside = {root / name: sha for name, sha in about["beside"].items()}
    return files, set_aside, findings, tuple(about["missing"]), beside


def finish(unfinished: Path, key: str, root: Path, day: date) -> Path:
    """Give a written entry its name, or take that of another run which was first; return the one that is there."""
    folder, entry = unfinished.parent, unfinished.parent / key
    for _ in range(2):
        try:
            unfinished.rename(entry)
        except OSError:  # there is one: of another run that was faster, which reads it by now, or one that is no good
            if theirs := find(folder, key, root, day):
                shutil.rmtree(unfinished, ignore_errors=True)
                return theirs
            shutil.rmtree(entry, ignore_errors=True)
        else:
            _prune(folder)
            return entry
    return unfinished


def hold(entry: Path) -> Path:
    """Return a folder with the same files by other names, which stay while ours are deleted or made anew.

    Copies, where the file system gives a file no second name.

    Raises
    ------
    FileNotFoundError
        If the entry was deleted meanwhile.
    ExportError
        If there is no room for a copy.

    """
    with _room(entry.parent):
        held = Path(tempfile.mkdtemp(prefix=_IN_USE, dir=entry.parent))
    try:
        names = {_ENTRY, *json.loads((entry / _ENTRY).read_text(encoding="utf-8"))["sizes"]}
        for name in names:
            _give_name(entry / name, held / name)
    except BaseException:
        shutil.rmtree(held, ignore_errors=True)
        raise
    return held


def _give_name(path: Path, name: Path) -> None:
    try:
        os.link(path, name)
    except FileNotFoundError:
        raise
    except OSError:
        with _room(name.parent):
            shutil.copyfile(path, name)


def _prune(folder: Path) -> None:
    """Delete entries that no run has used for long, and what runs that ended early have left."""
    now = time.time()
    for one in (o for o in folder.iterdir() if _NAMES.fullmatch(o.name)):
        try:
            # what is in use has its file from the entry, which is touched by every run that takes that up
            is_entry = not one.name.startswith(_IN_USE) and (one / _ENTRY).exists()
            mark = one / _ENTRY if is_entry else one
            limit = _ABANDONED if one.name.startswith(_UNFINISHED) else KEPT_DAYS * 24 * 3600
            if one.is_dir() and now - mark.stat().st_mtime > limit:
                shutil.rmtree(one, ignore_errors=True)
        except OSError:
            continue  # another run was faster


@cache
def _hash_code() -> str:
    """Hash of the version and of the code and code sets that decide what is read."""
    digest = hashlib.sha256(version("sca-analysis").encode())
    package = Path(__file__).parent
    for name in _CODE:
        for path in sorted((package / name).rglob("*.*")) if (package / name).is_dir() else [package / name]:
            if path.suffix in (".py", ".csv"):
                digest.update(path.read_bytes())
    return digest.hexdigest()
