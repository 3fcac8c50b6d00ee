"""Every rule: which row breaks it, which does not, and that what is shown of it never holds a value."""

import csv
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis import check, rules
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers.source import Source
from sca_analysis.tables import EXPORTS, SET_ASIDE, Column, Kind

NPI, OTHER = "1234567893", "1245319599"
CLAIM = {
    "claim_id": "C1",
    "line_number": "1",
    "claim_version": "1",
    "member_id": "M1",
    "provider_npi": NPI,
    "taxonomy_code": "2084P0800X",
    "service_date": "2026-01-05",
    "procedure_code": "90837",
    "units": "1",
    "billed_amount": "200.00",
    "allowed_amount": "150.00",
    "paid_amount": "100.00",
    "claim_status": "",
    "network_status": "",
    "member_zip": "02138",
}
LISTING = {
    "npi": NPI,
    "provider_name": "None",  # a name, not a blank
    "taxonomy_code": "2084P0800X",
    "network_id": "N",
    "zip": "02138",
    "latitude": "42.4",
    "effective_date": "2020-01-01",
    "termination_date": "",
    "accepting_new_patients": "",
}
MEMBER = {"member_id": "M1", "zip": "02138", "county_fips": "25017", "network_id": "N", "birth_year": "1980"}
BENEFIT = {"network_id": "N", "plan_year": "2026", "plan_year_start": "", "in_network_coinsurance": "0.2"}
GOOD = {"claims": CLAIM, "directory": LISTING, "members": MEMBER, "benefits": BENEFIT}


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def opened(tmp_path, table, rows, **entry):
    """Exports whose ``table`` holds a good row changed in these ways, one after another."""
    used = {"claims", "directory", table}
    for name in used:
        write(tmp_path / f"{name}.csv", [GOOD[name] | r for r in rows] if name == table else [GOOD[name]])
    config = {name: [{"path": f"{name}.csv"} | (entry if name == table else {})] for name in used}
    (tmp_path / "exports.yaml").write_text(yaml.safe_dump({"period_end": "2026-06-30"} | config))
    return Exports.open(tmp_path)


def aside(exports):
    found = exports.set_aside
    return dict(zip(found["row"], found["reason"], strict=True))


def findings(exports, table="claims"):
    found = exports.findings[(exports.findings["table"] == table) & (exports.findings["path"] != "")]
    return {(f.level, f.rule, f.column): f.rows for f in found.itertuples()}


def query(exports, sql):
    return exports.connection.execute(sql).fetchall()


