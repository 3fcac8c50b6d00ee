"""Claim lines: in or out of network, in which network, of which specialty, and what they add up to."""

import random
from collections import defaultdict
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from sca_analysis.claims import count_lines, monthly_spend, service_lines
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.standards import load_taxonomy
from tests.folders import claim, listing, npi, open_tables, span, write_tables

FIRST, LAST = date(2025, 7, 1), date(2026, 6, 30)
JANUARY = "2026-01-15"


def on(first, last):
    return {"effective_date": first, "termination_date": last}


def lines_of(exports, first=FIRST, last=LAST):
    return to_pandas(service_lines(exports, first, last)).set_index("claim_id")


# One line each: the line, what is expected of it. Providers and members by number; all in one folder.
DIRECTORY = [
    listing(1, network_id="A"),
    listing(2, network_id="A", **on("2026-01-15", "2026-01-16")),
    listing(3),  # a blank network matches every network
    listing(4, network_id="A"),
    listing(4, network_id="A", zip="04901"),  # two places in one network
    listing(4, network_id="B"),  # and a second network
    listing(5, network_id="A", **on(None, "2025-12-31")),
    listing(5, network_id="A", **on("2026-02-01", None)),  # left and came back
    listing(6, network_id="A", taxonomy_code="207N00000X"),
    listing(6, network_id="A", taxonomy_code="103TC0700X"),
]
MEMBERS = [
    span("a", network_id="A"),
    span("b", network_id="B"),
    span("blank"),
    span("moved", network_id="A", **on(None, "2025-12-31")),
    span("moved", network_id="B", **on("2026-01-01", None)),
    span("overlap", network_id="A", **on("2025-01-01", None)),
    span("overlap", network_id="B", **on("2026-01-01", None)),
    span("open", network_id="B"),
    span("open", network_id="A", **on("2026-01-01", None)),
    span("late", network_id="A", **on("2026-01-16", None)),
    span("tie", network_id="B", **on("2026-01-01", None)),
    span("tie", network_id="A", **on("2026-01-01", None)),
]
LINES = {
    "as the claim says, though listed": (claim("a", 1, JANUARY, network_status="out"), ("A", True)),
    "as the claim says, though not listed": (claim("a", 99, JANUARY, network_status="in"), ("A", False)),
    "listed": (claim("a", 1, JANUARY), ("A", False)),
    "not in the directory": (claim("a", 99, JANUARY), ("A", True)),
    "listed in another network": (claim("b", 1, JANUARY), ("B", True)),
    "before the first day": (claim("a", 2, "2026-01-14"), ("A", True)),
    "on the first day": (claim("a", 2, "2026-01-15"), ("A", False)),
    "on the last day": (claim("a", 2, "2026-01-16"), ("A", False)),
    "after the last day": (claim("a", 2, "2026-01-17"), ("A", True)),
    "listed in every network": (claim("b", 3, JANUARY), ("B", False)),
    "blank network of the member": (claim("blank", 1, JANUARY), (None, False)),
    "blank network, not listed": (claim("blank", 99, JANUARY), (None, True)),
    "listed several times": (claim("a", 4, JANUARY), ("A", False)),
    "listed several times, blank network": (claim("blank", 4, JANUARY), (None, False)),
    "while away": (claim("a", 5, JANUARY), ("A", True)),
    "after coming back": (claim("a", 5, "2026-02-01"), ("A", False)),
    "network of the claim comes first": (claim("a", 1, JANUARY, network_id="B"), ("B", True)),
    "network of the claim, beside one without": (claim("a", 1, JANUARY, network_id="C"), ("C", True)),
    "network on the service date, before": (claim("moved", 1, "2025-12-31"), ("A", False)),
    "network on the service date, after": (claim("moved", 1, "2026-01-01"), ("B", True)),
    "overlap: before the later span": (claim("overlap", 1, "2025-12-31"), ("A", False)),
    "overlap: the later span": (claim("overlap", 1, "2026-01-01"), ("B", True)),
    "an open first day is the earliest": (claim("open", 1, JANUARY), ("A", False)),
    "not covered yet": (claim("late", 1, "2026-01-15"), (None, False)),
    "covered": (claim("late", 1, "2026-01-16"), ("A", False)),
    "two spans from one day: the last in order": (claim("tie", 1, JANUARY), ("B", True)),
    "no member of the file": (claim("nobody", 1, JANUARY), (None, False)),
    "denied": (claim("a", 99, JANUARY, claim_status="denied"), ("A", True)),
    "reversed": (claim("a", 1, JANUARY, claim_status="reversed"), ("A", False)),
    "first day of the period": (claim("a", 1, FIRST), ("A", False)),
    "last day of the period": (claim("a", 1, LAST), ("A", False)),
    "same day, same provider": (claim("a", 1, JANUARY), ("A", False)),
}
OUTSIDE = [claim("a", 1, "2025-06-30"), claim("a", 1, "2026-07-01")]


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    return open_tables(
        tmp_path_factory.mktemp("claims"),
        claims=[line for line, _ in LINES.values()] + OUTSIDE,
        directory=DIRECTORY,
        members=MEMBERS,
    )


