"""Spoiled words of people: exports.yaml and entered facts; see ``tests/bad_exports.py``."""

import os
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bad_exports import (
    BILLED,
    Case,
    Told,
    claims,
    put,
    write,
)

BASE = "claims: [{path: claims.csv}]\ndirectory: [{path: directory.csv}]\nperiod_end: 2026-06-30\n"
CONFIG = "exports.yaml"


# ---- exports.yaml ----


def _config(text: str | bytes, *says: str, **told: Any) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        put(write(folder) / CONFIG, text)
        return Told(says=says) if says else Told(**({"rows": len(claims()), "billed": BILLED} | told))

    return spoil


def _entry(entry: str, *says: str, **told: Any) -> Callable[[Path], Told]:
    """An exports.yaml whose entry of claims has one thing more."""
    return _config(BASE.replace("{path: claims.csv}", f"{{path: claims.csv, {entry}}}"), *says, **told)


def laughs(levels: int = 30) -> str:
    """Each alias stands for two of the one before: 2^30 words where they are written out."""
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels))]
    return "\n".join(lines) + "\n"


def _placed(make: Callable[[Path], Any], *says: str) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        make(write(folder) / CONFIG)
        return Told(says=says)

    return spoil


def config_cases() -> Iterable[Case]:
    nested = "{a: " * 3000 + "b" + "}" * 3000
    named: dict[str, Callable[[Path], Told]] = {
        "empty": _config("", CONFIG),
        "blank lines and comments": _config("# nothing\n\n", CONFIG),
        "a list": _config("- claims.csv\n- directory.csv\n", CONFIG),
        "a word": _config("claims\n", CONFIG),
        "a number": _config("42\n", CONFIG),
        "two documents": _config(BASE + "---\n" + BASE, CONFIG),
        "tabs for indentation": _config("claims:\n\t- path: claims.csv\n", CONFIG, "line 2"),
        "a colon too few": _config("claims [{path: claims.csv}]\ndirectory: x\n", CONFIG, "directory"),
        "a bracket too few": _config("claims: [{path: claims.csv}\ndirectory: []\n", CONFIG, "line 2"),
        "a quote that never ends": _config("claims: ['x\n" + BASE, CONFIG, "line"),
        "cp1252": _config("plan: {name: Assurée}\n".encode("cp1252") + BASE.encode(), CONFIG, "UTF-8"),
        "utf-16": _config(BASE.encode("utf-16"), CONFIG, "UTF-8"),
        "binary": _config(bytes(range(256)), CONFIG),
        "a NUL": _config(BASE + "plan: {name: 'a\0b'}\n", CONFIG),
        "a control character": _config(BASE + "plan: {name: a\x07b}\n", CONFIG),
        "a byte-order mark": _config("\ufeff" + BASE),
        "a lone surrogate in the plan": _config(BASE + 'plan: {name: "\\ud800"}\n', CONFIG),
        "a python object": _config(BASE + "plan: !!python/object/apply:os.system ['exit 1']\n", CONFIG),
        "a python name": _config(BASE + "plan: {name: !!python/name:os.system }\n"),
        "a billion laughs": _config(laughs() + BASE, CONFIG),
        "a billion laughs as paths": _config(laughs() + "claims: *a29\ndirectory: *a29\n", CONFIG),
        "an alias of nothing": _config("claims: *nowhere\n", CONFIG),
        "an alias of itself": _config("claims: &c [*c]\ndirectory: *c\n", CONFIG),
        "a merge": _config("x: &x {path: claims.csv}\n" + BASE, CONFIG, "x"),
        "nested 3,000 deep": _config(f"claims: {nested}\n" + "directory: []\n", CONFIG),
        "nested 20,000 deep": _config("claims: " + "[" * 20_000, CONFIG),
        "5 MB of comments": _config("# nothing\n" * 500_000 + BASE, CONFIG),
        "an unknown name": _config(BASE + "claim: []\n", CONFIG, "claim"),
        "a name twice": _config(BASE + "claims: [{path: directory.csv}]\n", CONFIG, "line 4"),
        "a key that is a list": _config(BASE + "? [a, b]\n: c\n", CONFIG),
        "no claims": _config("directory: [{path: directory.csv}]\n", CONFIG, "claims"),
        "claims of nothing": _config(BASE.replace("[{path: claims.csv}]", ""), CONFIG),
        "claims an empty list": _config(BASE.replace("[{path: claims.csv}]", "[]"), CONFIG, "claims"),
        "claims a word": _config(BASE.replace("[{path: claims.csv}]", "claims.csv"), CONFIG, "claims"),
        "claims a list of words": _config(BASE.replace("{path: claims.csv}", "claims.csv"), CONFIG, "claims"),
        "an entry without path": _config(BASE.replace("{path: claims.csv}", "{format: csv}"), CONFIG, "path"),
        "a path of nothing": _config(BASE.replace("path: claims.csv", "path: ''"), CONFIG, "path"),
        "a path that is a list": _config(BASE.replace("path: claims.csv", "path: [claims.csv]"), CONFIG, "path"),
        "a path that is absent": _config(BASE.replace("claims.csv", "clams.csv"), CONFIG, "clams.csv"),
        "a path out of the folder that is absent": _config(
            BASE.replace("claims.csv", "../../../x.csv"), CONFIG, "x.csv"
        ),
        "a path to a device": _config(BASE.replace("claims.csv", "/dev/zero"), "zero"),
        "a path to a terminal": _config(BASE.replace("claims.csv", "/dev/stdin"), "stdin"),
        "a path to this process": _config(BASE.replace("claims.csv", "/proc/self/mem"), "mem"),
        "a path to passwords": _config(BASE.replace("claims.csv", "/etc/passwd"), "passwd"),
        "a path to the folder": _config(BASE.replace("claims.csv", "."), "folder"),
        "a path with a NUL": _config(BASE.replace("claims.csv", '"a\\0b"'), CONFIG),
        "a path of 1,000 characters": _config(BASE.replace("claims.csv", "a" * 1000), CONFIG),
        "a path to a URL": _config(BASE.replace("claims.csv", "https://example.org/claims.csv"), CONFIG, "no file"),
        "a path to a bucket": _config(BASE.replace("claims.csv", "s3://bucket/*.csv"), CONFIG, "no file"),
        "a glob of nothing": _config(BASE.replace("claims.csv", "'lines/*.csv'"), CONFIG, "lines/*.csv"),
        "a glob of all": _config(BASE.replace("claims.csv", "'*'"), "directory.csv"),
        "a glob that is none": _config(BASE.replace("claims.csv", "'**a/[*'"), CONFIG),
        "a path of SQL": _config(BASE.replace("claims.csv", '"x\'); DROP TABLE t; --.csv"'), CONFIG, "no file"),
        "the same file twice": _config(
            BASE.replace("[{path: claims.csv}]", "[{path: claims.csv}, {path: claims.csv}]"),
            rows=2 * len(claims()),
            aside=len(claims()),
            reasons=("duplicate_row",),
        ),
        "files swapped": _config(
            "claims: [{path: directory.csv}]\ndirectory: [{path: claims.csv}]\n", "directory.csv", "claim_id"
        ),
        "a format nobody knows": _entry("format: xls", CONFIG, "xls"),
        "a format of another table": _entry("format: nppes", "claims"),
        "a format that the file is not": _entry("format: parquet", "claims.csv"),
        "a format that is a list": _entry("format: [csv]", CONFIG, "format"),
        "a column of nothing": _entry("columns: {claim_id: nowhere}", "claims.csv", "nowhere"),
        "an unknown column": _entry("columns: {claim_no: claim_id}", CONFIG, "claim_no"),
        "columns a list": _entry("columns: [claim_id]", CONFIG, "columns"),
        "a column of an empty list": _entry("columns: {claim_id: []}", CONFIG, "columns"),
        "a column of SQL": _entry("columns: {claim_id: 'claim_id\") FROM x; --'}", "claims.csv", "no column"),
        "a constant of an unknown column": _entry("constants: {x: y}", CONFIG, "x"),
        "a constant that breaks a rule": _entry(
            "constants: {service_date: soon}",
            aside=len(claims()),
            reasons=("not_a_date:service_date",),
            billed=Decimal(0),
        ),
        "a constant of SQL": _entry(
            'constants: {claim_status: "paid\'); DROP TABLE x; --"}',
            aside=len(claims()),
            reasons=("unknown_value:claim_status",),
            billed=Decimal(0),
        ),
        "values a list": _entry("values: {claim_status: [paid]}", CONFIG, "values"),
        "keep an unknown column": _entry("keep: {nowhere: x}", "claims.csv", "nowhere"),
        "keep of nothing": _entry(
            "keep: {claim_id: []}", aside=len(claims()), reasons=("not_selected:claim_id",), billed=Decimal(0)
        ),
        "a rule nobody knows": _entry("rules: {everything: warn}", CONFIG, "everything"),
        "a rule that cannot be relaxed": _entry("rules: {not_an_amount: warn}", CONFIG, "not_an_amount"),
        "a rule that is a number": _entry("rules: {npi_shape: 0}", CONFIG, "npi_shape"),
        "a delimiter of two characters": _entry("delimiter: ';;'", CONFIG, "delimiter"),
        "a delimiter that is a quote": _entry("delimiter: '\"'", CONFIG, "delimiter"),
        "a delimiter that is a letter": _entry("delimiter: a", "claims.csv"),
        "a delimiter beyond ASCII": _entry("delimiter: §", "claims.csv"),
        "an encoding nobody knows": _entry("encoding: utf-7000", CONFIG, "utf-7000"),
        "an encoding that is none": _entry("encoding: base64", CONFIG, "base64"),
        "an encoding that the file has not": _entry("encoding: utf-16", "claims.csv"),
        "rows skipped below zero": _entry("skip_rows: -1", CONFIG, "skip_rows"),
        "rows skipped beyond the end": _entry("skip_rows: 100000", "claims.csv"),
        "rows skipped without bound": _entry("skip_rows: 99999999999999999999", CONFIG, "skip_rows"),
        "rows skipped that are no number": _entry("skip_rows: two", CONFIG, "skip_rows"),
        "a date format of nothing": _entry("date_format: date", CONFIG, "date_format"),
        "a date format of SQL": _entry(
            'date_format: "%Y\'); DROP TABLE x; --"',
            aside=len(claims()),
            reasons=("not_a_date:service_date",),
            billed=Decimal(0),
        ),
        "a date format that is wrong": _entry(
            "date_format: '%d.%m.%Y'", aside=len(claims()), reasons=("not_a_date:service_date",), billed=Decimal(0)
        ),
        "a join of nothing": _entry("join: [{path: nowhere.csv, on: {claim_id: claim_id}}]", "nowhere.csv"),
        "a join on nothing": _entry("join: [{path: directory.csv, on: {}}]", CONFIG, "join"),
        "a join on an unknown column": _entry("join: [{path: directory.csv, on: {claim_id: x}}]", "directory.csv"),
        "a join that multiplies": _entry("join: [{path: claims.csv, on: {claim_status: claim_status}}]", "repeats"),
        "a period that ends on no day": _config(BASE.replace("2026-06-30", "2026-06-31"), CONFIG, "period_end"),
        "a period that ended long ago": _config(
            BASE.replace("2026-06-30", "1900-01-01"),
            aside=len(claims()),
            reasons=("date_in_future:service_date",),
            billed=Decimal(0),
        ),
        "a plan that is a list": _config(BASE + "plan: [x]\n", CONFIG, "plan"),
        "a plan of an unknown kind": _config(BASE + "plan: {kind: church}\n", CONFIG, "kind"),
        "a code set that is absent": _config(BASE + "reference: {taxonomy: nucc.csv}\n", CONFIG, "nucc.csv"),
        "a code set that is none": _config(BASE + "reference: {taxonomy: claims.csv}\n", "claims.csv", "NUCC"),
        "a folder in its place": _placed(Path.mkdir, CONFIG),
        "a pipe in its place": _placed(os.mkfifo, CONFIG),
        "a device in its place": _placed(lambda p: p.symlink_to("/dev/zero"), CONFIG),
        "a broken link in its place": _placed(lambda p: p.symlink_to("nowhere"), CONFIG),
        "a link to itself in its place": _placed(lambda p: p.symlink_to(p), CONFIG),
    }
    for name, spoil in named.items():
        yield Case("exports.yaml", name, spoil)


