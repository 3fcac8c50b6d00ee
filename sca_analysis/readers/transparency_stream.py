"""JSON too large for memory, read value by value: plain, .gz, or the one member of a .zip or .7z.

A file of a payer can be one object of 50 GB. The caller walks it with ``members`` and ``elements`` and takes
whole only values that must be small (``value``, up to ``MAX_VALUE``). Numbers with a point stay the text
that they are, so that an amount never passes through a float. A value that is damaged is passed over by
its brackets (``pass_over``), so that reading goes on with the next one.

The standard library reads the values: one negotiated rate at a time it gives 70 to 110 MB/s, where the
events of ijson (yajl2_c) give 22 MB/s before a line of our own has run, and stop at the first damage.

Limits: a value of ``MAX_VALUE`` characters, nesting up to the recursion limit of Python, a .7z that fits
into the temporary folder. A .gz has none: it is read in blocks, however far it inflates.
"""

import codecs
import gzip
import io
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import BOMS

#: Longest value that is sure to be taken into memory; one of more than twice that never is. [characters]
MAX_VALUE = 8 * 1024 * 1024
GZIP, ZIP, SEVEN_ZIP = b"\x1f\x8b", b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c"
_BLOCK = 1024 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")
_MARK = re.compile(r'[{}\[\]"]')
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(r'[^,{}\[\]"]*')


class DamagedError(ValueError):
    """What stands here is no JSON; the text says why, as a reason of ``rules.RECORD_MEANINGS``."""


class CutError(Exception):
    """The file ends, or cannot be read on, in the middle of a value."""


class Stream:
    """A place in a JSON text. ``depth`` counts the objects and arrays that are open around it."""

    def __init__(self, blocks: Iterator[str]) -> None:
        """Begin before the first of the blocks of a text."""
        self.depth = 0
        self._blocks = blocks
        self._text = ""
        self._at = 0
        self._is_ended = False

    def peek(self) -> str:
        """Pass over white space and return the next character, blank at the end."""
        if self._at < len(self._text) and (one := self._text[self._at]) > " ":  # nearly always
            return one
        while True:
            self._at = cast(re.Match[str], _SPACE.match(self._text, self._at)).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def members(self) -> Iterator[str]:
        """Yield the keys of an object, which the caller must follow by taking or passing over the value."""
        for _ in self._parts("{", "}"):
            if self.peek() != '"':
                raise self._damaged()
            key, _ = self.value()
            self._take(":")
            yield key

    def elements(self) -> Iterator[None]:
        """Stand at each element of an array in turn, which the caller must take or pass over."""
        yield from self._parts("[", "]")

    def value(self) -> tuple[Any, str]:
        """Take a whole value, and return it with its text.

        Raises
        ------
        DamagedError
            Where it is none, or too large or deep; the place stays before it.
        CutError
            Where the file ends in it.

        """
        self.peek()
        while True:
            try:
                found, end = _READER.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise DamagedError("nested_too_deep") from error
            except ValueError as error:
                if not _wants_more(error, self._text):
                    raise DamagedError("malformed_record") from error
                if len(self._text) - self._at > MAX_VALUE:
                    raise DamagedError("record_too_long") from error
                if not self._fill():
                    raise CutError from error
                continue
            if end < len(self._text) or not self._fill():  # a number may go on
                text = self._text[self._at : end]
                self._at = end
                return found, text

    def pass_over(self) -> None:
        """Pass over a value by its brackets and quotes alone, whatever its size or damage."""
        if (first := self.peek()) in ("{", "["):
            self._at += 1
            self._close(1)
        elif first == '"':
            self._at += 1
            self._end_string()
        else:  # perhaps nothing, before a comma
            self._pass_scalar()

    def leave(self, depth: int) -> None:
        """Pass over the rest of the objects and arrays that are open until ``depth`` of them are left."""
        self._close(self.depth - depth)
        self.depth = depth

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        self._take(opening)
        self.depth += 1
        if self.peek() != closing:
            while True:
                yield
                if self.peek() != ",":
                    break
                self._at += 1
        self._take(closing)
        self.depth -= 1

    def _take(self, one: str) -> None:
        if self.peek() != one:
            raise self._damaged()
        self._at += 1

    def _damaged(self) -> Exception:
        """What to raise where a text is not what it should be."""
        return DamagedError("malformed_record") if self.peek() else CutError()

    def _close(self, count: int) -> None:
        while count > 0:
            if (mark := _MARK.search(self._text, self._at)) is None:
                self._at = len(self._text)
                if not self._fill():
                    raise CutError
                continue
            self._at = mark.end()
            if mark[0] == '"':
                self._end_string()
            else:
                count += 1 if mark[0] in "{[" else -1

    def _end_string(self) -> None:
        while (end := _STRING_END.match(self._text, self._at)) is None:
            slashes = len(self._text) - len(self._text.rstrip("\\"))
            self._at = max(self._at, len(self._text) - slashes % 2)
            if not self._fill():
                raise CutError
        self._at = end.end()

    def _pass_scalar(self) -> None:
        """Pass over what holds no bracket, quote or comma."""
        while True:
            self._at = cast(re.Match[str], _SCALAR.match(self._text, self._at)).end()
            if self._at < len(self._text) or not self._fill():
                return

    def _fill(self) -> bool:
        """Drop what was read and take in about as much again as is left, or a block; False at the end."""
        new, goal = [self._text[self._at :]], max(len(self._text) - self._at, 1)
        while goal > 0 and not self._is_ended:
            block = next(self._blocks, "")
            new.append(block)
            goal -= len(block)
            self._is_ended = not block
        is_more = any(new[1:])
        self._text, self._at = "".join(new), 0
        return is_more