#: rule: table, cells that break it, cells that nearly do
STRICT = {
    "missing": (
        "claims",
        [{"member_id": b} for b in ("", "  ", "NULL", "n/a", "#N/A", "NaN")],
        [{"member_id": "nan1"}],
    ),
    "not_a_date": (
        "claims",
        [
            {"service_date": d}
            for d in ("2026-02-30", "06/01/2026", "45292", "2026-06", "today", "infinity", "20261301")
        ],
        [{"service_date": d} for d in ("2026-01-05T23:30:00Z", "2026-01-05 10:00:00", "20260105", "2026-1-5")],
    ),
    "date_out_of_range": (
        "claims",
        [{"service_date": d} for d in ("0015-01-01", "15-01-01", "1899-12-31", "10000-01-01")],
        [{"service_date": "1900-01-01"}],
    ),
    "date_in_future": (
        "claims",
        [{"service_date": "2026-07-01"}, {"service_date": "2999-01-01"}],
        [{"service_date": "2026-06-30"}],
    ),
    "not_an_amount": (
        "claims",
        [
            {"billed_amount": a}
            for a in (
                "1.234,50",
                "inf",
                "-inf",
                "1e400",
                "12,5",
                "12,34,567",
                "(12",
                "12)",
                "--5",
                "1_000",
                "USD 5",
                "five",
                "0x10",
                "1.2.3",
                "99999999999999999.99",
                "$99,999,999,999,999,999.99",
                "٣",
            )
        ],
        [{"billed_amount": a} for a in ("$1,234.50", "1e3", "+5", ".5", "5.", "9999999.99", "$9,999,999.99")],
    ),
    "too_large": (
        "claims",
        [
            *({"billed_amount": a} for a in ("10000000.00", "9999999.995", "$9,999,999,999,999,999.99", "-1e15")),
            *({"allowed_amount": a} for a in ("9999999999999999.99", "(10,000,000)")),
            *({"units": n} for n in ("100000.001", "1e9", "-100001", "999999999999999.999")),
        ],
        [{"billed_amount": "9999999.99"}, {"billed_amount": "9999999.994"}, {"units": "100000"}],
    ),
    "not_a_number": (
        "claims",
        [{"units": "two"}, {"units": "1_0"}, {"claim_version": "1.5"}, {"claim_version": "1e400"}, {"units": "inf"}],
        [{"units": "1.5"}, {"claim_version": "2.0"}],
    ),
    "not_yes_no": (
        "directory",
        [{"accepting_new_patients": "maybe"}, {"accepting_new_patients": "2"}],
        [{"accepting_new_patients": a} for a in ("Y", "No", "1.0", "f")],
    ),
    "not_a_month_day": (
        "benefits",
        [{"plan_year_start": d} for d in ("02-29", "13-01", "7/1", "01-01 12:00", "July")],
        [{"plan_year_start": "07-01"}],
    ),
    "unknown_value": (
        "claims",
        [{"claim_status": "P"}, {"network_status": "INN"}],
        [{"claim_status": "PAID"}, {"network_status": "Out"}],
    ),
    "npi_shape": (
        "claims",
        [{"provider_npi": n} for n in ("123456789", "12345678931", "3234567893", "1.234567893E9", "12345-6789")],
        [{"provider_npi": f"{NPI}.0"}],
    ),
    "npi_check_digit": ("claims", [{"provider_npi": "1234567894"}], [{"provider_npi": OTHER}]),
    "taxonomy_shape": (
        "claims",
        [{"taxonomy_code": t} for t in ("2084P0800", "2084P0800Y", "2084P08 0X")],
        [{"taxonomy_code": "2084p0800x"}],
    ),
    "zip_shape": (
        "claims",
        [{"member_zip": z} for z in ("12", "123456", "K1A 0B6", "02138-12")],
        [{"member_zip": "2138"}],
    ),
    "fips_shape": ("members", [{"county_fips": "017"}, {"county_fips": "Essex"}], [{"county_fips": "1001"}]),
    "negative_amount": ("claims", [{"paid_amount": "-1.00"}, {"billed_amount": "(12.00)"}], [{"paid_amount": "-0"}]),
    "ends_before_start": (
        "directory",
        [{"termination_date": "2019-12-31"}],
        [{"termination_date": "2020-01-01"}],
    ),
    "duplicate_row": ("members", [{"member_id": "M2"}], []),
    "duplicate_key": ("members", [{"member_id": "M2", "zip": "02139"}], []),
    "not_selected": ("members", [{"member_id": "M3"}], []),
}
NOTED = {
    "allowed_above_billed": ({"allowed_amount": "200.01"}, {"allowed_amount": "200.00"}),
    "units_not_positive": ({"units": "0"}, {"units": "0.001"}),
    "zip_repaired": ({"member_zip": "2138"}, {"member_zip": "02138-1234"}),
    "npi_repaired": ({"provider_npi": f"{NPI}.0"}, {}),
    "amount_rounded": ({"billed_amount": "200.005"}, {"billed_amount": "200.500"}),
    "amount_cleaned": ({"billed_amount": "$1,200"}, {"billed_amount": "1200"}),
}
# these have tests of their own, below or in test_entered
LATER = {"reversal_inferred", "superseded", "negative_number", "value_does_not_fit"}


def test_every_rule_has_a_test():
    assert set(STRICT) | set(NOTED) | LATER == set(rules.MEANINGS)


@pytest.mark.parametrize("rule", [r for r in STRICT if not r.startswith(("duplicate", "not_selected"))])
def test_rows_that_break_a_rule_are_set_aside(tmp_path, rule):
    table, bad, good = STRICT[rule]
    key = {"claims": "line_number", "directory": "location_id", "members": "network_id", "benefits": "network_id"}[
        table
    ]
    numbered = [{key: str(n)} | cells for n, cells in enumerate([*bad, *good])]
    exports = opened(tmp_path, table, numbered)
    reasons = aside(exports)
    assert {r: reason.partition(":")[0] for r, reason in reasons.items()} == {2 + n: rule for n in range(len(bad))}
    assert [reasons[2 + n].partition(":")[2] for n in range(len(bad))] == [next(iter(cells)) for cells in bad]
    assert exports.set_aside["column"].tolist() == [next(iter(cells)) for cells in bad]
    for shown, cells in zip(exports.set_aside["value_class"], bad, strict=True):
        [value] = cells.values()
        assert value.strip() in ("", "2") or value not in shown


