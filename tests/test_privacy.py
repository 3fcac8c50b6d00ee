"""What may be shared: pseudonyms with a key, Safe Harbor rows, counts of few withheld for good."""

import re
import stat
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sca_analysis import case_charts, charts, outcome_charts
from sca_analysis.changes import Standing
from sca_analysis.cli import main
from sca_analysis.compliance import summarize_compliance
from sca_analysis.errors import ParameterError
from sca_analysis.monthly import Month, analyse_month, summarize
from sca_analysis.privacy import (
    OTHERS,
    SMALL_CELL,
    deidentify,
    find_few,
    group_oldest,
    lump,
    say_each,
    say_part,
    shorten_zips,
)
from sca_analysis.pseudonyms import find_key, name_key, pseudonyms
from sca_analysis.report import is_current
from sca_analysis.saving import IDENTIFIED, save_month
from sca_analysis.shared_tables import OF_ONE_PATIENT, _share_compliance, _share_gaps
from sca_analysis.tables import MEMBERS, REGISTER
from tests.conftest import ROOT, SAMPLE

KEY = b"a key of sixteen characters"
COUNTS = st.lists(st.integers(0, 40), min_size=12, max_size=12)


def numbers(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="string")


def test_pseudonyms_are_of_the_key_the_kind_and_the_number() -> None:
    twice = pseudonyms(numbers("A1", "A2", "A1", None), "case", KEY)
    assert twice[0] == twice[2] != twice[1]
    assert pd.isna(twice[3])
    assert twice[0] != pseudonyms(numbers("A1"), "case", b"another key, as long")[0]
    assert twice[0][1:] != pseudonyms(numbers("A1"), "provider", KEY)[0][1:]
    assert re.fullmatch(r"C-[A-Z2-7]{16}", twice[0])
    assert name_key(KEY) != name_key(b"another key, as long")


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No key in the environment; the user's configuration is in a folder of its own."""
    monkeypatch.delenv("SCA_KEY", raising=False)
    monkeypatch.delenv("SCA_KEY_FILE", raising=False)
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    return tmp_path


def test_a_key_is_made_once_for_its_owner_alone(no_key: Path) -> None:
    first = find_key()
    assert find_key() == first
    assert len(first) == 64
    [path] = (no_key / "config").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_comes_before_a_file(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (no_key / "key").write_text("the key in a file, long\n", encoding="utf-8")
    monkeypatch.setenv("SCA_KEY_FILE", str(no_key / "key"))
    assert find_key() == b"the key in a file, long"
    monkeypatch.setenv("SCA_KEY", "the key of the environment")
    assert find_key() == b"the key of the environment"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SCA_KEY", "short", "fewer than 16 characters"),
        ("SCA_KEY", "", "fewer than 16 characters"),
        ("SCA_KEY_FILE", "{folder}/absent", "cannot be read"),
        ("SCA_KEY_FILE", "{folder}", "cannot be read"),
        ("SCA_KEY_FILE", f"{ROOT}/data/key", "lies in the project"),
    ],
)
def test_a_bad_key_is_one_sentence(
    no_key: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value.format(folder=no_key))
    with pytest.raises(ParameterError, match=said) as refused:
        analyse_month(SAMPLE, "2026-06")
    assert "short" not in str(refused.value)


def test_zip_codes_of_few_people_are_000() -> None:
    # the 17 of HHS's guidance; 03601 is in New Hampshire, whose other ZIP codes stay
    shown = shorten_zips(numbers("03601", "03301", "10200", "89301", "10001", None))
    assert shown[:5].tolist() == ["000", "033", "000", "000", "100"]
    assert pd.isna(shown[5])


@given(st.integers(1900, 2026))
def test_nobody_over_89_is_told_apart(born: int) -> None:
    [shown] = group_oldest(pd.Series([born]), 2026)
    assert shown == (1936 if 2026 - born >= 90 else born)


def test_members_and_requests_lose_what_names_them() -> None:
    member = {"member_id": "M7", "zip": "04086", "county_fips": "23005", "latitude": 43.9, "longitude": -69.9}
    member |= {"network_id": "EX1", "birth_year": 1931, "effective_date": pd.Timestamp(2022, 7, 4), "remark": "Ann Lee"}
    [row] = deidentify(pd.DataFrame([member]), MEMBERS, KEY, 2026).to_dict("records")
    assert row["member_id"] == pseudonyms(numbers("M7"), "member", KEY)[0]
    assert (row["zip"], row["county_fips"], row["birth_year"], row["effective_date"]) == ("040", "23", 1936, 2022)
    assert pd.isna(row["latitude"])
    assert pd.isna(row["longitude"])
    assert "remark" not in row, "what is not declared is not shown"
    request = {"case_id": "S1", "provider_npi": "1000000012", "denial_reason": "see Ann Lee", "days_pending": 32}
    [row] = deidentify(pd.DataFrame([request]), REGISTER, KEY, 2026).to_dict("records")
    assert not {"S1", "1000000012", "see Ann Lee", 32} & set(row.values())


