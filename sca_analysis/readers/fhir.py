"""The resources of a FHIR file (R4, JSON), one after the other: a resource, a Bundle, an array or NDJSON, also .gz.

Numbers stay the text that they are in the file, so that an amount never passes through a float. A
resource that cannot be read is given with its place and the reason, and reading goes on with the next:
in NDJSON with the next line, in a Bundle with the next entry. ``place`` is the line of NDJSON, else the
number of the resource in the file; all resources of a Bundle that is a line share its place.

Limits: a resource of ``MAX_RESOURCE`` characters, nesting up to the recursion limit of Python
(``sys.getrecursionlimit()``, 1,000 unless set), a .gz that inflates to ``MAX_RATIO`` times its size. No
address is followed: neither a reference to a server nor the ``next`` page of a Bundle.

The standard library reads the JSON: fhir.resources checks 1,000 resources/s and refuses a whole
resource for one wrong element that nobody needs; ijson stops at the first damage.
"""

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import BOMS

Json = dict[str, Any]

#: Longest resource that is read. [characters]
MAX_RESOURCE = 16 * 1024 * 1024
#: A .gz that inflates beyond this many times its size, once above ``FREE_SIZE``, is refused.
MAX_RATIO = 200
FREE_SIZE = 64 * 1024 * 1024  # [bytes]
_BLOCK = 1024 * 1024
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_ENTRY = re.compile(r'\{\s*"(?:fullUrl|resource|search)"\s*:')  # how an entry of a Bundle begins
_ELEMENT = re.compile(r'(,\s*)\{\s*"resourceType"\s*:')  # how the next element of an array does
_TYPE = re.compile(r'\s*\{\s*"resourceType"\s*:\s*"(\w+)"')
_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # a NUL, or half of a pair


class Found(NamedTuple):
    """A resource at its place, or the reason why there is none; ``url`` is the entry's fullUrl."""

    place: int
    body: Json
    reason: str = ""
    url: str = ""


class _BadRecordError(ValueError):
    """What stands here is no resource; the text says why, as a reason of ``rules.RECORD_MEANINGS``."""


def read_resources(path: Path, only: frozenset[str] = frozenset()) -> Iterator[Found]:
    """Yield each resource of a file in file order.

    Parameters
    ----------
    path : Path
    only : frozenset of str
        Types wanted: lines of other types may be passed over unread. Empty = all.

    Raises
    ------
    ExportError
        If the file is unreadable, empty, or holds no FHIR in JSON at all.

    """
    window = _Window(_decode(path))
    start = window.peek()
    refused = f"{path.name} is no FHIR in JSON"
    if start == "":
        raise ExportError(f"{path.name} is empty: export it again.")
    lines = _is_ndjson(path, window)
    if start not in "{[" and not lines:
        what = "it begins like XML: export JSON" if start == "<" else "export it again, or set its format"
        raise ExportError(f"{refused}: {what}.")
    is_fhir = '"resourceType"' in window.text  # damaged, but FHIR
    for found in _lines(window, only) if lines else _document(window):
        for one in _unpack(found):
            is_fhir = is_fhir or not one.reason
            yield one
    if not (is_fhir or window.is_bundle):
        raise ExportError(f"{refused}: no resource in it can be read; export it again, or set its format.")


def siblings(path: Path, pattern: str) -> list[Path]:
    """Return the files that the glob of ``exports.yaml`` which gave ``path`` gives; without one, ``path`` alone.

    With ``**`` the files below the nearest folder that fits are meant.
    """
    parts = Path(pattern).parts
    first = next((i for i, part in enumerate(parts) if any(c in part for c in "*?[")), None)
    if first is None:
        return [path]
    wild, depth = str(Path(*parts[first:])), len(parts) - first
    bases = path.parents if "**" in parts else path.parents[depth - 1 : depth]
    for base in bases:
        if base.parts[len(base.parts) - first :] == parts[:first] or Path(pattern).is_absolute():
            found = sorted(p for p in base.glob(wild) if p.is_file())
            if path in found:
                return found
    return [path]


def types_in(head: bytes) -> set[str]:
    """Return the resource types named in the first bytes of a file, none where it is no JSON."""
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(31).decompress(head, _BLOCK)
        except zlib.error:
            return set()
    encoding = next((e for bom, e in BOMS if head.startswith(bom)), "utf-8")
    shown = head.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")
    return set(re.findall(r'"resourceType"\s*:\s*"(\w+)"', shown)) if shown.startswith(("{", "[")) else set()