@pytest.mark.parametrize("rule", NOTED)
def test_findings_count_accepted_rows(tmp_path, rule):
    broken, fine = NOTED[rule]
    exports = opened(tmp_path, "claims", [broken, fine | {"line_number": "2"}, {"line_number": "3"}])
    assert aside(exports) == {}
    [(key, count)] = [(k, v) for k, v in findings(exports).items() if k[1] == rule]
    assert count == 1
    assert key[2] in broken
    [of_rows] = exports.findings.loc[exports.findings["rule"] == rule, "of_rows"]
    assert of_rows == 3


def test_duplicates_keep_the_first(tmp_path):
    rows = [{}, {"zip": "02139"}, {}, {"zip": "02139"}, {"member_id": "M2"}, {"network_id": ""}, {"network_id": "NULL"}]
    exports = opened(tmp_path, "members", rows)
    assert aside(exports) == {3: "duplicate_key", 4: "duplicate_row", 5: "duplicate_key", 8: "duplicate_row"}
    assert query(exports, "SELECT zip FROM members") == [("02138",)] * 3


def test_duplicates_across_files(tmp_path):
    opened(tmp_path, "members", [{}, {"member_id": "M2"}])
    write(tmp_path / "more.csv", [MEMBER | {"member_id": "M3"}, MEMBER | {"member_id": "M2"}])
    config = yaml.safe_load((tmp_path / "exports.yaml").read_text())
    config["members"].append({"path": "more.csv"})
    (tmp_path / "exports.yaml").write_text(yaml.safe_dump(config))
    exports = Exports.open(tmp_path)
    assert exports.set_aside[["path", "row", "reason"]].to_numpy().tolist() == [["more.csv", 3, "duplicate_row"]]
    counts = exports.files.set_index("path")[["rows_read", "accepted", "set_aside"]]
    assert counts.loc["members.csv"].tolist() == [2, 2, 0]
    assert counts.loc["more.csv"].tolist() == [2, 1, 1]


def test_not_selected_rows_are_not_judged(tmp_path):
    exports = opened(tmp_path, "members", [{}, {"zip": "x", "network_id": "Z"}], keep={"network_id": "N"})
    assert aside(exports) == {3: "not_selected:network_id"}


def luhn(digits):
    """The check as ISO/IEC 7812 words it, over the prefix and the ten digits."""
    total = 0
    for place, digit in enumerate(reversed("80840" + digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return total % 10 == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.from_regex(r"[0-9]{10}", fullmatch=True), min_size=1, max_size=50))
def test_check_digit_as_iso_7812_has_it(npis):
    broken = rules._luhn_fails("n")
    found = duckdb.execute(f"SELECT {broken} FROM (SELECT unnest(?) AS n)", [npis]).fetchall()
    assert [not fails for (fails,) in found] == [luhn(n) for n in npis]


def test_check_digit_over_all_endings():
    for stem in ("123456789", "199999999", "100000000", "205050505"):
        found = duckdb.execute(
            f"SELECT n FROM (SELECT '{stem}' || range AS n FROM range(10)) WHERE NOT ({rules._luhn_fails('n')})"
        )
        [(only,)] = found.fetchall()
        assert luhn(only)


