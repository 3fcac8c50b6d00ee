"""Numbers that stand for people without naming them, the same in every run."""

import base64
import hashlib
import os
import secrets
from pathlib import Path

import pandas as pd
import platformdirs

from sca_analysis.errors import ParameterError

#: Environment variables: the key of the pseudonyms, or the file that holds it.
KEY, KEY_FILE = "SCA_KEY", "SCA_KEY_FILE"
SHORTEST_KEY = 16  # characters
_PROJECT = Path(__file__).parents[1]


def pseudonym(prefix: str, *parts: str) -> str:
    """Return ``prefix`` and ten letters and digits drawn from the parts: BLAKE2b, keyed if ``KEY`` is set.

    It stands for a case that has no number of its own, within the plan: without a key, whoever knows all member
    numbers could find out whom it means. What is shared has `pseudonyms`.
    """
    key = os.environ.get(KEY, "").encode()[: hashlib.blake2b.MAX_KEY_SIZE]
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=5, key=key).hexdigest()
    return f"{prefix}{digest.upper()}"


def find_key() -> bytes:
    """Return the key of the pseudonyms: of the environment, of a file, or of this user, made at first use.

    ``SCA_KEY`` is the key; else ``SCA_KEY_FILE`` names its file; else it is in the user's
    configuration folder, where it is made, readable by its owner alone, if there is none. Who has the key and the
    exports can tell whom a pseudonym means; the same key gives the same pseudonyms in every month.

    Raises
    ------
    ParameterError
        If the key is shorter than 16 characters, or its file cannot be read or lies in the project.

    """
    given = os.environ.get(KEY)
    if given is not None:
        return _long_enough(given, f"the environment variable {KEY}")
    named = os.environ.get(KEY_FILE)
    own = Path(platformdirs.user_config_dir("sca_analysis", appauthor=False)) / "pseudonym.key"
    path = Path(named).expanduser() if named else own
    if path.resolve().is_relative_to(_PROJECT):
        raise ParameterError(f"{path} lies in the project, where it could be committed: keep the key elsewhere.")
    try:
        if not named and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_once(path, secrets.token_hex(32))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"the key of the pseudonyms cannot be read from {path}: correct {KEY_FILE}, or set {KEY}."
        ) from error
    return _long_enough(text, str(path))


def _write_once(path: Path, text: str) -> None:
    """Write a file that another run may be writing too: who comes second keeps the first one's."""
    mine = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    mine.touch(mode=0o600)
    mine.write_text(text, encoding="utf-8")
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()


def _long_enough(text: str, where: str) -> bytes:
    key = text.strip()
    if len(key) < SHORTEST_KEY:
        raise ParameterError(
            f"the key of the pseudonyms in {where} has fewer than {SHORTEST_KEY} characters: it could be guessed; "
            "choose a longer one."
        )
    return key.encode()


def name_key(key: bytes) -> str:
    """Return eight characters that tell two keys apart and give neither away."""
    return hashlib.blake2b(b"which key", digest_size=4, key=key[: hashlib.blake2b.MAX_KEY_SIZE]).hexdigest()


def pseudonyms(values: pd.Series, what: str, key: bytes) -> pd.Series:
    """Return keyed pseudonyms: the same for the same value, with the first letter of what is named.

    Parameters
    ----------
    values : Series
        Numbers of cases, providers or members; blanks stay blank.
    what : str
        ``case``, ``provider`` or ``member``: the same number of two kinds has two pseudonyms.
    key : bytes
        As `find_key` returns it.

    Returns
    -------
    Series of string
        Such as ``C-QK3V7ZP2M5ADTQZN``: 80 bits of BLAKE2b, keyed.

    """

    def one(value: object) -> str:
        digest = hashlib.blake2b(f"{what}:{value}".encode(), digest_size=10, key=key[: hashlib.blake2b.MAX_KEY_SIZE])
        return f"{what[0].upper()}-{base64.b32encode(digest.digest()).decode()}"

    known = {value: one(value) for value in values.dropna().unique()}
    return values.map(known).astype("string")
