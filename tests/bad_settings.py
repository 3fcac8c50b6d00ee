"""Spoiled words of people: exports.yaml, entered facts, case files of ``sca quote``, and rows that make no sense.

See ``tests/bad_exports.py``. A bad case file is a function that writes it and returns its path; all are refused, but
for those whose ``Quoted.fine`` says that they are odd and still sound.
"""

# ruff: noqa: RUF001 - characters that look like others are what is tried

import copy
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bad_exports import (
    BILLED,
    GOOD,
    MEMBER,
    Case,
    Rows,
    Told,
    agreements,
    another,
    benefits,
    claims,
    directory,
    entered,
    fees,
    members,
    put,
    write,
)
from tests.folders import npi

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


def _laughs(levels: int = 30) -> str:
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
        "a billion laughs": _config(_laughs() + BASE, CONFIG),
        "a billion laughs as paths": _config(_laughs() + "claims: *a29\ndirectory: *a29\n", CONFIG),
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


# ---- rows that make no sense ----


def _sense(*also: str, told: Mapping[str, Any] | None = None, **changed: Rows) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        write(folder, *also, **changed)
        given = dict(told or {})
        path = given.get("path", "claims.csv")
        table = path.removesuffix(".csv")
        rows = len(changed[table] if table in changed else GOOD[table]())
        return Told(**({"rows": rows, "billed": BILLED} | given))

    return spoil


def _lines(**cells: str) -> Rows:
    return [row | cells for row in claims()]