def value(kind, text, date_format=None, **column):
    """The value that a cell becomes."""
    one = Column("x", kind, "", **column)
    sql = (
        f"SELECT CAST({rules.value_of(one, date_format)} AS {rules.SQL_TYPES[kind]}) "
        f"FROM (SELECT {rules.text_of(one, 'c')} AS t_x FROM (SELECT ?::VARCHAR AS c))"
    )
    return duckdb.execute(sql, [text]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("02138", "02138"),
        ("2138", "02138"),
        ("601", "00601"),
        ("02138-1234", "02138"),
        ("021381234", "02138"),
        ("21381234", "02138"),
        ("6011234", "00601"),
        ("2138-1234", "02138"),
        ("601-1234", "00601"),
        ("2138.0", "02138"),
        ("02138.0", "02138"),
        (" 02138\u00a0", "02138"),
        ("12", "12"),
        ("K1A 0B6", "K1A 0B6"),
        ("N/A", None),
    ],
)
def test_zip_repairs(written, read):
    assert value(Kind.ZIP, written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("$1,234.50", "1234.50"),
        ("-$1,234.50", "-1234.50"),
        ("$-1,234.50", "-1234.50"),
        ("(12.00)", "-12.00"),
        ("($1,200)", "-1200.00"),
        ("$.50", "0.50"),
        ("1.005", "1.01"),
        ("-1.005", "-1.01"),
        ("$2.675", "2.68"),
        ("12.3449999", "12.34"),
        ("1E+2", "100.00"),
        ("9999999999999999.99", "9999999999999999.99"),
    ],
)
def test_amounts(written, read):
    assert value(Kind.MONEY, written) == Decimal(read)


@settings(max_examples=150, deadline=None)
@given(
    st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, places=4),
    st.sampled_from(["plain", "us", "brackets"]),
)
def test_amounts_are_exact_and_rounded_half_up(amount, style):
    size = f"{abs(amount):,}" if style != "plain" else f"{abs(amount):f}"
    sign = amount < 0
    written = f"({size})" if style == "brackets" and sign else f"{'-' * sign}{'$' * (style == 'us')}{size}"
    assert value(Kind.MONEY, written) == amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("written", "pattern", "read"),
    [
        ("06/01/2026", "%m/%d/%Y", date(2026, 6, 1)),
        ("01-Jun-2026", ["%m/%d/%Y", "%d-%b-%Y"], date(2026, 6, 1)),
        ("2026-06-01", "%m/%d/%Y", None),
        ("02/30/2026", "%m/%d/%Y", None),
        ("20260601", None, date(2026, 6, 1)),
        ("2026-06-01T23:59:59.999-05:00", None, date(2026, 6, 1)),
        ("9999-12-31", None, date(9999, 12, 31)),
        ("20260230", None, None),
        ("0000-00-00", None, None),
    ],
)
def test_dates(written, pattern, read):
    assert value(Kind.DATE, written, pattern) == read


@pytest.mark.parametrize(("written", "read"), [("7-1", "07-01"), ("07-01", "07-01"), ("2-29", None), ("1-1 5", None)])
def test_month_and_day_have_two_digits(written, read):
    assert value(Kind.MONTH_DAY, written) == read


@pytest.mark.parametrize("written", ["true", "T", "Yes", "y", "1", "1.0"])
def test_flags(written):
    no = {"true": "false", "T": "F", "Yes": "No", "y": "n", "1": "0", "1.0": "0.0"}[written]
    assert value(Kind.FLAG, written) is True
    assert value(Kind.FLAG, no) is False


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
    | st.tuples(
        *[st.sampled_from(["", " ", "\u00a0", "x"]), st.sampled_from(rules.BLANKS), st.sampled_from(["", "\t", "1"])]
    )
    .map("".join)
    .flatmap(lambda t: st.sampled_from([t, t.upper(), t.title()]))
)
def test_blanks_and_trimming_are_what_they_were(cell):
    """The quick way past trimming and comparing gives what trimming and comparing gives."""
    trimmed = cell.strip(" \t\r\n\u00a0\ufeff")
    assert value(Kind.CODE, cell) == (None if trimmed.lower() in rules.BLANKS else trimmed)
    assert value(Kind.TEXT, cell) == (trimmed or None)


@settings(max_examples=150, deadline=None)
@given(st.text(min_size=3, max_size=30) | st.from_regex(r"[-+$(]?[0-9.,]{3,12}(e[0-9]+)?\)?", fullmatch=True))
def test_value_classes_never_hold_the_value(cell):
    cell = cell.replace("\x00", "")
    shown = duckdb.execute(f"SELECT {rules.class_of('c')} FROM (SELECT ?::VARCHAR AS c)", [cell]).fetchall()[0][0]
    fixed = ("blank", "number in scientific notation", "negative number", "number", "date-like text")
    assert shown in (*fixed, f"{len(cell)} digits", f"text of {len(cell)} characters")