class _Window:
    """The part of a text that is being read."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.blocks = blocks
        self.text = ""
        self.at = 0
        self.ended = False
        self.is_bundle = False

    def fill(self) -> bool:
        """Take in about as much again, or a block; False at the end."""
        new = io.StringIO()
        goal = max(len(self.text) - self.at, 1)
        while not self.ended and new.tell() < goal:
            block = next(self.blocks, "")
            new.write(block)
            self.ended = not block
        self.text = self.text[self.at :] + new.getvalue()
        self.at = 0
        return new.tell() > 0

    def peek(self) -> str:
        """Pass over white space and return the next character, blank at the end."""
        while True:
            matched = _SPACE.match(self.text, self.at)
            self.at = matched.end() if matched else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.fill():
                return ""


def _decode(path: Path) -> Iterator[str]:
    """Yield the text of a file; bytes that are no UTF-8 become lone surrogates, to be found in their resource."""
    decoder: codecs.IncrementalDecoder | None = None
    taken = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as probe:
            packed = probe.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            while block := stream.read(max(_BLOCK, 4)):  # a byte-order mark in one piece
                taken += len(block)
                if packed and taken > FREE_SIZE and taken > size * MAX_RATIO:
                    raise ExportError(
                        f"{path.name} inflates to more than {MAX_RATIO} times its size, which no export does: "
                        "unpack and check it."
                    )
                if decoder is None:
                    encoding = next((e for bom, e in BOMS if block.startswith(bom)), "utf-8")
                    errors = "surrogateescape" if encoding == "utf-8" else "replace"
                    decoder = codecs.getincrementaldecoder(encoding)(errors=errors)
                if shown := decoder.decode(block):
                    yield shown
        if decoder is not None and (rest := decoder.decode(b"", final=True)):
            yield rest
    except (OSError, EOFError, zlib.error) as error:
        raise ExportError(
            f"{path.name} cannot be read to its end: check its permissions, or fetch it again."
        ) from error


def _refuse_constant(given: str) -> str:
    raise _BadRecordError("malformed_record")  # NaN and Infinity are no JSON


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadRecordError("repeated_name")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=str, parse_int=str, parse_constant=_refuse_constant)


def _check(given: str, value: object) -> None:
    """Refuse text that no database takes."""
    if not given.isascii():
        try:
            given.encode()
        except UnicodeEncodeError as error:
            raise _BadRecordError("bytes_not_in_encoding") from error
    if "\\u" in given and _ESCAPED.search(given):
        for one in _strings(value):
            if "\x00" in one:
                raise _BadRecordError("nul_byte")
            if any("\ud800" <= c <= "\udfff" for c in one):
                raise _BadRecordError("malformed_record")


def _strings(value: object) -> Iterator[str]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            left += one


def _parse(given: str) -> Any:
    """Return the value of a whole text."""
    try:
        value, end = _DECODER.raw_decode(given)
    except json.JSONDecodeError as error:
        raise _BadRecordError("nul_byte" if "\x00" in given else "malformed_record") from error
    except RecursionError as error:
        raise _BadRecordError("nested_too_deep") from error
    if given[end:].strip():
        raise _BadRecordError("malformed_record")
    _check(given, value)
    return value


def _take(window: _Window) -> Any:
    """Return the value that begins at the window's next character, and pass over it."""
    window.peek()
    while True:
        try:
            value, end = _DECODER.raw_decode(window.text, window.at)
        except json.JSONDecodeError as error:
            # an error well before the end of what is here is no matter of reading on
            cut = error.msg.startswith("Unterminated") or error.pos > len(window.text) - 16
            if not cut:
                raise _BadRecordError("malformed_record") from error
            if window.ended:
                whole = error.pos < len(window.text.rstrip()) and not error.msg.startswith("Unterminated")
                raise _BadRecordError("malformed_record" if whole else "truncated") from error
            if len(window.text) - window.at > MAX_RESOURCE:
                raise _BadRecordError("record_too_long") from error
            window.fill()
            continue
        except RecursionError as error:
            raise _BadRecordError("nested_too_deep") from error
        if end == len(window.text) and not window.ended:  # a number may go on
            window.fill()
            continue
        given = window.text[window.at : end]
        if len(given) > MAX_RESOURCE:
            raise _BadRecordError("record_too_long")
        window.at = end
        _check(given, value)
        return value


def _is_ndjson(path: Path, window: _Window) -> bool:
    """Tell whether lines are resources: one of the first is, and it is not the only one."""
    if len(window.text) < _BLOCK:
        window.fill()
    head = window.text[window.at : window.at + _BLOCK]
    found = [one.strip() for one in head.split("\n") if one.strip()][:20]
    if len(found) < 2:
        return False
    for one in found:
        try:
            if one.startswith("{") and isinstance(value := _parse(one), dict) and "resourceType" in value:
                return True
        except _BadRecordError:
            continue
    named = path.name.lower().removesuffix(".gz").endswith((".ndjson", ".jsonl"))
    return named and all(one.startswith("{") and len(one) > 1 for one in found[1:])