@pytest.fixture(scope="module")
def lines(exports):
    return lines_of(exports)


@pytest.mark.parametrize("name", LINES)
def test_network_and_status(lines, name):
    line, (network, is_out) = LINES[name]
    found = lines.loc[line["claim_id"]]
    assert (None if pd.isna(found["network_id"]) else found["network_id"]) == network
    assert found["is_out_of_network"] == is_out


def test_directory_decides_as_a_loop_would(tmp_path):
    """Providers with no, one or several spans, of one network or of any; lines of a network or of none."""
    random.seed(20261126)
    days = [None, "2025-12-31", "2026-01-10", "2026-01-20"]
    spans = defaultdict(list)
    for provider in range(1, 61):
        for _ in range(random.choice([0, 1, 1, 2, 3])):
            first, last = random.choice(days), random.choice([None, "2026-01-05", "2026-01-15", "2026-02-28"])
            if not (first and last and first > last):
                spans[provider].append((random.choice(["A", "B", None]), first, last))
    directory = [
        listing(p, network_id=n, zip=f"04{i:03d}", **on(f, t))
        for p, r in spans.items()
        for i, (n, f, t) in enumerate(r)
    ]
    made = [
        (p, n, d) for p in range(1, 61) for n in ("A", "B", None) for d in ("2026-01-05", "2026-01-12", "2026-03-01")
    ]
    rows = [claim("nobody", p, d, network_id=n) for p, n, d in made]
    found = lines_of(open_tables(tmp_path, claims=rows, directory=directory, members=[span("a")]))["is_out_of_network"]
    for row, (provider, network, day) in zip(rows, made, strict=True):
        is_listed = any(
            (n is None or network is None or n == network) and (f or "") <= day <= (t or "9999")
            for n, f, t in spans[provider]
        )
        assert found[row["claim_id"]] == (not is_listed), (provider, network, day, spans[provider])


def test_lines_neither_multiply_nor_get_lost(lines):
    assert sorted(lines.index) == sorted(line["claim_id"] for line, _ in LINES.values())


def test_claim_status_is_never_blank(lines):
    assert set(lines["claim_status"]) == {"paid", "denied", "reversed"}


def test_count_lines_is_lines_and_members(exports):
    counts = count_lines(exports, FIRST, LAST).set_index(["claim_status", "is_out_of_network"])
    wanted = defaultdict(list)
    for line, (_, is_out) in LINES.values():
        wanted[line["claim_status"] or "paid", is_out].append(line["member_id"])
    assert {k: (r["lines"], r["members"]) for k, r in counts.iterrows()} == {
        k: (len(m), len(set(m))) for k, m in wanted.items()
    }


def test_taxonomy_is_filled_from_the_directory_then_from_claims(tmp_path):
    rows = {
        "as the claim says": claim("a", 1, taxonomy_code="103TC0700X"),
        "directory": claim("a", 1),
        "first of several": claim("a", 6),
        "other claims": claim("a", 99),
        "which say so": claim("a", 99, "2019-01-01", taxonomy_code="2084N0400X"),
        "nothing": claim("a", 98),
    }
    lines = lines_of(open_tables(tmp_path, claims=rows.values(), directory=DIRECTORY, members=MEMBERS))
    found = {name: lines["taxonomy_code"].get(line["claim_id"], "outside") for name, line in rows.items()}
    assert found.pop("which say so") == "outside"
    assert pd.isna(found.pop("nothing"))
    assert list(found.values()) == ["103TC0700X", "2084P0800X", "103TC0700X", "2084N0400X"]


def test_only_the_latest_version_of_a_line_counts(tmp_path):
    versions = [
        claim("a", 1, claim_id="X", claim_version=1, billed_amount="100.00", paid_amount="60.00"),
        claim("a", 1, claim_id="X", claim_version=3, billed_amount="80.00", paid_amount="50.00"),
        claim("a", 1, claim_id="X", claim_version=2, billed_amount="-100.00", claim_status="reversed"),
        claim("a", 1, claim_id="X", line_number=2, claim_version=1, billed_amount="7.00", paid_amount="7.00"),
        claim("a", 1, claim_id="Y", claim_version=1, billed_amount="30.00"),
        claim("a", 1, claim_id="Y", claim_version=2, billed_amount="-30.00", claim_status="reversed"),
    ]
    exports = open_tables(tmp_path, claims=versions, directory=DIRECTORY, members=MEMBERS)
    lines = lines_of(exports)
    assert sorted(zip(lines.index, lines["billed_amount"], lines["claim_status"], strict=True)) == [
        ("X", Decimal("7.00"), "paid"),
        ("X", Decimal("80.00"), "paid"),
        ("Y", Decimal("-30.00"), "reversed"),
    ]
    [spend] = monthly_spend(exports, FIRST, LAST).to_dict("records")
    assert (spend["lines"], spend["billed"], spend["paid"]) == (2, Decimal("87.00"), Decimal("57.00"))


