"""Rows told at a glance get the values and the verdict that the rules give them."""

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import check, plain
from sca_analysis.readers.source import Raw, Source, name
from sca_analysis.tables import EXPORTS, Column, Kind, Table

DAY = date(2026, 6, 30)
EDGES = ["", " ", "\t", "\u00a0", "\ufeff", "\r", "x", "0", "-", "\u0301", "_"]
PAIRS = [("", ""), *((edge, "") for edge in EDGES[1:]), *(("", edge) for edge in EDGES[1:]), (" ", " ")]
WORDS = [
    "null",
    "None",
    "NA",
    "n/a",
    "#N/A",
    "nan",
    "NaT",
    "\\N",
    "N",
    "no",
    "name",
    "Nulls",
    "y",
    "true",
    "é",
    "ñ1",
    None,
]
DATES = ["2026-01-31", "2026-02-30", "20260131", "1899-12-31", "1900-01-01", "2026-07-01", "2026-6-1", "2026-1-010"]
DATES += ["2026/01/31", "9999-12-31", "10000-01-01", "2026-01-31 10:00:00", "0000-00-00", "infinity", "epoch", "-1-1-1"]
NUMBERS = ["1", "0", "-1", "1.5", "1.005", "1.0049", ".00000001", "0.00000001", "12345678.9", "999999999", "9999999999"]
NUMBERS += [
    "$1,067.00",
    "(5.00)",
    "1_000",
    "1e3",
    "1E-9",
    "+5",
    "5.",
    ".5",
    "0x10",
    "99999999999999999999",
    "1,5",
    "1.50",
]
# on both sides of what an amount, units and sessions may be
NUMBERS += ["9999999.99", "10000000", "9999999.999", "-9999999.99", "-10000000", "9.9e6", "1e7", "1e15", "99999999.0"]
NUMBERS += ["100000", "100000.001", "-100001", "1000000", "1000001", "-1000001", "999999999999999.999", "9" * 16]
CODES = [
    "1234567893",
    "1000000e03",
    "1000042949",
    "1234567890",
    "3234567893",
    "1234567893.0",
    "207Q00000X",
    "207q00000x",
]
CODES += [
    "12345",
    "01234",
    "1234",
    "12345-6789",
    "123456789",
    "paid",
    "Paid",
    "reversed",
    "in",
    "OUT",
    "M1",
    "a b",
    "a\nb",
]
ANY = DATES + NUMBERS + CODES + WORDS
PLAIN = {
    Kind.DATE: ["2026-01-31", "2025-12-01"],
    Kind.MONEY: ["100.00", "0", "85.5", "1067.25"],
    Kind.NPI: ["1234567893", "1000042949"],
    Kind.TAXONOMY: ["207Q00000X"],
    Kind.ZIP: ["04001"],
    Kind.COUNT: ["1", "2"],
    Kind.NUMBER: ["1", "1.5"],
}


def cells(column: Column) -> st.SearchStrategy[str | None]:
    """Good ones mostly, so that a row is plain now and then, and bad ones of every kind."""
    good = st.sampled_from(list(column.allowed) or PLAIN.get(column.kind, ["A1", "C000000001"]))
    bad = st.tuples(st.sampled_from(EDGES), st.sampled_from([w or "" for w in ANY]), st.sampled_from(EDGES))
    spoilt = st.one_of(
        st.sampled_from(ANY),
        bad.map("".join),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    )
    return st.integers(0, 29).flatmap(lambda n: spoilt if n == 0 else good)


def rows_of(table: Table) -> st.SearchStrategy[list[tuple[str | None, ...]]]:
    return st.lists(st.tuples(*map(cells, table.columns)), min_size=1, max_size=12)


def judge(table: Table, rows: list[tuple[str | None, ...]], source: Source) -> list[tuple[object, ...]]:
    """Stage rows of text and return the whole table."""
    cells = zip(*rows, strict=True)
    with duckdb.connect() as con:
        con.register("given", pa.table({n: pa.array(c, pa.string()) for n, c in zip(table.names, cells, strict=True)}))
        raw = Raw(path=Path("x.csv"), format="csv", relation="given", columns={n: name(n) for n in table.names})
        check.stage(con, table, raw, source, ["x.csv"], DAY)
        return con.execute(f"SELECT * FROM {check.staging(table)} ORDER BY rowid").fetchall()


@pytest.mark.parametrize("which", list(EXPORTS))
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_glance_and_the_rules_agree(which: str, data: st.DataObject) -> None:
    table = EXPORTS[which]
    rows = data.draw(rows_of(table))
    source = Source(
        path="x.csv",
        date_format=data.draw(st.sampled_from([None, "%Y-%m-%d", ["%m/%d/%Y", "%Y-%m-%d"]])),
        rules=data.draw(st.sampled_from([{}, {"npi_check_digit": "warn", "negative_amount": "warn"}])),
    )
    told = judge(table, rows, source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "is_plain", lambda *_: "false")
        assert told == judge(table, rows, source)


@pytest.mark.parametrize("which", ["claims", "directory", "members", "agreements"])
def test_every_odd_cell_in_an_otherwise_good_row(which: str) -> None:
    """One cell is spoilt at a time, so that nothing else keeps the row from being plain."""
    table = EXPORTS[which]
    good = [(c.allowed or PLAIN.get(c.kind, ["A1"]))[0] for c in table.columns]
    odd = [w if w is None else f"{a}{w}{b}" for w in ANY for a, b in PAIRS]
    rows = [(*good[:i], one, *good[i + 1 :]) for i in range(len(good)) for one in dict.fromkeys(odd)]
    told = judge(table, rows, Source(path="x.csv"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "is_plain", lambda *_: "false")
        assert told == judge(table, rows, Source(path="x.csv"))