def sense_cases() -> Iterable[Case]:
    every = ("members", "benefits", "fees", "agreements", "entered")
    huge = "9999999999999999.99"
    vast = [another("claims", n, billed_amount=huge, service_date=f"2026-05-{n + 1:02d}") for n in range(1, 21)]
    overlapping = [*members(), members()[0] | {"effective_date": "2021-01-01"}, members()[0] | {"network_id": "N2"}]
    named: dict[str, Callable[[Path], Told]] = {
        "coverage spans that overlap": _sense(members=overlapping),
        "coverage of nobody with claims": _sense(members=[another("members")]),
        "coverage that ended before every claim": _sense(
            members=[m | {"termination_date": "2021-01-01"} for m in members()]
        ),
        "homes at ZIPs that do not exist": _sense(members=[m | {"zip": "00000", "county_fips": ""} for m in members()]),
        "homes in counties that do not exist": _sense(members=[m | {"county_fips": "99999"} for m in members()]),
        "homes in the sea": _sense(members=[m | {"latitude": "0", "longitude": "0"} for m in members()]),
        "homes at a latitude without longitude": _sense(members=[m | {"latitude": "44.3"} for m in members()]),
        "births in the future": _sense(members=[m | {"birth_year": "2999"} for m in members()]),
        "births below zero": _sense(members=[m | {"birth_year": "-5"} for m in members()]),
        "births beyond counting": _sense(members=[m | {"birth_year": "999999999999999"} for m in members()]),
        "listings that all ended": _sense(directory=[d | {"termination_date": "2020-06-01"} for d in directory()]),
        "listings at ZIPs that do not exist": _sense(directory=[d | {"zip": "99999"} for d in directory()]),
        "listings of codes that do not exist": _sense(
            directory=[d | {"taxonomy_code": "999999999X"} for d in directory()]
        ),
        "claims of codes that do not exist": _sense(claims=_lines(taxonomy_code="999999999X")),
        "claims all denied": _sense(*every, claims=_lines(claim_status="denied")),
        "claims all reversed": _sense(*every, claims=_lines(claim_status="reversed")),
        "claims all on one day in 1900": _sense(claims=_lines(service_date="1900-01-01")),
        "claims of one member and provider": _sense(claims=_lines(member_id=f"{MEMBER}01", provider_npi=npi(9))),
        "claims that bill nothing": _sense(*every, claims=_lines(billed_amount="0"), told={"billed": Decimal(0)}),
        "claims that allow more than they bill": _sense(claims=_lines(allowed_amount="99999.00")),
        "units of nothing": _sense(*every, claims=_lines(units="0")),
        "units below zero": _sense(*every, claims=_lines(units="-3")),
        "units beyond counting": _sense(
            *every,
            claims=_lines(units="999999999999999.999"),
            told={"aside": len(claims()), "reasons": ("too_large:units",), "billed": Decimal(0)},
        ),
        "amounts at the end of what fits": _sense(
            *every, claims=[*claims(), *vast], told={"aside": 20, "reasons": ("too_large:billed_amount",)}
        ),
        "amounts of 1e15 and many units": _sense(
            *every,
            claims=_lines(billed_amount="1e15", units="1e9"),
            told={"aside": len(claims()), "billed": Decimal(0)},
        ),
        "fees at the end of what fits": _sense(
            *every[:2],
            "agreements",
            fees=[
                fees()[0]
                | dict.fromkeys(("in_network_rate", "medicare_rate", "out_of_network_allowed", "usual_charge"), huge)
            ],
            told={"path": "fees.csv", "aside": 1},
        ),
        "fees of nothing": _sense(
            *every[:2], "agreements", fees=[fees()[0] | {"in_network_rate": "0", "usual_charge": "0"}]
        ),
        "fees of no procedure in claims": _sense(*every[:2], fees=[fees()[0] | {"procedure_code": "00000"}]),
        "benefits at the end of what fits": _sense(
            "members",
            "fees",
            benefits=[benefits()[0] | {"in_network_deductible": huge, "out_of_network_out_of_pocket_max": huge}],
            told={"path": "benefits.csv", "aside": 1},
        ),
        "benefits of another network": _sense("members", "fees", benefits=[benefits()[0] | {"network_id": "N9"}]),
        "benefits of the year 1": _sense("members", "fees", benefits=[benefits()[0] | {"plan_year": "1"}]),
        "benefits beyond counting": _sense("members", "fees", benefits=[benefits()[0] | {"plan_year": "999999999999"}]),
        "benefits with a maximum below the deductible": _sense(
            "members", "fees", benefits=[benefits()[0] | {"in_network_out_of_pocket_max": "1.00"}]
        ),
        "agreements with members nobody knows": _sense(
            "members", "fees", "benefits", agreements=[agreements()[0] | {"member_id": f"{MEMBER}99"}]
        ),
        "agreements decided before they were asked for": _sense(
            "members", agreements=[agreements()[0] | {"decision_date": "2026-01-01"}]
        ),
        "agreements without a rate": _sense(
            "members", "fees", "benefits", agreements=[agreements()[0] | {"agreed_rate": ""}]
        ),
        "agreements at the end of what fits": _sense(
            "members",
            "fees",
            "benefits",
            agreements=[agreements()[0] | {"agreed_rate": huge, "requested_rate": huge}],
            told={"path": "agreements.csv", "aside": 1},
        ),
        "agreements of sessions beyond counting": _sense(
            "members",
            "fees",
            "benefits",
            agreements=[agreements()[0] | {"sessions_authorized": "999999999999999"}],
            told={"path": "agreements.csv", "aside": 1, "reasons": ("too_large:sessions_authorized",)},
        ),
        "agreements of sessions below zero": _sense(
            "members", "fees", "benefits", agreements=[agreements()[0] | {"sessions_authorized": "-4"}]
        ),
        "agreements from 1900 to 9999": _sense(
            "members",
            "fees",
            "benefits",
            agreements=[agreements()[0] | {"effective_date": "1900-01-01", "expiry_date": "9999-12-31"}],
        ),
        "agreements of a ground nobody knows": _sense("members", agreements=[agreements()[0] | {"ground": "because"}]),
        "facts of cases nobody knows": _sense("agreements", entered=[entered()[0] | {"case_id": "NOWHERE"}]),
        "an income beyond counting": _sense(
            "agreements", "members", "benefits", "fees", entered=[entered()[0] | {"fact": "income", "value": huge}]
        ),
        "standards of nothing": _sense(told={"says": ("standards.csv", "empty")}, standards=[]),
        "standards below zero": _sense(
            "members",
            told={"path": "standards.csv", "rows": 1, "aside": 1},
            standards=[{"specialty": "Psychiatry", "county_type": "Metro", "max_miles": "-1", "required_share": "0.9"}],
        ),
        "standards of every mile": _sense(
            "members",
            told={"path": "standards.csv", "rows": 1},
            standards=[{"specialty": "Psychiatry", "county_type": "Metro", "max_miles": "1e14", "required_share": "1"}],
        ),
        "standards of a specialty nobody knows": _sense(
            "members",
            told={"path": "standards.csv", "rows": 1},
            standards=[{"specialty": "Alchemy", "county_type": "Metro", "max_miles": "10", "required_share": "0.9"}],
        ),
        "counties of a type nobody knows": _sense(
            "members",
            told={"path": "counties.csv", "rows": 1, "aside": 1},
            counties=[{"county_fips": "23011", "county_name": "Kennebec", "state": "ME", "county_type": "Huge"}],
        ),
        "all claims set aside": _sense(
            claims=_lines(service_date="soon"),
            told={"aside": len(claims()), "reasons": ("not_a_date:service_date",), "billed": Decimal(0)},
        ),
        "all listings set aside": _sense(
            directory=[d | {"npi": "1"} for d in directory()],
            told={"path": "directory.csv", "aside": 3, "reasons": ("npi_shape:npi",)},
        ),
        "all coverage set aside": _sense(
            members=[m | {"zip": ""} for m in members()],
            told={"path": "members.csv", "aside": 4, "reasons": ("missing:zip",)},
        ),
    }
    for name, spoil in named.items():
        yield Case("makes no sense", name, spoil)