# ---- entered facts ----


def _facts(text: str | bytes, *says: str, rows: int = 0, aside: int = 0, **told: Any) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        put(
            write(folder, "agreements") / CONFIG, BASE + "agreements: {path: agreements.csv}\nentered: {path: e.yaml}\n"
        )
        put(folder / "e.yaml", text)
        return Told(says=says) if says else Told(path="e.yaml", rows=rows, aside=aside, billed=BILLED, **told)

    return spoil


def fact_cases() -> Iterable[Case]:
    head = "case_id: SCA000001\nentered_by: the clinic\nentered_on: 2026-06-01\n"
    named = {
        "empty": _facts("", rows=0),
        "a list": _facts("- a\n- b\n", rows=1, aside=1, reasons=("malformed_record",)),
        "no facts": _facts(head, rows=1, aside=1),
        "facts a list": _facts(head + "facts: [setback]\n", rows=1, aside=1),
        "facts a word": _facts(head + "facts: setback\n", rows=1, aside=1),
        "a fact nobody knows": _facts(
            head + "facts: {shoe_size: 44}\n", rows=1, aside=1, reasons=("unknown_value:fact",)
        ),
        "a value that does not fit": _facts(head + "facts: {setback: perhaps, w9: yes}\n", rows=2, aside=1),
        "a value that is a list": _facts(head + "facts: {setback: [yes]}\n", rows=1, aside=1),
        "a value that is nested": _facts(head + "facts: {setback: {value: {value: yes}}}\n", rows=1, aside=1),
        "no case": _facts("facts: {setback: yes}\nentered_by: x\nentered_on: 2026-06-01\n", rows=1, aside=1),
        "nobody who says so": _facts("case_id: S\nentered_on: 2026-06-01\nfacts: {w9: yes}\n", rows=1, aside=1),
        "a fact twice": _facts(head + "facts:\n  w9: yes\n  w9: no\n", "e.yaml", "line"),
        "amounts of infinity": _facts(head + "facts: {income: .inf, rate_asked: .nan}\n", rows=2, aside=2),
        "a million": _facts("x" * 1_000_001, "e.yaml"),
        "nested 20,000 deep": _facts("a: " + "[" * 20_000, "e.yaml"),
        "a billion laughs": _facts(
            "".join(
                [
                    head,
                    "x0: &x0 [y, y]\n",
                    *(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 30)),
                    "facts: *x29\n",
                ]
            ),
            rows=1,
            aside=1,
        ),
        "an alias of itself": _facts(head + "facts: &f {setback: *f}\n", "e.yaml", "line 4"),
        "a python object": _facts(
            head + "facts: {license: !!python/object/apply:os.system ['exit 1']}\n", rows=1, aside=1
        ),
        "tabs": _facts(head + "facts:\n\tw9: yes\n", "e.yaml", "line 5"),
        "cp1252": _facts("entered_by: José\n".encode("cp1252"), "e.yaml", "UTF-8"),
        "a NUL": _facts(head + "facts: {license: 'a\0b'}\n", "e.yaml"),
        "a lone surrogate": _facts(head + 'facts: {license: "\\ud800"}\n', "e.yaml", "line 4"),
    }
    for name, spoil in named.items():
        yield Case("entered facts", name, spoil)