def versions(tmp_path, *rows, **entry):
    exports = opened(tmp_path, "claims", list(rows), **entry)
    current = query(exports, "SELECT claim_version, billed_amount, claim_status FROM claims")
    return exports, [(v, str(b), s) for v, b, s in current]


def test_the_latest_version_counts(tmp_path):
    exports, current = versions(
        tmp_path, {"claim_version": "2", "billed_amount": "2"}, {"claim_version": "10", "billed_amount": "10"}, {}
    )
    assert current == [(10, "10.00", None)]
    assert len(query(exports, "FROM claim_versions")) == 3
    assert findings(exports)["information", "superseded", "claim_version"] == 2


def test_a_version_set_aside_does_not_count(tmp_path):
    exports, current = versions(tmp_path, {}, {"claim_version": "2", "billed_amount": "x"})
    assert current == [(1, "200.00", None)]
    assert aside(exports) == {3: "not_an_amount:billed_amount"}


@pytest.mark.parametrize("relaxed", [{}, {"rules": {"negative_amount": "warn"}}])
@pytest.mark.parametrize("reversal", [{}, {"claim_version": "2"}])
def test_a_negative_line_beside_a_positive_one_is_a_reversal(tmp_path, reversal, relaxed):
    exports, current = versions(
        tmp_path, {}, {"billed_amount": "(200.00)", "paid_amount": "-100"} | reversal, **relaxed
    )
    assert aside(exports) == {}
    assert [c[1:] for c in current] == [("-200.00", "reversed")]
    assert findings(exports)["information", "reversal_inferred", "claim_status"] == 1


def test_of_two_reversals_alike_the_second_is_a_duplicate_and_no_negative_number(tmp_path):
    """What each row alone would have been set aside for is forgotten once it is known to be a reversal."""
    reversal = {"billed_amount": "-200.00", "paid_amount": "-100"}
    exports, current = versions(tmp_path, {}, reversal, reversal)
    assert current == [(1, "-200.00", "reversed")]
    shown = exports.set_aside[["row", "column", "value_class", "reason", "rows"]]
    assert shown.to_numpy().tolist() == [[4, "", "whole row", "duplicate_row", 1]]


def test_a_negative_line_alone_or_with_a_status_is_bad(tmp_path):
    exports, current = versions(
        tmp_path,
        {"billed_amount": "-1", "line_number": "9"},
        {},
        {"billed_amount": "-200.00", "claim_status": "paid", "claim_version": "2"},
    )
    assert aside(exports) == {2: "negative_amount:billed_amount", 4: "negative_amount:billed_amount"}
    assert current == [(1, "200.00", None)]


def test_a_reversal_without_a_version_undoes_the_original_but_no_replacement(tmp_path):
    """Version 1, its reversal without a version, then version 2: with it the line counts again."""
    original = {"claim_version": "1"}
    reversal = {"billed_amount": "-200.00", "claim_status": "reversed", "claim_version": ""}
    _, current = versions(tmp_path, original, reversal)
    assert [c[1:] for c in current] == [("-200.00", "reversed")]
    _, current = versions(tmp_path, original, reversal, {"claim_version": "2", "billed_amount": "150.00"})
    assert [c[1:] for c in current] == [("150.00", None)]


def test_a_reversal_as_the_payer_marks_it(tmp_path):
    exports, current = versions(tmp_path, {}, {"billed_amount": "-200.00", "claim_status": "Reversed"})
    assert aside(exports) == {}
    assert current == [(1, "-200.00", "reversed")]


@pytest.mark.parametrize(
    ("table", "rule", "cells"),
    [
        ("claims", "npi_shape", {"provider_npi": "abc"}),
        ("claims", "npi_check_digit", {"provider_npi": "1234567894"}),
        ("claims", "taxonomy_shape", {"taxonomy_code": "x"}),
        ("claims", "zip_shape", {"member_zip": "x"}),
        ("claims", "missing:procedure_code", {"procedure_code": ""}),
        ("claims", "date_in_future", {"service_date": "2027-01-01"}),
        ("claims", "negative_amount:paid_amount", {"paid_amount": "-1"}),
        ("members", "fips_shape", {"county_fips": "x"}),
        ("directory", "ends_before_start", {"termination_date": "2019-01-01"}),
    ],
)
def test_rules_relaxed_to_a_warning(tmp_path, table, rule, cells):
    exports = opened(tmp_path, table, [cells], rules={rule: "warn"})
    assert aside(exports) == {}
    assert ("warning", rule.partition(":")[0], next(iter(cells))) in findings(exports, table)