def test_specialties_of_few_members_are_one_of_enough() -> None:
    specialty = pd.Series(["a"] * 30 + ["b"] * 12 + ["c"] * 3 + ["d"] * 2)
    shown = lump(specialty, pd.Series(range(47)))
    assert shown.value_counts().to_dict() == {"a": 30, OTHERS: 17}
    same = lump(specialty, pd.Series([0] * 47))  # one member has them all
    assert set(same) == {OTHERS}
    assert lump(specialty[:42], pd.Series(range(42))).tolist() == specialty[:42].tolist()


@given(COUNTS)
def test_what_is_withheld_cannot_be_reckoned_from_any_total(counts: list[int]) -> None:
    table = pd.DataFrame(product("xyz", "abcd"), columns=["row", "column"]).assign(n=counts)
    few = find_few(table, "n", totals=((), ("row",), ("column",)))
    shown = table[~few]
    assert not shown["n"].between(1, SMALL_CELL - 1).any()
    groups = [table, *(g for by in ("row", "column") for _, g in table.groupby(by))]
    for group in groups:
        hidden = group[few[group.index]]
        everybody = not (group.loc[~few[group.index], "n"] > 0).any()
        assert hidden.empty or everybody or (len(hidden) > 1 and hidden["n"].sum() >= SMALL_CELL)


def test_worked_example_of_complementary_suppression() -> None:
    # total 60 is known: 4 alone would be 60 - 56, and with 9 it makes 13, which is enough
    assert find_few(pd.DataFrame({"n": [30, 26, 4]}), "n").tolist() == [False, True, True]
    assert find_few(pd.DataFrame({"n": [30, 17, 9, 4]}), "n").tolist() == [False, False, True, True]
    assert find_few(pd.DataFrame({"n": [30, 30, 0]}), "n").tolist() == [False, False, False]
    # 18 of 20 went out of network: the two who did not are few
    assert find_few(pd.DataFrame({"n": [18], "of": [20]}), "n", totals=(), of="of").tolist() == [True]


def first(count: int, of: int) -> pd.Series:
    """Return flags of ``of`` rows, ``count`` of which are set."""
    return pd.Series([i < count for i in range(of)])


def test_counts_in_words() -> None:
    members = pd.Series(range(40))
    assert say_part(first(3, 40), members) == "fewer than 11 of 40"
    assert say_part(first(37, 40), members) == "all but fewer than 11 of 40"
    assert say_part(first(20, 40), members) == "20 of 40"
    assert say_part(first(40, 40), members) == "40 of 40"
    assert say_part(first(0, 40), members) == "0 of 40"
    assert say_part(first(3, 40), members, 0) == "3 of 40"
    labels = pd.Series(["pending"] * 2 + ["approved"] * 30 + ["denied"] * 12)
    assert say_each(labels, pd.Series(range(44))) == "30 approved, numbers withheld, since few: denied, pending"
    assert say_each(labels, pd.Series(range(44)), 0) == "30 approved, 12 denied, 2 pending"
    assert say_each(labels[:0], members[:0]) == ""


def test_many_rows_of_few_members_are_few() -> None:
    members = pd.Series([0] * 20 + list(range(1, 31)))  # one member has 20 of 50 rows
    assert say_part(first(20, 50), members) == "some (of fewer than 11 members) of 50"
    assert say_part(~first(20, 50), members) == "all but some (of fewer than 11 members) of 50"
    labels = pd.Series(["mine"] * 20 + ["theirs"] * 30)
    assert say_each(labels, members) == "numbers withheld, since few: theirs, mine"
    # two groups of six each are not twelve where they are the same six
    same = pd.DataFrame({"people": [frozenset(range(6)), frozenset(range(6)), frozenset(range(6, 50))]})
    assert find_few(same, "people").tolist() == [True, True, True]
    others = pd.DataFrame({"people": [frozenset(range(6)), frozenset(range(6, 12)), frozenset(range(12, 50))]})
    assert find_few(others, "people").tolist() == [True, True, False]