def _lines(window: _Window, only: frozenset[str]) -> Iterator[Found]:
    number = 0
    while True:
        number += 1
        searched = window.at
        while (end := window.text.find("\n", searched)) < 0 and not window.ended:
            if len(window.text) - window.at > MAX_RESOURCE:
                break
            searched = len(window.text) - window.at
            window.fill()
        too_long = end < 0 and not window.ended
        while end < 0 and not window.ended:
            window.at = len(window.text)
            window.fill()
            end = window.text.find("\n")
        end = end if end >= 0 else len(window.text)
        given = window.text[window.at : end]
        if too_long or len(given) > MAX_RESOURCE:
            yield Found(number, {}, "record_too_long")
        elif given.strip(" \t\r\ufeff"):
            kind = _TYPE.match(given) if only else None
            if not kind or kind[1] in only or kind[1] == "Bundle":
                yield _line(number, given.lstrip("\ufeff \t\r"))
        window.at = end + 1
        if window.at >= len(window.text) and not window.fill():
            return


def _line(number: int, given: str) -> Found:
    try:
        value = _parse(given)
    except _BadRecordError as error:
        return Found(number, {}, str(error))
    return Found(number, value) if isinstance(value, dict) else Found(number, {}, "malformed_record")


def _document(window: _Window) -> Iterator[Found]:
    """Yield the resources of one JSON value after the other."""
    place = 0
    while start := window.peek():
        try:
            if start == "[":
                window.at += 1
                elements: Iterable[Found] = _elements(window, place, bundled=False)
            elif start == "{":
                window.at += 1
                elements = _members(window, place)
            else:
                raise _BadRecordError("malformed_record")
            for found in elements:
                place = found.place
                yield found
        except _BadRecordError as error:
            place += 1
            yield Found(place, {}, str(error))
            if not _resync(window, _ENTRY):
                return
            for found in _elements(window, place, bundled=True):
                place = found.place
                yield found


def _members(window: _Window, place: int) -> Iterator[Found]:
    """Read an object name by name, so that the entries of a Bundle are given while it is read."""
    body: Json = {}
    size = 0
    bundle = False
    while (sign := window.peek()) != "}":
        if body or bundle:
            if sign != ",":
                raise _BadRecordError("malformed_record" if sign else "truncated")
            window.at += 1
        if window.peek() != '"':
            raise _BadRecordError("malformed_record" if window.peek() else "truncated")
        name = _take(window)
        if window.peek() != ":":
            raise _BadRecordError("malformed_record" if window.peek() else "truncated")
        window.at += 1
        if name == "entry" and window.peek() == "[" and body.get("resourceType", "Bundle") == "Bundle":
            window.at += 1
            bundle = window.is_bundle = True
            for found in _elements(window, place, bundled=True):
                place = found.place
                yield found
            if window.ended and window.peek() == "":
                return
            continue
        if name in body:
            raise _BadRecordError("repeated_name")
        before = len(window.text) - window.at
        body[name] = _take(window)
        size += max(before - (len(window.text) - window.at), 0)
        if size > MAX_RESOURCE:
            raise _BadRecordError("record_too_long")
    window.at += 1
    window.is_bundle = window.is_bundle or body.get("resourceType") == "Bundle"
    if not bundle:
        yield Found(place + 1, body)


def _elements(window: _Window, place: int, *, bundled: bool) -> Iterator[Found]:
    """Yield the resource of each element up to the closing bracket; ``bundled`` elements are entries."""
    while (sign := window.peek()) != "]":
        place += 1
        if sign == ",":
            window.at += 1
        try:
            if window.peek() == "":
                raise _BadRecordError("truncated")
            value = _take(window)
            if not isinstance(value, dict):
                raise _BadRecordError("malformed_record")
        except _BadRecordError as error:
            yield Found(place, {}, str(error))
            if not _resync(window, _ENTRY if bundled else _ELEMENT):
                return
            continue
        yield _entry(place, value) if bundled else Found(place, value)
    window.at += 1


def _entry(place: int, entry: object) -> Found:
    body = entry.get("resource") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(body, dict):
        return Found(place, {}, "no_resource")
    url = entry.get("fullUrl")
    return Found(place, body, "", url if isinstance(url, str) else "")


def _resync(window: _Window, start: re.Pattern[str]) -> bool:
    """Go on to where the next entry or resource begins; False, at the end of the file, where there is none."""
    window.at += 1
    while not (matched := start.search(window.text, window.at)):
        window.at = max(window.at, len(window.text) - 64)
        if not window.fill():
            window.at = len(window.text)
            return False
    window.at = matched.end(1) if start.groups else matched.start()
    return True


def _unpack(found: Found) -> Iterator[Found]:
    """Yield a resource, or the resources of a Bundle that is an entry or a line itself."""
    left = [found]
    while left:
        one = left.pop()
        if one.body.get("resourceType") == "Bundle":
            entries = one.body.get("entry") or []
            left += [_entry(one.place, e) for e in reversed(entries if isinstance(entries, list) else [entries])]
        elif one.reason or (isinstance(kind := one.body.get("resourceType"), str) and kind.isalpha()):
            yield one
        else:
            yield Found(one.place, {}, "no_resource_type")