def _wants_more(error: ValueError, text: str) -> bool:
    """Tell whether what is wrong with a value may be that the text ends in it."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos > len(text) - 16 or error.msg.startswith("Unterminated string")


def has_key_twice(text: str) -> bool:
    """Tell whether an object in a JSON value has a key twice, of which ``Stream.value`` keeps the last."""
    try:
        json.loads(text, strict=False, object_pairs_hook=_refuse_twice)
    except _TwiceError:
        return True
    return False


class _TwiceError(Exception):
    """A key that stands twice in one object."""


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError
    return found


# a number that is none in JSON, NaN, stays text too, for the caller to refuse
_READER = json.JSONDecoder(parse_float=str, parse_constant=str, strict=False)


@contextmanager
def open_stream(path: Path, work: Path) -> Iterator[Stream]:
    """Open the JSON text of a file; ``work`` is the folder for what must be unpacked.

    Raises
    ------
    ExportError
        If it cannot be opened, or is an archive of anything but one file.

    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_open(path, work, stack))
        except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ExportError(f"{path.name} cannot be opened: check its permissions, or fetch it again.") from error
        yield Stream(_decode(file))


def _open(path: Path, work: Path, stack: ExitStack) -> IO[bytes]:
    with path.open("rb") as probe:
        head = probe.read(6)
    if head.startswith(GZIP):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if head.startswith(ZIP):
        archive = stack.enter_context(zipfile.ZipFile(path))
        return archive.open(_only([i.filename for i in archive.infolist() if not i.is_dir()], path))
    return (_unpack(path, work) if head == SEVEN_ZIP else path).open("rb")


def _only(names: list[str], path: Path) -> str:
    if len(names) != 1:
        raise ExportError(f"{path.name} holds {len(names)} files, where one is expected: unpack and list them.")
    return names[0]


def _unpack(path: Path, work: Path) -> Path:
    """Return the one member of a .7z, unpacked into ``work``: py7zr gives no stream."""
    try:
        import py7zr
    except ImportError as error:
        raise ExportError(f"{path.name} is a 7z archive: unpack it, or install py7zr.") from error
    target = work / "unpacked"
    if target.exists():  # read for the second time
        return next(p for p in target.rglob("*") if p.is_file())
    try:
        with py7zr.SevenZipFile(path) as archive:
            files = [f for f in archive.list() if not f.is_directory]
            name = _only([f.filename for f in files], path)
            if (files[0].uncompressed or 0) > shutil.disk_usage(work).free:
                raise ExportError(f"{path.name} inflates to more than the temporary folder has room for: unpack it.")
            archive.extract(target, [name])
    except ExportError:
        raise
    except Exception as error:  # in a damaged archive py7zr stumbles with errors of any kind
        raise ExportError(f"{path.name} cannot be unpacked: fetch it again, or unpack it yourself.") from error
    return next(p for p in target.rglob("*") if p.is_file())


def _decode(file: IO[bytes]) -> Iterator[str]:
    """Yield the text; bytes that are not in the encoding become U+FFFD."""
    decoder: codecs.IncrementalDecoder | None = None
    for block in _blocks(file):
        if decoder is None:
            encoding = next((e for bom, e in BOMS if block.startswith(bom)), "utf-8")
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        if text := decoder.decode(block):
            yield text


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes to where they can be read: a damaged archive is then JSON without its end."""
    while True:
        block = bytearray()
        try:
            # read1 gives what stands before damage, where read would give nothing
            while len(block) < _BLOCK and (some := cast(io.BufferedReader, file).read1(_BLOCK - len(block))):
                block += some
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
            yield bytes(block)
            return
        if not block:
            return
        yield bytes(block)
