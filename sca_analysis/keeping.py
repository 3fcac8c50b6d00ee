"""Where what can be worked out again is kept: a folder of the user's own, which may be deleted at any time."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import platformdirs

#: Environment variable: the folder of what is kept, or ``off``.
PLACE = "SCA_CACHE"
_FOLDER = "sca_exports"


def place() -> Path | None:
    """Return the folder of what is kept, made for its owner alone; None where there is to be none, or can be none."""
    given = os.environ.get(PLACE, "")
    if given.casefold() == "off":
        return None
    base = Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("sca_analysis", appauthor=False))
    folder = base / _FOLDER  # of our own, since what is in it may be deleted
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def recall(name: str, depends_on: Iterable[bytes], make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return a table of reference that was made before, or make it and keep it for the next process.

    Parameters
    ----------
    name : str
        Letters alone, of which the name of its file is made.
    depends_on : iterable of bytes
        All that decides what is in it: with other content, it is made again.
    make : callable

    """
    folder = place()
    if folder is None:
        return make()
    digest = hashlib.sha256()
    for one in depends_on:
        digest.update(hashlib.sha256(one).digest())
    path = folder / f"reference-{name}-{digest.hexdigest()[:32]}.parquet"
    # one that was cut short is made again
    with suppress(OSError, ValueError):
        return pd.read_parquet(path)
    made = make()
    with suppress(OSError):  # a full disk: the next process makes it again
        for former in folder.glob(f"*reference-{name}-*"):  # and what killed processes have left
            former.unlink(missing_ok=True)
        _write(made, path)
    return made


def _write(table: pd.DataFrame, path: Path) -> None:
    """Write a table under its name only when it is whole."""
    number, unfinished = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
    os.close(number)
    try:
        table.to_parquet(unfinished)
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