def test_a_warning_may_set_aside(tmp_path):
    exports = opened(tmp_path, "claims", [{"units": "0"}], rules={"units_not_positive": "set_aside"})
    assert aside(exports) == {2: "units_not_positive:units"}


@pytest.mark.parametrize(
    "rule",
    [
        "not_a_date",
        "not_an_amount",
        "duplicate_row",
        "unknown_value",
        "missing",
        "missing:claim_id",
        "missing:service_date",
        "npi_shape:nowhere",
        "not_selected",
        "no_such_rule",
        "",
    ],
)
def test_rules_that_cannot_be_relaxed(tmp_path, rule):
    with pytest.raises(ExportError, match=r"exports.yaml: claims: rules: .* cannot be .*\.$"):
        opened(tmp_path, "claims", [{}], rules={rule: "warn"})


def test_every_kind_has_rules_that_have_a_meaning():
    for table in EXPORTS.values():
        strict, notes = rules.rules_for(table, table.names, Source(path="x"), date(2026, 6, 30))
        assert {r.name for r in [*strict, *notes]} <= set(rules.MEANINGS)
        assert len(notes) < 60  # one bit each of a BIGINT


def test_lost_lines_are_set_aside_in_their_places_in_every_file(tmp_path):
    """Of two files read together, each has a line with a cell too many, which the parser loses, and a bad row."""
    header, good = ",".join(CLAIM), ",".join(CLAIM.values())
    lost, bad = f"{good},one too many", good.replace("200.00", "x")
    (tmp_path / "claims1.csv").write_text("\n".join([header, good, lost, bad, ""]), encoding="utf-8")
    third = good.replace("C1", "C2")
    (tmp_path / "claims2.csv").write_text("\n".join([header, bad, third, lost, lost, ""]), encoding="utf-8")
    (tmp_path / "claims3.csv").write_text(f"{header}\n", encoding="utf-8")  # no rows, and none lost
    write(tmp_path / "directory.csv", [LISTING])
    (tmp_path / "exports.yaml").write_text("claims: {path: claims*.csv}\ndirectory: {path: directory.csv}\n")
    exports = Exports.open(tmp_path)
    columns = ["table", "path", "row", "column", "value_class", "reason", "rows"]
    assert list(exports.set_aside) == list(SET_ASIDE.names)
    amount = ("billed_amount", "text of 1 characters", "not_an_amount:billed_amount", 1)
    line = ("", "whole row", "too_many_fields", 1)
    assert [tuple(row) for row in exports.set_aside[columns].to_numpy()] == [
        ("claims", "claims1.csv", 3, *line),
        ("claims", "claims1.csv", 4, *amount),
        ("claims", "claims2.csv", 2, *amount),
        ("claims", "claims2.csv", 4, *line),
        ("claims", "claims2.csv", 5, *line),
    ]
    files = exports.files.set_index("path")
    assert files[["rows_read", "accepted", "set_aside"]].to_numpy().tolist()[:3] == [[3, 1, 2], [4, 1, 3], [0, 0, 0]]
    assert files["reasons"].tolist()[:3] == [
        {"not_an_amount:billed_amount": 1, "too_many_fields": 1},
        {"not_an_amount:billed_amount": 1, "too_many_fields": 2},
        {},
    ]


def test_findings_of_rules_come_before_those_of_versions(tmp_path):
    """A rounded amount, an inferred reversal and the versions that no longer count, of five accepted rows."""
    rows = [{}, {"billed_amount": "-200.00"}, {"line_number": "2", "billed_amount": "170.005"}]
    rows += [{"line_number": "2", "claim_version": "2"}, {"line_number": "3"}]
    exports = opened(tmp_path, "claims", rows)
    found = exports.findings[exports.findings["path"] == "claims.csv"]
    shown = found[["level", "rule", "column", "rows", "of_rows"]].to_numpy().tolist()
    assert shown == [
        ["repaired", "amount_rounded", "billed_amount", 1, 5],
        ["information", "reversal_inferred", "claim_status", 1, 5],
        ["information", "superseded", "claim_version", 2, 5],
    ]
    assert found["meaning"].tolist() == [rules.MEANINGS[rule] for rule in found["rule"]]


