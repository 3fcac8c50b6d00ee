"""The bytes and physical lines of delimited text: whether all quotes are in order, and which lines are blank.

DuckDB takes a quote that never closes for one long value and loses the rows inside it, in large
files without a word. So a file whose quotes are not all in order is copied first, line by line:
the line whose quotes are broken is left out and named, and reading goes on with the next one.
"""

import gzip
import io
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from sca_analysis.errors import ExportError
from sca_analysis.readers.fhir import FREE_SIZE, MAX_RATIO
from sca_analysis.readers.source import Malformed

_BLOCK = 1024 * 1024
_QUOTE, _LF, _CR = 34, 10, 13


class _Inflated(io.RawIOBase):
    """What a .gz inflates to, refused once that is more than any export packs into so few bytes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._taken, self._most = path, 0, max(FREE_SIZE, MAX_RATIO * path.stat().st_size)
        self._stream = gzip.open(path)  # noqa: SIM115 - closed with this one

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; return how many bytes that are."""
        count = self._stream.readinto(buffer)
        self._taken += count
        if self._taken > self._most:
            raise ExportError(
                f"{self._path.name} inflates to more than {MAX_RATIO} times its size, which no export does: unpack and "
                "check it."
            )
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_bytes(path: Path) -> BinaryIO:
    """Open a file, or what a .gz of it inflates to, for reading bytes."""
    return cast(BinaryIO, io.BufferedReader(_Inflated(path), _BLOCK) if path.suffix == ".gz" else path.open("rb"))


def in_order(stream: BinaryIO, delimiter: str, skip: int) -> bool:
    """Tell whether every quote opens at the start of a field or closes at its end, and no byte is NUL.

    Parameters
    ----------
    stream : binary file
    delimiter : str
    skip : int
        Lines before the header; a quote among them is not in order.

    """
    if any(b'"' in stream.readline() for _ in range(skip)):
        return False
    ends = np.zeros(256, dtype=bool)
    ends[[_QUOTE, _LF, _CR]] = True
    starts = ends.copy()
    starts[delimiter.encode()[-1]] = ends[delimiter.encode()[0]] = True
    window, inside = b"\n", 0  # the byte before the first to be looked at, and whether a quote is open
    while True:
        block = stream.read(_BLOCK)
        if b"\x00" in block:
            return False
        window += block or b"\n"
        if b'"' in window:
            octets = np.frombuffer(window, dtype=np.uint8)
            quotes = np.flatnonzero(octets[1:-1] == _QUOTE) + 1
            opening, closing = quotes[inside::2], quotes[1 - inside :: 2]
            if not (starts[octets[opening - 1]].all() and ends[octets[closing + 1]].all()):
                return False
            inside = (inside + len(quotes)) % 2
        if not block:
            return not inside
        window = window[-2:]  # the last byte waits for the one after it


def find_blank(stream: BinaryIO, skip: int) -> npt.NDArray[np.int64]:
    """Return the offsets of the line feeds that end blank lines, in a file whose quotes are in order."""
    offset = sum(len(stream.readline()) for _ in range(skip))
    found: list[npt.NDArray[np.int64]] = []
    before, inside = b"xx", 0
    while block := stream.read(_BLOCK):
        octets = np.frombuffer(before + block, dtype=np.uint8)
        quotes = np.flatnonzero(octets[2:] == _QUOTE) + 2
        if b"\n\n" in before + block or b"\n\r\n" in before + block:
            feeds = np.flatnonzero(octets[2:] == _LF) + 2
            outside = (np.searchsorted(quotes, feeds) + inside) % 2 == 0
            last, last_but_one = octets[feeds - 1], octets[feeds - 2]
            blank = outside & ((last == _LF) | ((last == _CR) & (last_but_one == _LF)))
            found.append(feeds[blank] - 2 + offset)
        inside = (inside + len(quotes)) % 2
        offset += len(block)
        before = (before + block)[-2:]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def copy_in_order(
    stream: BinaryIO, target: BinaryIO, delimiter: str, skip: int, longest: int, keep_blank: bool
) -> list[Malformed]:
    """Copy the records after the header whose quotes are in order, and return the lines left out.

    Parameters
    ----------
    stream, target : binary files
    delimiter : str
    skip : int
        Lines before the header.
    longest : int
        A value that is still open after so many bytes counts as broken. [bytes]
    keep_blank : bool
        Blank lines are records, as in a file of one column.

    """
    for _ in range(skip):
        stream.readline()
    lost: list[Malformed] = []
    row = skip  # rows before the header count as they are skipped, line by line
    for record, reason in _records(stream, delimiter, longest):
        if record.strip(b"\r\n") or keep_blank:
            row += 1
            if reason:
                lost.append(Malformed(row, reason))
            elif row > skip + 1:
                target.write(record)
    return lost


def _records(stream: BinaryIO, delimiter: str, longest: int) -> Iterator[tuple[bytes, str]]:
    """Yield each record with the reason why it is none, or an empty one."""
    judge = _judges(delimiter)
    again: deque[bytes] = deque()  # lines to look at once more, after a record that turned out broken
    record: list[bytes] = []
    size = 0
    while True:
        line = again.popleft() if again else stream.readline()
        if not line and not record:
            return
        complete, still_open = judge[bool(record)]
        quoted = b'"' in line  # most lines hold none, and need no pattern
        if line and (complete.fullmatch(line) if quoted else not record):
            whole = b"".join([*record, line])
            yield whole, "nul_byte" if b"\x00" in whole else ""
            record = []
        elif line and size + len(line) <= longest and (not quoted or still_open.fullmatch(line)):
            record.append(line)
            size += len(line)
            continue
        else:
            first, *rest = [*record, line] if line else record
            again.extendleft(reversed(rest))
            yield first, "broken_quotes"
            record = []
        size = 0


def _judges(delimiter: str) -> tuple[tuple[re.Pattern[bytes], re.Pattern[bytes]], ...]:
    """Patterns of a line that ends its record and of one that leaves a quote open, outside and inside a quote."""
    d = re.escape(delimiter.encode())
    value = rb'(?:[^"]|"")*+'
    plain = rb'(?! *")(?:(?!' + d + rb")[^\r\n])*+"
    field = rb'(?: *"' + value + rb'" *(?=' + d + rb"|\r?\n|\Z)|" + plain + rb")"
    rest = rb"(?:" + d + field + rb")*+"
    opened = rb' *"' + value
    outside = re.compile(field + rest + rb"\r?\n?"), re.compile(rb"(?:" + field + d + rb")*" + opened)
    inside = (
        re.compile(value + rb'" *' + rest + rb"\r?\n?"),
        re.compile(value + rb'(?:" *' + d + rb"(?:" + field + d + rb")*" + opened + rb")?"),
    )
    return outside, inside