def of_few_members(month: Month) -> Month:
    """Return a month in which the same is counted, but three members have all of it."""

    def few(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(member_id=[f"M{n % 3}" for n in range(len(frame))])

    def standing(now: Standing) -> Standing:
        cases = replace(now.cases, table=few(now.cases.table))
        return replace(now, courses=few(now.courses), register=few(now.register), cases=cases)

    assert month.before
    return replace(month, standing=standing(month.standing), before=standing(month.before))


def test_what_three_members_have_is_never_counted(shared_june: Month) -> None:
    month = of_few_members(shared_june)
    register, source, fewest = month.standing.register, "", month.fewest
    for figure in (
        case_charts.draw_search(month.cases, month.standing.cases.searched, source, fewest),
        charts.draw_costs(month.courses, source, fewest),
        outcome_charts.draw_decisions(register, source, fewest),
        outcome_charts.draw_rates(register, source, fewest),
        outcome_charts.draw_sessions(register, source, fewest),
        outcome_charts.draw_estimates(month.estimates, source, fewest=fewest, people=month.people),
    ):
        assert not figure.data
        assert set(re.findall(r"\d+", figure.layout.title.text)) <= {"11"}
    grounds = case_charts.draw_grounds(month.cases, source, fewest)
    assert not any(sum(bar.x) for bar in grounds.data)
    assert set(re.findall(r"\d+", grounds.layout.title.text)) <= {"11"}
    said = [line for line in summarize(month).split("\n") if re.search(r"cases|agreements|Outcomes|Out of net", line)]
    for line in said:
        assert set(re.findall(r"\d+", line.split("new cases")[-1])) <= {"0", "11", "8", "10"}, line
    changes = month.tables["month_changes"].set_index("measure")
    of_people = changes[~changes["unit"].isin(["members", "cells"])]
    assert of_people[["before", "now", "change"]].isna().all(axis=None)
    for name in ("specialties", "ranges", "calibration"):
        numbers = month.tables[name].select_dtypes("number")
        assert numbers.fillna(0).eq(0).all(axis=None), name


def test_every_table_with_a_row_a_patient_is_known(june: Month) -> None:
    named = {n for n, t in june.tables.items() if {"case_id", "course_id", "member_id"} & set(t)}
    assert named == set(OF_ONE_PATIENT)


def test_shared_tables_have_the_same_columns_and_tell_less(june: Month, shared_june: Month) -> None:
    day = re.compile(r"\d{4}-\d\d-\d\d")
    known = {
        v for t in OF_ONE_PATIENT for c in ("case_id", "course_id", "provider_npi") for v in june.tables[t].get(c, ())
    }
    for name, frame in shared_june.tables.items():
        assert list(frame) == list(june.tables[name]), name
        if name in OF_ONE_PATIENT:
            text = frame.to_csv()
            assert not day.search(text), name
            assert not known & set(re.findall(r"\w+", text)), name
    assert set(shared_june.tables["cases"]["county_fips"].dropna()) <= {"23", "25", "33"}
    assert shared_june.tables["case_evidence"]["evidence"].isna().all()


def test_shared_counts_of_people_are_none_or_enough(june: Month, shared_june: Month) -> None:
    tables = shared_june.tables
    people = {
        "gaps": ["members"],
        "compliance": ["members"],
        "gaps_by_demand": ["members", "patients", "out_of_network_patients"],
        "parity": ["patients", "out_of_network_patients"],
        "measures": ["patients", "patients_of"],
        "make_or_buy": ["agreements", "requests", "patients"],
        "specialties": ["courses", "costed"],
        "ranges": ["courses", "costed"],
        "spend": ["patients", "lines"],
        "calibration": ["finished", "known", "within"],
    }
    for name, columns in people.items():
        for column in columns:
            assert not tables[name][column].dropna().between(1, SMALL_CELL - 1).any(), (name, column)
    assert tables["measures"].loc[tables["measures"]["scope"] == "denial_reason", "patients"].notna().all()
    # neurology, dermatology and social work have few; what is left of the total does not tell of one
    shown, total = tables["specialties"]["courses"], len(june.courses)
    assert shown.isna().sum() >= 2
    assert total - shown.sum() >= SMALL_CELL


def test_words_of_a_shared_month_name_no_case_and_no_small_count(june: Month, shared_june: Month) -> None:
    said = summarize(shared_june)
    assert not re.search(r"SCA\d+|C\d{5}", said)
    assert not re.search(r"(\d+) (approved|denied|withdrawn|pending|for )", said)
    assert "due on" not in said
    assert re.search(r"SCA\d+", summarize(june))
    assert "De-identified" in shared_june.use
    assert shared_june.use != june.use


def test_an_identified_month_is_marked_and_not_current_as_another(june: Month, tmp_path: Path) -> None:
    import openpyxl

    save_month(june, tmp_path)
    book = openpyxl.load_workbook(tmp_path / "tables.xlsx")
    assert {sheet.oddHeader.center.text for sheet in book} == {IDENTIFIED}
    for name in ("report.html", "report.ipynb"):
        (tmp_path / name).touch()
    assert is_current(tmp_path, "2026-06", SAMPLE, identified=True)
    assert not is_current(tmp_path, "2026-06", SAMPLE)


@pytest.mark.parametrize(
    "command",
    [
        ("gaps", "--out", "{}/reports/gaps"),
        ("cases", "--out", "{}/Reports"),
        ("dossier", "X", "--out", "{}/reports/a.docx"),
    ],
)
def test_what_names_members_stays_out_of_reports(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([part.format(tmp_path) for part in command])
    assert ended.value.code == 2
    assert "add --identified" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_page_of_an_identified_report_is_marked() -> None:
    import nbformat

    from sca_analysis.page import render

    page = render(nbformat.v4.new_notebook(), "SCA report 2026-06", IDENTIFIED)
    assert "<title>SCA report 2026-06 (IDENTIFIED)</title>" in page
    assert "IDENTIFIED" in page.split('<p class="mark" role="note">')[1].split("</p>")[0]
    assert "IDENTIFIED" in page.split("@top-center { content: ")[1].split(";")[0]
    assert "IDENTIFIED" not in render(nbformat.v4.new_notebook(), "SCA report 2026-06")


def test_no_committed_notebook_or_text_names_a_member() -> None:
    found = [pd.read_csv(SAMPLE / f"{t}.csv", dtype=str) for t in ("members", "claims")]
    known = {v.strip() for t in found for c in ("member_id", "claim_id") if c in t for v in t[c].dropna()}
    texts = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("*.md"), *ROOT.glob("data/*.md"), *ROOT.glob(".github/*.md")]
    assert len(texts) > 10
    for path in texts:
        assert not known & set(re.findall(r"\w+", path.read_text(encoding="utf-8"))), path.name


def test_a_county_of_few_is_not_told_by_another() -> None:
    # 60 members in all: Knox's 4 would be 60 - 30 - 26, so that Lincoln's 26 are withheld with them
    rows = [("1", "Knox, ME", 4, 1.0), ("2", "Lincoln, ME", 26, 1.0), ("3", "Waldo, ME", 30, 1.0)]
    gaps = pd.DataFrame(rows, columns=["county_fips", "county", "members", "share_within"])
    gaps = gaps.assign(county_type="Rural", nearest_miles=9.5, required_providers=1, reason="as it is", status="met")
    shown = _share_gaps(gaps)
    assert shown["members"].fillna(0).tolist() == [0, 0, 30]
    assert shown["share_within"].fillna(0).tolist() == [0, 0, 1]
    assert shown["reason"].tolist() == [
        "fewer than 11 members: figures withheld",
        "figures withheld: they would tell of another county's fewer than 11",
        "as it is",
    ]


def test_a_share_of_one_cell_is_not_told_by_its_total() -> None:
    # 5 of 50 are too far in Knox alone; the share of the specialty over all counties would say so
    rows = [("1", "Knox, ME", 50, 0.9), ("2", "Lincoln, ME", 40, 1.0), ("3", "Waldo, ME", 30, 0.5)]
    gaps = pd.DataFrame(rows, columns=["county_fips", "county", "members", "share_within"])
    gaps = gaps.assign(county_type="Rural", specialty="Urology", nearest_miles=9.5, required_providers=1, status="met")
    gaps["reason"] = "as it is"
    assert _share_gaps(gaps)["share_within"].isna().tolist() == [True, False, False]
    totals = summarize_compliance(gaps)
    shown = _share_compliance(totals, gaps).set_index("name")["share_within"]
    assert shown.isna().to_dict() == {
        "whole plan": True, "Rural": True, "Knox, ME": True, "Lincoln, ME": False, "Waldo, ME": False, "Urology": True
    }  # fmt: skip