# ---- case files of `sca quote` ----

SOUND: dict[str, Any] = {
    "name": "spoiled",
    "billed_per_unit": "200.00",
    "in_network_rate": "110.00",
    "out_of_network_allowed": "140.00",
    "visits": [{"date": "2026-01-06", "units": 1}, {"date": "2026-01-13", "units": 1}],
    "agreement": {
        "rate": "180.00",
        "sessions_authorized": 10,
        "effective_date": "2026-01-01",
        "expiry_date": "2026-12-31",
    },
    "benefits": {
        "in_network": {"deductible": "500.00", "coinsurance": "0.20", "out_of_pocket_max": "3000.00"},
        "out_of_network": {"deductible": "1500.00", "coinsurance": "0.40", "out_of_pocket_max": "8000.00"},
    },
    "collection_rate": {"cost_share": "1", "balance_bill": "1"},
}


@dataclass(frozen=True)
class Quoted:
    """A case file: how it is written, and whether it is sound all the same."""

    name: str
    write: Callable[[Path], Path]
    fine: bool = False


def _file(content: str | bytes, suffix: str = "json") -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        path = folder / f"case.{suffix}"
        put(path, content)
        return path

    return spoil


def _changed(where: str, value: Any) -> str:
    """The sound case as JSON, one field of which is this; ``raw:`` begins JSON that no Python value gives."""
    content = copy.deepcopy(SOUND)
    *parents, last = where.split(".")
    at: Any = content
    for one in parents:
        at = at[int(one)] if isinstance(at, list) else at[one]
    at[int(last) if isinstance(at, list) else last] = "§" if str(value).startswith("raw:") else value
    text = json.dumps(content)
    return text.replace('"§"', str(value)[4:]) if str(value).startswith("raw:") else text


_FIELDS: dict[str, tuple[Any, ...]] = {
    "billed_per_unit": (
        None,
        True,
        [],
        {},
        "",
        "much",
        "-1",
        "raw:NaN",
        "raw:Infinity",
        "raw:-Infinity",
        "raw:1e400",
        "raw:1e999999999",
        "9" * 5000,
        "raw:" + "9" * 5000,
        "1e3",
        "1,000",
        "0x1F",
        "１００",
        "raw:100.001",
        "raw:-0.01",
        {"90837": "raw"},
        {"": "1"},
        {" ": "1"},
    ),
    "visits": (None, [], {}, "x", 7, [None], [[]], ["2026-01-06"], [{}]),
    "visits.0.date": (
        None,
        46027,
        "46027",
        "1/2/26",
        "2026-02-30",
        "0000-00-00",
        "20260106",
        "２０２６-01-06",
        ["2026-01-06"],
        "2026-01-06T10:00",
    ),
    "visits.0.units": (None, True, 0, -1, "-1", "raw:NaN", "raw:1e400", "raw:1e-400", 1001, "raw:0.0001", "one", []),
    "agreement": (None, [], "x", {}),
    "agreement.rate": (None, "-1", "raw:NaN", {}, {"90837": "-1"}),
    "agreement.sessions_authorized": (-1, "raw:1.5", "10", True, "raw:1e400", 10**12),
    "agreement.expiry_date": ("2025-12-31", "never", 0),
    "benefits": (None, [], {"in_network": None}),
    "benefits.in_network": (None, {}, {"deductible": "1"}),
    "benefits.in_network.coinsurance": (None, "1.01", "-0.1", "20%", "raw:NaN", "raw:0.00000001"),
    "benefits.in_network.copay": ("-1", "free"),
    "benefits.plan_year_start": ("02-30", "1-1", 101, None),
    "collection_rate": (None, {}, {"cost_share": "1"}),
    "collection_rate.cost_share": ("2", "-1", "raw:Infinity", None),
}


