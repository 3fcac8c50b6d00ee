"""X12 as a stream of segments: envelopes, delimiters, damage; what claims and remittances share.

A file is read in blocks of text and never held as a whole. Each interchange names its own delimiters in
its ISA segment (ASC X12.5): the element separator after ``ISA``, then, after the sixteenth separator, the
component separator and the segment terminator. Byte-order marks, UTF-16, line ends within or after a
segment, indentation, several interchanges and text between them are coped with. Bytes outside UTF-8 are
taken as cp1252. A segment's number, its place, counts the segments of the file from 1, its ISA.

What is damaged is told to the reader of the transaction, which sets aside the smallest unit:
``unknown_segment`` (no segment of the transaction's guide), ``segment_too_long``, ``truncated`` (a
transaction without its SE, or a group or interchange without its end). A transaction of another kind is
set aside as one, ``other_transaction``.
"""

import codecs
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import BOMS, Malformed

#: Longest segment that is read; a longer one is set aside. [characters]
MAX_SEGMENT = 1024 * 1024
#: A compressed file may unpack to this many times its size; X12 packs about 1 to 20. [ratio]
MAX_EXPANSION = 400
_CHUNK = 256 * 1024  # bytes read at a time
_HEAD = 64 * 1024  # bytes in which the first ISA must begin
_ISA_MOST = 400  # characters of an ISA segment, 106 by the standard, with room for odd padding and line ends
_GZIP = b"\x1f\x8b"
_BLANK = " \t\r\n\x00\x1a\ufeff"
_LEVELS = {"ISA": 0, "IEA": 0, "GS": 1, "GE": 1, "ST": 2, "SE": 2}
_OPENING = ("ISA", "GS", "ST")
#: Numbers of the health care transactions, ST01. [ASC X12N]
_KINDS = frozenset(
    {"269", "270", "271", "274", "275", "276", "277", "278", "820", "824", "834", "835", "837", "997", "999"}
)
#: What shows that text outside a transaction is a damaged part of one, or that a segment swallowed another.
_LOST_LINES = re.compile(r"(?<![A-Za-z0-9])(CLM|CLP|SVC|SV[123]|LX)[^A-Za-z0-9\s]")
_STARTS = "HL|CLM|CLP|LX|SV[123]|SVC|ST|SE"


@dataclass(frozen=True)
class Block:
    """Consecutive segments of one interchange, trimmed; ``first`` is the place of the first.

    ``lost`` says that in their stead a segment was passed over, and why. ``is_cut`` marks a last
    segment without its terminator.
    """

    first: int
    separator: str
    component: str
    segments: Sequence[str]
    lost: str = ""
    is_cut: bool = False


@dataclass
class State:
    """What both readers keep while they go through a file."""

    write: Callable[[tuple[str | int, ...]], None]
    component: str = ":"
    group_date: str = ""  # GS04
    units: int = 0  # lines and claims without lines, written or set aside
    malformed: list[Malformed] = field(default_factory=list)


@dataclass(frozen=True)
class Guide:
    """How one kind of transaction is read: its number in ST01, its group in GS01, and what each segment does.

    ``handlers`` take the elements of a segment and its place; segments in ``passed`` hold nothing of
    use. ``lose`` is told of a segment that cannot be read (reason, place); ``end`` of the end of a
    transaction (reason, place), the reason being blank for a proper end.
    """

    number: str
    group: str
    handlers: Mapping[str, Callable[[list[str], int], None]]
    passed: frozenset[str]
    lose: Callable[[str, int], None]
    end: Callable[[str, int], None]


# ---- text ----


def read_blocks(path: Path, encoding: str | None) -> Iterator[Block]:
    """Yield the segments of a file, a block at a time; memory does not grow with the file.

    Raises
    ------
    ExportError
        If there is no ISA segment in the first 64 KiB, or the file cannot be read.

    """
    envelope: tuple[str, str, str] | None = None  # separator, component, terminator
    rest, place, is_skipping, start = "", 0, False, 0
    for text, final in _texts(path, encoding):
        rest += text
        while True:
            isa, found = _find_isa(rest, start, envelope[2] if envelope else "", final)
            if envelope is None:
                if found is None and (final or len(rest) > _HEAD + _ISA_MOST):
                    raise ExportError(f"{path.name} is not X12: no ISA segment begins it; export it again.")
            else:
                separator, component, terminator = envelope
                before, after = (rest, "") if isa < 0 else (rest[:isa], rest[isa:])
                *pieces, cut = before.split(terminator)
                if pieces and (is_skipping or len(pieces[0]) > MAX_SEGMENT):
                    if not is_skipping:
                        place += 1
                        yield Block(place, separator, component, (), lost="segment_too_long")
                    del pieces[0]
                    is_skipping = False
                if segments := _trimmed(pieces, separator):
                    yield Block(place + 1, separator, component, segments)
                    place += len(segments)
                if found or final:
                    if (last := _trimmed([cut], separator)) and not is_skipping:
                        yield Block(place + 1, separator, component, last, is_cut=True)
                        place += 1
                    is_skipping = False
                elif is_skipping or len(cut) > MAX_SEGMENT:
                    if not is_skipping:
                        place += 1
                        yield Block(place, separator, component, (), lost="segment_too_long")
                    is_skipping, rest = True, cut[-_ISA_MOST:] + after
                else:
                    rest = cut + after
            if found is None:
                start = 0
                break
            if envelope is None and _LOST_LINES.search(rest, 0, isa):
                envelope, start = found, 0  # an interchange whose ISA is damaged, likely of the same delimiters
            else:
                rest, envelope, start = rest[isa:], found, 1