def test_a_date_in_another_form_than_that_given_is_no_date(tmp_path):
    """Not even in the form that is read where none is given: in a file of %m/%d/%Y, 2026-01-05 is a mistake."""
    rows = [{"service_date": "01/05/2026"}, {"service_date": " 01/05/2026 "}, {"service_date": "2026-01-05"}]
    numbered = [row | {"line_number": str(n)} for n, row in enumerate(rows)]
    exports = opened(tmp_path, "claims", numbered, date_format="%m/%d/%Y")
    assert aside(exports) == {4: "not_a_date:service_date"}
    assert query(exports, "SELECT service_date FROM claims") == [(date(2026, 1, 5),)] * 2


@pytest.mark.parametrize("pattern", ["%Q", "MM/DD/YYYY"])
def test_a_pattern_that_reads_no_date_is_refused(tmp_path, pattern):
    with pytest.raises(ExportError) as raised:
        opened(tmp_path, "claims", [{}], date_format=pattern)
    assert str(raised.value) == (
        f"exports.yaml: claims: date_format {pattern!r} is no pattern of a date; write it like '%m/%d/%Y'."
    )


def test_each_of_several_date_formats_must_be_one(tmp_path):
    with pytest.raises(ExportError, match=r"date_format 'nope' is no pattern of a date"):
        opened(tmp_path, "claims", [{}], date_format=["%Y-%m-%d", "nope"])


def test_rows_of_a_fee_that_fill_other_columns_complete_each_other(tmp_path):
    """Medicare's rate beside the plan's own is no duplicate; a second rate of the plan's own is."""
    write(tmp_path / "claims.csv", [CLAIM])
    write(tmp_path / "directory.csv", [LISTING])
    own, medicare = {"in_network_rate": "60.00"}, {"medicare_rate": "70.00"}
    blank = {"procedure_code": "90837", "locality": "", "in_network_rate": "", "medicare_rate": ""}
    rows = [own, medicare, {"in_network_rate": "61.00"}, own, {"locality": "NY-01"} | own]
    write(tmp_path / "fees.csv", [blank | row for row in rows])
    exports = Exports.open(tmp_path)
    assert aside(exports) == {4: "duplicate_key", 5: "duplicate_row"}
    fees = query(exports, "SELECT locality, in_network_rate, medicare_rate FROM fees ORDER BY locality NULLS FIRST")
    assert fees == [(None, Decimal("60.00"), Decimal("70.00")), ("NY-01", Decimal("60.00"), None)]


def test_rows_of_no_file_are_none():
    assert duckdb.sql(f"SELECT count(*) FROM (SELECT 1 AS _file) WHERE {check.rows_in([])}").fetchall() == [(0,)]


def write_many_claims(path, rows):
    """Claims as Parquet without compression, so that a byte changed is a byte of a value or of what tells of values."""
    columns = {name: [value] * rows for name, value in CLAIM.items()} | {"claim_id": [f"C{n}" for n in range(rows)]}
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)


def test_a_file_that_cannot_be_read_to_its_end_is_refused(tmp_path):
    write(tmp_path / "directory.csv", [LISTING])
    write_many_claims(tmp_path / "claims.parquet", 2_000)
    content = bytearray((tmp_path / "claims.parquet").read_bytes())
    content[len(content) // 3 : len(content) // 2] = b"\xff" * (len(content) // 2 - len(content) // 3)
    (tmp_path / "claims.parquet").write_bytes(content)
    with pytest.raises(ExportError) as raised:
        Exports.open(tmp_path)
    assert str(raised.value) == (
        "claims.parquet cannot be read to its end as parquet (it is damaged): free some room, or export it again."
    )


def test_too_little_memory_is_said_to_be_so(tmp_path, monkeypatch):
    monkeypatch.setenv("SCA_MEMORY", "4MB")
    write(tmp_path / "directory.csv", [LISTING])
    write_many_claims(tmp_path / "claims.parquet", 30_000)
    with pytest.raises(ExportError) as raised:
        Exports.open(tmp_path)
    assert str(raised.value) == (
        "claims.parquet cannot be read to its end as parquet (memory or the temporary folder is full, or the file is "
        "gone): free some room, or export it again."
    )