def quote_cases() -> Iterable[Quoted]:
    sound = json.dumps(SOUND)
    for where, values in _FIELDS.items():
        for value in values:
            shown = str(value)[:24]
            yield Quoted(f"{where} {shown} of {len(str(value))}", _file(_changed(where, value)))
    deep = "[" * 20_000
    yaml_case = json.dumps(SOUND).replace('"2026-01-06"', "2026-01-06")  # JSON is YAML
    named: dict[str, str | bytes] = {
        "empty": "",
        "blank": " \n\n",
        "null": "null",
        "a number": "7",
        "a list": "[]",
        "text": '"case"',
        "an object of nothing": "{}",
        "cut": sound[: len(sound) // 2],
        "a comma too many": sound.replace("}", ",}", 1),
        "comments": "// a case\n" + sound,
        "a name twice": sound.replace('"name"', '"in_network_rate": "1.00", "name"', 1),
        "a name nobody knows": sound.replace('"name"', '"nom"', 1),
        "a name with a homoglyph": sound.replace('"visits"', '"visіts"', 1),
        "a name of several lines": sound.replace('"name"', '"na\\nme\\u2028: x"', 1),
        "a name of 1 MB": sound.replace('"name"', f'"{"n" * 1_000_000}"', 1),
        "a name that is half a character": sound.replace('"name"', '"\\ud800"', 1),
        "a code that is half a character": sound.replace('"units"', '"procedure_code": "\\ud800", "units"', 1),
        "a code of several lines without a rate": sound.replace(
            '"units"', '"procedure_code": "a\\nb", "units"'
        ).replace('"200.00"', '{"90837": "1"}', 1),
        "300,000 names": "{" + ",".join(f'"n{n}": 0' for n in range(300_000)) + "}",
        "an expected and more": json.dumps({"case": SOUND, "expected": {}, "more": 1}),
        "20,000 deep": deep,
        "20,000 deep within": sound.replace('"spoiled"', deep + "]" * 20_000),
        "1,500 deep within": sound.replace('"spoiled"', "[" * 1500 + "]" * 1500),
        "utf-16": sound.encode("utf-16"),
        "cp1252": sound.replace("spoiled", "Anaïs").encode("cp1252"),
        "NUL bytes": bytes(1000),
        "a lone surrogate": sound.replace("spoiled", "\\ud800").replace("}", ', "x": 1}', 1),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "two cases": sound + "\n" + sound,
    }
    for name, content in named.items():
        yield Quoted(name, _file(content))
    written: dict[str, str] = {
        "yaml with tabs": "name: x\n\tvisits: []\n",
        "yaml with a python object": yaml_case.replace('"spoiled"', "!!python/object/apply:os.system ['exit 1']"),
        "yaml of a billion laughs": _laughs() + yaml_case.replace('"spoiled"', "*a29"),
        "yaml with an alias of itself": "&a [*a]",
        "yaml 20,000 deep": deep,
        "yaml with a name twice": "name: a\nname: b\n",
        "yaml with a list for a name": "? [a, b]\n: c\n",
        "yaml with a mapping for a name": "? {a: b}\n: c\n",
        "yaml with .nan": yaml_case.replace('"200.00"', ".nan"),
        "yaml with a number of base 60": yaml_case.replace('"200.00"', "3:20.00"),
        "yaml with a merge of nothing": "<<: 7\n",
        "yaml with a day that is none": yaml_case.replace("2026-01-06", "2026-02-30"),
        "yaml of two documents": "a: 1\n---\nb: 2\n",
        "yaml with an integer of 5,000 digits": f"name: {'9' * 5000}\n",
        "yaml with a set": "!!set {a, b}\n",
        "yaml with bytes that are none": "name: !!binary '!!!'\n",
        "yaml with a time that is none": "name: 2026-01-01 99:99:99\n",
        "yaml with a mapping in a pair list": "!!pairs [a, b]\n",
    }
    for name, text in written.items():
        yield Quoted(name, _file(text, "yaml"))
    yield Quoted("a folder", lambda folder: _made(folder / "case.json", Path.mkdir))
    yield Quoted("a pipe", lambda folder: _made(folder / "case.json", os.mkfifo))
    yield Quoted("a device", lambda folder: _made(folder / "case.json", lambda p: p.symlink_to("/dev/zero")))
    yield Quoted("a broken link", lambda folder: _made(folder / "case.json", lambda p: p.symlink_to("nowhere")))
    yield Quoted("nothing", lambda folder: folder / "case.json")
    yield Quoted("a path with a NUL", lambda folder: folder / "ca\0se.json")
    yield Quoted("a path of 5,000 characters", lambda folder: folder / ("c" * 5000))
    yield Quoted("60 MB", _file('{"name": "' + "x" * 60_000_000 + '"}'))
    yield Quoted("a byte-order mark", _file("\ufeff" + sound), fine=True)
    yield Quoted("the largest of all", _file(_largest()), fine=True)
    yield Quoted("a name of markup", _file(sound.replace("spoiled", "<script>alert(1)</script>")), fine=True)


def _made(path: Path, make: Callable[[Path], Any]) -> Path:
    make(path)
    return path


def _largest() -> str:
    """The most that a case may hold, at which no amount may overflow."""
    content = copy.deepcopy(SOUND)
    content |= dict.fromkeys(("billed_per_unit", "in_network_rate", "out_of_network_allowed"), "9999999.99")
    content["agreement"]["rate"] = "9999999.99"
    content["visits"] = [{"date": f"2026-01-{d:02d}", "units": 1000} for d in range(1, 29)]
    return json.dumps(content)
