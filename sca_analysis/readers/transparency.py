"""Transparency in Coverage (45 CFR 147.212; CMS's price-transparency-guide, schemas 1 and 2) as ``fees``.

``tic-in-network-rates`` gives in_network_rate, ``tic-allowed-amounts`` gives out_of_network_allowed and
usual_charge; which of the two a file is, its content says. JSON, also .gz, .zip, .7z, of any size.

What is counted is a price: an element of ``negotiated_prices``, or of ``payments``; ``row`` is its number in
the file. Prices that cannot be the rate of a unit of a procedure are set aside, by the first reason that applies:
the item is a ``bundle`` or ``capitation``, its ``code_type`` neither CPT nor HCPCS, its code of another shape
(``procedure_code_shape``); the price is a ``percentage`` of charges or ``per_diem``; ``not_selected:`` with what
decides; ``expired``; its providers are in a file elsewhere, which is never fetched (``providers_elsewhere``), or
nowhere (``unknown_provider_group``); the amount is none, below zero or ``zero_amount``. An element of
``negotiated_rates`` or ``allowed_amounts`` that cannot be read counts once.

All other prices of a code stand behind one row of ``fees``. Each is rounded to the cent, half up. The rate is
their median, in which a price counts once for each NPI of its provider groups (those of several references are
added up; a group without NPIs counts once); of an even number it is the mean of the two in the middle, half up
to the cent. A usual_charge is always the median of ``billed_charge``, by NPI.

``keep`` selects, each by the file's own words: ``billing_class`` (professional, unless said; "both" always
counts), ``setting``, ``service_code`` (place of service), ``billing_code_modifier`` (none, unless said; then
exactly these), ``negotiated_type`` (negotiated, derived, fee schedule), ``npi``, ``tin``; and three that are ours:
``in_force_on``, the day on which a price must not have expired, that of ``last_updated_on`` unless said;
``statistic``: median, min, max or highest (the same), such as a plan may refuse to go above.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Raw, Source, name, quote
from sca_analysis.readers.transparency_ledger import Ledger, add_up
from sca_analysis.readers.transparency_prices import (
    PARTS,
    Choice,
    Head,
    Json,
    Part,
    Price,
    choose,
    day_of,
    judge_allowed,
    judge_item,
    judge_rate,
    take_in,
    word_of,
)
from sca_analysis.readers.transparency_stream import (
    GZIP,
    SEVEN_ZIP,
    ZIP,
    CutError,
    DamagedError,
    Stream,
    has_key_twice,
    open_stream,
)
from sca_analysis.tables import FEES, Table

Judge = Callable[[Json], Iterator[Price]]

_SIGNS = (b'"in_network"', b'"out_of_network"', b'"reporting_structure"', b"<in_network>", b"<out_of_network>")


def recognise(head: bytes, name: str) -> bool:
    """Tell whether a file is one of Transparency in Coverage, also one that is refused, such as its XML.

    Parameters
    ----------
    head : bytes
        Its beginning as it is stored.
    name : str
        Its file name, which tells of an archive what it holds.

    """
    if head.startswith((ZIP, SEVEN_ZIP)):
        return re.search(r"(?i)in-network-rates|allowed-amounts", name) is not None
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(31).decompress(head, 64 * 1024)
        except zlib.error:
            return False
    head = head.replace(b"\0", b"")  # UTF-16
    is_payer = b'"reporting_entity_name"' in head and b'"provider_references"' in head
    return head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] in (b"{", b"<") and (
        is_payer or any(sign in head for sign in _SIGNS)
    )


def read_transparency(
    con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path, *, format_name: str
) -> Raw:
    """Map a machine-readable file of a payer onto ``fees``; see the module.

    Returns
    -------
    Raw
        One row a code, which stands for the prices behind it; ``place`` is the number of the first of them.

    Raises
    ------
    ExportError
        If exports.yaml asks for what is not here, or the file is none of the two, or no JSON.

    """
    del con  # its memory has no bound; what is added up here has
    if table.name != FEES.name:
        raise ExportError(f"exports.yaml: {table.name}: format {format_name} is for {FEES.name} only.")
    if surplus := source.model_fields_set - {"path", "format", "keep", "rules"}:
        raise ExportError(f"exports.yaml: fees: format {format_name} takes only `keep`, not {min(surplus)}.")
    choice = choose(source)
    head = Head(path.name)
    ledger = _read(path, choice, head, work)
    if head.is_late:  # what the prices refer to stands behind them
        ledger = _read(path, choice, head, work)
    rates = work / "rates.parquet"
    add_up(work, choice.statistic, rates)
    columns = {"procedure_code": name("code")} | (
        {"out_of_network_allowed": name("rate"), "usual_charge": name("charge")}
        if head.is_allowed
        else {"in_network_rate": name("rate")}
    )
    return Raw(
        path=path,
        format="tic-allowed-amounts" if head.is_allowed else "tic-in-network-rates",
        relation=f"read_parquet({quote(str(rates))})",
        columns=columns,
        first_row=1,
        place=name("place"),
        stands_for=name("prices"),
        malformed=ledger.list_set_aside,
    )


read_in_network_rates = partial(read_transparency, format_name="tic-in-network-rates")
read_allowed_amounts = partial(read_transparency, format_name="tic-allowed-amounts")


# ---- the file ----


def _read(path: Path, choice: Choice, head: Head, work: Path) -> Ledger:
    """Read a file once; ``head`` gets what stands beside the prices, unless it is known."""
    with ExitStack() as stack:
        amounts, items = (
            stack.enter_context((work / f"{n}.csv").open("w", encoding="ascii")) for n in ("amounts", "items")
        )
        ledger = Ledger(amounts, items)
        stream = stack.enter_context(open_stream(path, work))
        _refuse_others(stream.peek(), path)
        seen: set[str] = set()
        try:
            _walk(stream, choice, head, ledger, seen)
            is_cut = stream.peek() != ""
        except (CutError, DamagedError):
            is_cut = True
        if "reporting_structure" in seen:
            raise ExportError(
                f"{path.name} is a table of contents: take the in-network and allowed-amount files that it lists."
            )
        if not seen & PARTS.keys():
            raise ExportError(
                f"{path.name} is no in-network-rates or allowed-amounts file: it has neither in_network nor "
                "out_of_network; check that it was fetched whole."
            )
        if seen >= PARTS.keys():
            raise ExportError(f"{path.name} holds both in_network and out_of_network: take the payer's two files.")
        if is_cut:
            ledger.enter(iter((Price("truncated"),)))
            ledger.settle("", "")
    head.is_allowed = "out_of_network" in seen
    head.is_known = True
    head.verdicts.clear()  # they may depend on the day
    return ledger


def _refuse_others(first: str, path: Path) -> None:
    if first == "<":
        raise ExportError(f"{path.name} is XML or HTML: take the payer's JSON file.")
    if first != "{":
        what = "no JSON object" if first else "empty"
        raise ExportError(f"{path.name} is {what}, where an in-network-rates or allowed-amounts file is expected.")


def _walk(stream: Stream, choice: Choice, head: Head, ledger: Ledger, seen: set[str]) -> None:
    """Walk through the object that is the file."""
    for key in stream.members():
        is_array = stream.peek() == "["
        if key in PARTS and is_array:
            seen.add(key)
            judge = partial(judge_rate if key == "in_network" else judge_allowed, choice, head)
            for _ in stream.elements():
                _walk_item(stream, PARTS[key], judge, ledger)
        elif key == "provider_references" and is_array:
            head.is_late = head.is_late or ledger.place > 0
            for _ in stream.elements():
                given = _take(stream)  # also when it is known: faster than passing over it
                if not head.is_known:
                    take_in(given, choice, head)
        elif key == "last_updated_on" and not head.is_known:
            head.is_late = head.is_late or ledger.place > 0
            head.updated_on = day_of(_take(stream))
        elif key in PARTS:
            seen.add(key)
            ledger.enter(_refuse(stream))
            ledger.settle("", "")
        else:
            seen.add(key)
            stream.pass_over()


def _refuse(stream: Stream) -> Iterator[Price]:
    """Pass over what should be an array: one price that cannot be read, unless it is null."""
    if stream.peek() != "n":
        yield Price("malformed_record")
    stream.pass_over()


def _take(stream: Stream) -> Any:
    """Take a value, or pass over what is none."""
    try:
        return stream.value()[0]
    except DamagedError:
        stream.pass_over()
        return None


def _walk_item(stream: Stream, part: Part, judge: Judge, ledger: Ledger) -> None:
    """Read an item with its prices, and settle it."""
    depth, item, reason = stream.depth, dict[str, Any](), ""
    try:
        for key in stream.members():
            if key == part.name and stream.peek() == "[":
                for _ in stream.elements():
                    ledger.enter(_take_prices(stream, part, judge))
            elif key == part.name:
                ledger.enter(_refuse(stream))
            elif key in part.fields:
                given = word_of(_take(stream))
                reason = "repeated_key" if item.setdefault(key, given) != given else reason
            else:
                stream.pass_over()
    except DamagedError as error:
        ledger.enter(iter((Price(str(error)),)))
        ledger.settle("", str(error))
        if stream.depth > depth:
            stream.leave(depth)
        else:  # no object
            stream.pass_over()
        return
    except CutError:
        code, other = judge_item(item, part) if len(item) == len(part.fields) else ("", "truncated")
        ledger.settle(code, reason or other)
        raise
    code, other = judge_item(item, part)
    ledger.settle(code, reason or other)


def _take_prices(stream: Stream, part: Part, judge: Judge) -> Iterator[Price]:
    """Take an element of ``negotiated_rates`` or ``allowed_amounts`` with its prices."""
    try:
        given, text = stream.value()
    except DamagedError as error:
        reason = str(error)
        stream.pass_over()
    else:
        prices = given.get(part.prices) if isinstance(given, dict) else None
        # a parser keeps the last of two values of one key, so a price could be lost unseen
        if not isinstance(prices, list):
            reason = "malformed_record"
        elif text.count(part.amount) != len(prices) and has_key_twice(text):
            reason = "repeated_key"
        else:
            return judge(given)
    return iter((Price(reason),))