def _texts(path: Path, encoding: str | None) -> Iterator[tuple[str, bool]]:
    """Yield decoded text, and whether it is the last."""
    decoder: codecs.IncrementalDecoder | None = None
    head = b""
    try:
        with path.open("rb") as raw:
            for data in _bytes(raw, path.name):
                head = data if decoder else head + data
                if decoder is None and len(head) >= _ISA_MOST:
                    decoder = _decoder(head, encoding)
                if decoder:
                    yield decoder.decode(head), False
            if decoder is None:
                decoder = _decoder(head, encoding)
                yield decoder.decode(head), False
            yield decoder.decode(b"", final=True), True
    except LookupError as error:
        raise ExportError(f"exports.yaml: encoding {encoding!r} of {path.name} is not known: leave it out.") from error
    except (OSError, UnicodeError) as error:
        raise ExportError(f"{path.name} cannot be read: check the file, its permissions, `encoding`.") from error


def _decoder(head: bytes, encoding: str | None) -> codecs.IncrementalDecoder:
    chosen = encoding or encoding_of(head)
    "".encode(chosen)  # refuses codecs that are none of text
    # bytes that are no UTF-8 are kept apart, to be read as cp1252 where a value holds them
    return codecs.getincrementaldecoder(chosen)("surrogateescape" if chosen.startswith("utf-8") else "replace")


def _bytes(raw: BinaryIO, where: str) -> Iterator[bytes]:
    """Yield the bytes of a file or of a gzip, whose damage ends it."""
    data = raw.read(_CHUNK)
    if not data.startswith(_GZIP):
        while data:
            yield data
            data = raw.read(_CHUNK)
        return
    unpacker, size = zlib.decompressobj(31), 0
    while data:
        try:
            unpacked = unpacker.decompress(data, _CHUNK)
        except zlib.error:
            return
        size += len(unpacked)
        if size > MAX_EXPANSION * (raw.tell() + _CHUNK):
            raise ExportError(
                f"{where} unpacks to more than {MAX_EXPANSION} times its size, which no export does: "
                "unpack it, and look at what it holds."
            )
        if unpacked:
            yield unpacked
        data = unpacker.unconsumed_tail
        if unpacker.eof:
            data, unpacker = unpacker.unused_data.lstrip(b"\0"), zlib.decompressobj(31)
        data = data or raw.read(_CHUNK)
    with suppress(zlib.error):
        yield unpacker.flush()


