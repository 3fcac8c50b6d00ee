"""Put a folder in the place of another, hold a name for one run, and clear what killed runs left.

What is kept, even where a run is killed at any moment (SIGKILL, the end of memory) or the disk is full:

- Under a final name there is at all times the last whole folder or the new one, where the system swaps two names in
  one step: Linux (ext4, XFS, Btrfs, tmpfs) and macOS (APFS; by its manual, not tried).
- Elsewhere (NFS, Windows) two renames follow each other. A run killed between them leaves no folder under the final
  name until the next run of it, which puts the old one back from ``.NAME-former`` before all else.
- Runs of one name come one after the other, and each first deletes what those that did not end have left, where the
  system locks files. Where it does not (Windows, some shared disks), they work side by side, the last to end stays,
  and what killed runs have left is for people to delete.

A lock is the system's: it ends with the process that has it, however that ends. No clock is asked how old a file is.
"""

import ctypes
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sca_analysis.errors import ReportError

if sys.platform != "win32":
    import fcntl

LONGEST_WAIT = 3600.0  # seconds for another run of the same name: one that takes longer hangs
_TEMPORARY = "sca-run-"
_PLACES = ("TMPDIR", "TEMP", "TMP", "JUPYTER_RUNTIME_DIR")  # the last gets a file for each kernel
_HERE, _EXCHANGE, _SWAP = -100, 2, 2  # Linux: AT_FDCWD, RENAME_EXCHANGE; macOS: RENAME_SWAP


@contextmanager
def alone(final: Path, say: Callable[[str], object] = lambda note: None) -> Iterator[None]:
    """Be the only run that makes ``final`` for as long as the block lasts; first, clear what killed ones have left.

    Parameters
    ----------
    final : Path
        Its parent is there. What is worked on lies beside it, by ``tempfile.mkdtemp(prefix=f".{final.name}-")``.
    say : callable
        Gets a sentence where another run is waited for, and one for whatever was put back or deleted.

    Raises
    ------
    ReportError
        If another run has it for longer than ``LONGEST_WAIT``.
    OSError
        If nothing can be written beside it.

    """
    lock = final.with_name(f".{final.name}.lock")
    with ExitStack() as stack:
        try:
            is_alone = stack.enter_context(_hold(lock))
        except TimeoutError:
            say("another run is making it, which this one waits for")
            try:
                is_alone = stack.enter_context(_hold(lock, LONGEST_WAIT))
            except TimeoutError as error:
                raise ReportError(
                    f"another run has been making {final} for {LONGEST_WAIT / 60:g} minutes: see whether it hangs, "
                    "end it, and run again."
                ) from error
        _clear(final, is_alone, say)
        yield


def put(work: Path, final: Path) -> None:
    """Give a whole folder its final name, and delete the one that had it: to be called ``alone``."""
    work.chmod(0o755)  # mkdtemp made it for the owner alone
    for path in (p for p in work.rglob("*") if p.is_file()):
        with path.open("rb+") as stream:  # a disk that has no room for it may say so only now
            os.fsync(stream.fileno())
    if not os.path.lexists(final):
        work.rename(final)
    elif _swap(work, final):
        _delete(work)  # by this name it is the former one
    else:
        former = _former(final)
        final.rename(former)
        try:
            work.rename(final)
        except OSError:
            former.rename(final)
            raise
        _delete(former)


@contextmanager
def temporary() -> Iterator[None]:
    """Let all temporary files of this process, and of those that it starts, be in one folder that goes with the block.

    They hold rows of members. Those of a run that was killed are deleted by the next.
    """
    base = Path(tempfile.gettempdir())
    for left in {p.with_suffix("") for p in base.glob(f"{_TEMPORARY}*") if _is_own(p)}:
        with suppress(OSError), _hold(left.with_suffix(".lock")) as is_alone:
            if is_alone:
                _delete(left)
    folder = base / f"{_TEMPORARY}{uuid.uuid4().hex[:12]}"
    before = tempfile.tempdir, {name: os.environ.get(name) for name in _PLACES}
    with _hold(folder.with_suffix(".lock"), 1):  # before it is there, so that it is never there without
        folder.mkdir(mode=0o700)
        try:
            tempfile.tempdir = str(folder)
            os.environ |= dict.fromkeys(_PLACES, str(folder))
            yield
        finally:
            tempfile.tempdir, places = before
            for name, was in places.items():
                os.environ.pop(name, None)
                os.environ |= {name: was} if was is not None else {}
            _delete(folder)


def _clear(final: Path, is_alone: bool, say: Callable[[str], object]) -> None:
    """Put back a folder that was moved aside and not replaced; delete what else runs that did not end have left."""
    former = _former(final)
    if former.exists() and not os.path.lexists(final):
        former.rename(final)
        say("the last good one is back in its place, from which a run that did not end had moved it")
    name = re.compile(rf"\.{re.escape(final.name)}-(former|[a-z0-9_]{{8}})")  # nothing else there is ours
    left = [p for p in final.parent.iterdir() if name.fullmatch(p.name)] if is_alone else []
    for one in left:
        _delete(one)
    if left:
        say(f"deleted what {len(left)} runs that did not end had left")


@contextmanager
def _hold(lock: Path, wait: float = 0.0) -> Iterator[bool]:
    """Hold the lock of a file, which is there only as long; false where there are no locks.

    Raises
    ------
    TimeoutError
        If another run has it for longer than ``wait`` [s].

    """
    if sys.platform == "win32":
        yield False
        return
    until = time.monotonic() + wait
    while (held := _try(lock)) is None:
        if time.monotonic() >= until:
            raise TimeoutError
        time.sleep(0.1)
    descriptor, is_locked = held
    try:
        yield is_locked
    finally:
        with suppress(OSError):
            lock.unlink()  # while it is locked: it cannot be that of another run
        os.close(descriptor)


def _try(lock: Path) -> tuple[int, bool] | None:
    """Return the open file and whether it is locked; None if another run has it."""
    flags = os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(lock, flags | os.O_RDWR, 0o644)  # shared disks lock only what is open for writing
    except PermissionError:
        descriptor = os.open(lock, flags | os.O_RDONLY, 0o644)  # another person's run that was killed has left it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), lock.lstat()):
            return descriptor, True
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        return descriptor, False
    os.close(descriptor)  # it is held, or was and is deleted by now
    return None


def _swap(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; false where the system or the disk cannot."""
    names = os.fsencode(one), os.fsencode(other)
    try:
        system = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return bool(system.renamex_np(*names, _SWAP) == 0)
        return bool(system.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
    except (AttributeError, OSError, TypeError):  # not in this system
        return False


def _former(final: Path) -> Path:
    return final.with_name(f".{final.name}-former")


def _is_own(path: Path) -> bool:
    with suppress(OSError):
        return not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
    return False


def _delete(path: Path) -> None:
    """Delete a folder, a link or a file; what cannot be deleted stays for the next run."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