def test_the_plans_own_network_stands_in_for_blanks(tmp_path):
    tables = {"claims": [claim("a", 1), claim("nobody", 1)], "directory": [listing(1, network_id="A")]}
    folder = write_tables(tmp_path, **tables, members=[span("a", network_id="B")])
    lists = "".join(f"{t}: {{path: {t}.csv}}\n" for t in (*tables, "members"))
    (folder / "exports.yaml").write_text("plan: {network_id: A}\n" + lists)
    assert lines_of(Exports.open(folder))["is_out_of_network"].tolist() == [False, False]


def test_monthly_spend_adds_up_to_the_cent(tmp_path):
    chance = random.Random(3)
    specialty = load_taxonomy().set_index("taxonomy_code")["specialty"].dropna().to_dict()
    taxonomies = ["2084P0800X", "2084P0804X", "207N00000X", "101YM0800X", None]
    rows = [
        claim(
            f"M{chance.randrange(9)}",
            50 + chance.randrange(5),
            date(2026, chance.randrange(1, 7), chance.choice([1, 15, 28])),
            taxonomy_code=chance.choice(taxonomies),
            billed_amount=Decimal(chance.randrange(10**9)).scaleb(-2),
            paid_amount=chance.choice([None, Decimal(chance.randrange(10**7)).scaleb(-2)]),
            claim_status=chance.choice([None, "paid", "denied", "reversed"]),
            network_status=chance.choice(["in", "out"]),
        )
        for _ in range(400)
    ]
    exports = open_tables(tmp_path, claims=rows, directory=[listing(1)], members=[span("M1")])
    claimed = {}
    for row in rows:
        if row["taxonomy_code"]:
            known = claimed.get(row["provider_npi"], row["taxonomy_code"])
            claimed[row["provider_npi"]] = min(known, row["taxonomy_code"])
    wanted = defaultdict(lambda: [0, Decimal(0), []])
    patients = defaultdict(lambda: defaultdict(set))  # of each taxonomy code: those of the one with most
    first, last = date(2026, 2, 1), date(2026, 5, 15)
    for row in rows:
        day = date.fromisoformat(row["service_date"])
        if row["claim_status"] in (None, "paid") and first <= day <= last:
            code = row["taxonomy_code"] or claimed[row["provider_npi"]]
            key = day.replace(day=1), specialty.get(code, "not in the standard"), row["network_status"] == "out"
            patients[key][code].add(row["member_id"])
            wanted[key][0] += 1
            wanted[key][1] += row["billed_amount"]
            wanted[key][2] += [row["paid_amount"]] if row["paid_amount"] is not None else []
    spend = monthly_spend(exports, first, last)
    assert list(spend) == ["month", "specialty", "is_out_of_network", "patients", "lines", "billed", "paid"]
    found = {
        (r.month.date(), r.specialty, r.is_out_of_network): (r.lines, r.billed, None if pd.isna(r.paid) else r.paid)
        for r in spend.itertuples()
    }
    assert found == {k: (n, b, sum(p) if p else None) for k, (n, b, p) in wanted.items()}
    most = {key: max(len(members) for members in codes.values()) for key, codes in patients.items()}
    assert {(r.month.date(), r.specialty, r.is_out_of_network): r.patients for r in spend.itertuples()} == most
    assert len(found) == len(spend)
    assert list(found) == sorted(found)


def test_paid_is_blank_not_zero_where_no_line_says_it(tmp_path):
    rows = [
        claim("a", 99, paid_amount=None, taxonomy_code="2084P0800X"),
        claim("a", 99, paid_amount=None, taxonomy_code="2084P0804X"),
        claim("a", 1, paid_amount="0.00"),
    ]
    spend = monthly_spend(open_tables(tmp_path, claims=rows, directory=DIRECTORY, members=MEMBERS), FIRST, LAST)
    assert spend["is_out_of_network"].tolist() == [False, True]
    assert spend["paid"][0] == Decimal("0.00")
    assert pd.isna(spend["paid"][1])


def test_no_lines_is_an_empty_table(exports):
    assert monthly_spend(exports, date(2020, 1, 1), date(2020, 1, 31)).empty
    assert count_lines(exports, date(2020, 1, 1), date(2020, 1, 31)).empty


def test_order_of_rows_does_not_matter(tmp_path, lines):
    rows = [line for line, _ in LINES.values()]
    shuffled = open_tables(tmp_path, claims=rows[::-1], directory=DIRECTORY[::-1], members=MEMBERS[::-1])
    pd.testing.assert_frame_equal(lines_of(shuffled).sort_index(), lines.sort_index())


def test_npi_of_the_tests_are_those_of_the_standard():
    assert npi(23456789) == "1234567893"  # the example of 45 CFR 162.406's check digit