def encoding_of(data: bytes) -> str:
    """Return the encoding of X12 that begins with ``data``: by its mark, by the zeros in ISA, else UTF-8."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return encoding
    wide = data[:_HEAD].find(b"I\0S\0A")
    return "utf-8" if wide < 0 else ("utf-16-le", "utf-16-be")[wide % 2]


def _trimmed(pieces: Sequence[str], separator: str) -> list[str]:
    """Return the segments between terminators; what is empty is none."""
    stripped = [trimmed for piece in pieces if (trimmed := piece.strip(_BLANK))]
    if not any("\n" in s or "\r" in s or "  " in s for s in stripped):
        return stripped
    # text is wrapped, or a terminator was lost: then a line end or indentation before a segment is one
    start = rf"(?=(?:{_STARTS}){re.escape(separator)})"
    lost = re.compile(rf"(?<![\s{re.escape(separator)}])\s*[\r\n]\s*{start}|(?<!\s)\s*[ \t]{{2,}}{start}")
    return [s.replace("\r", "").replace("\n", "") for whole in stripped for s in lost.split(whole)]


def _find_isa(text: str, start: int, terminator: str, final: bool) -> tuple[int, tuple[str, str, str] | None]:
    """Return where the next ISA segment begins, with its delimiters; without them, more text is needed."""
    at = text.find("ISA", start)
    while at >= 0:
        before = text[at - 1] if at else ""
        if at == 0 or before in _BLANK or before == terminator or (not terminator and not before.isalnum()):
            if len(text) - at < _ISA_MOST and not final:
                return at, None
            if found := parse_isa(text[at : at + _ISA_MOST]):
                return at, found
        at = text.find("ISA", at + 3)
    return -1, None


def parse_isa(text: str) -> tuple[str, str, str] | None:
    """Return element separator, component separator and terminator of an ISA segment, None if it is none."""
    separator = text[3:4]
    if not separator or separator.isalnum() or separator in " \r\n\0":
        return None
    parts = text.split(separator, 16)
    if len(parts) != 17 or len(parts[16]) < 2:
        return None
    component, terminator = parts[16][0], parts[16][1]
    if component.isalnum() or terminator.isalnum() or terminator in " \0":
        return None
    if len({separator, component, terminator}) < 3:
        return None
    # codes of authorisation, security, sender and receiver; acknowledgement and usage
    widths = {1: 2, 3: 2, 5: 2, 7: 2, 14: 1, 15: 1}
    fits = all(len(parts[i].strip()) <= most for i, most in widths.items()) and max(map(len, parts[:16])) <= 40
    return (separator, component, terminator) if fits else None


# ---- transactions ----


def walk(path: Path, encoding: str | None, guide: Guide, state: State) -> None:
    """Go through a file and give each segment of the guide's transactions to its handler.

    Raises
    ------
    ExportError
        If the file is not X12 or holds no transaction of the kind.

    """
    handlers = {code: guide.handlers.get(code) for code in (*guide.passed, *guide.handlers)}
    opened = [False, False, False]  # interchange, group, transaction
    ours, others, is_ours, group, place = 0, set[str](), True, "", 0
    for block in read_blocks(path, encoding):
        state.component, separator = block.component, block.separator
        place = block.first
        if block.lost:
            _set_aside(state, place, block.lost)
            guide.lose(block.lost, place)
        for place, segment in enumerate(block.segments, start=block.first):
            code = segment.partition(separator)[0]
            if code in handlers:
                handle = handlers[code]
                if handle is not None and is_ours:
                    handle(segment.split(separator), place)
                continue
            level = _LEVELS.get(code)
            if level is not None:
                inner = opened[level:] if code in _OPENING else opened[level + 1 :]
                if any(inner):
                    _truncate(guide, state, place)
                elif code == "SE" and is_ours:
                    guide.end("", place)
                opened[level:] = [code in _OPENING, False, False][: 3 - level]
                elements = segment.split(separator)
                is_ours = True  # a segment without its ST is read for what it is
                if code == "GS":
                    group, state.group_date = at(elements, 1), at(elements, 4)
                elif code == "ST":
                    kind = at(elements, 1)
                    is_ours = kind == guide.number or (kind not in _KINDS and group in ("", guide.group))
                    ours += is_ours
                    if not is_ours:
                        others.add(kind)
                        _set_aside(state, place, "other_transaction")
            elif is_ours and not block.is_cut:
                before, holds_line = len(state.malformed), _LOST_LINES.search(segment) is not None
                if holds_line or opened[2]:
                    guide.lose("unknown_segment", place)
                if holds_line and len(state.malformed) == before:
                    _set_aside(state, place, "unknown_segment")
    if any(opened):
        _truncate(guide, state, place)
    else:
        guide.end("truncated", place)
    if not ours and not state.units:
        seen = sorted(k for k in others if k.isdecimal() and len(k) == 3)
        what = f"it holds {', '.join(seen)}" if seen else "no such transaction is in it"
        raise ExportError(f"{path.name} is no X12 {guide.number}: {what}; correct its format in exports.yaml.")


def _truncate(guide: Guide, state: State, place: int) -> None:
    """Set aside what an end is missing of: the line that was open, else the rest as one."""
    before = len(state.malformed)
    guide.end("truncated", place)
    if len(state.malformed) == before:
        _set_aside(state, place, "truncated")


def _set_aside(state: State, place: int, reason: str) -> None:
    state.malformed.append(Malformed(place, reason))


def recognise_kind(head: bytes, number: str, group: str, codes: frozenset[str]) -> bool:
    """Say whether the first bytes of a file, packed or not, begin a transaction of one kind.

    ``number`` is in ST01, ``group`` in GS01; ``codes`` are segments that only this kind has, should both be damaged.
    """
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(31).decompress(head, _HEAD)
        except zlib.error:
            return False
    text = head[:_HEAD].decode(encoding_of(head), errors="replace")
    at_isa, found = _find_isa(text, 0, "", final=True)
    if found is None:
        return False
    separator, _, terminator = found
    segments = [s.split(separator) for s in _trimmed(text[at_isa:].split(terminator), separator)]
    kinds = [at(s, 1) for s in segments if s[0] == "ST"]
    if any(kind in _KINDS for kind in kinds):
        return number in kinds
    return any((s[0] == "GS" and at(s, 1) == group) or s[0] in codes for s in segments)


def at(elements: Sequence[str], position: int) -> str:
    """Return an element, blank where the segment is shorter."""
    return elements[position].strip() if len(elements) > position else ""
