"""The synthetic exports: the same everywhere, consistent, and with everything in them that the key lists."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest
import zipcodes

from sca_analysis import sample
from sca_analysis.errors import ParameterError
from sca_analysis.sample import FILES, write_sample
from sca_analysis.sample.facts import COUNTIES, COUNTY_TYPES, load_facts
from sca_analysis.sample.planted import COLUMNS
from sca_analysis.sample.providers import npi_of
from sca_analysis.tables import EXPORTS

AMOUNTS = ["billed_amount", "allowed_amount", "paid_amount", "member_amount"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample")
    write_sample(out)
    return out


@pytest.fixture(scope="module")
def tables(folder):
    return {f.removesuffix(".csv"): read(folder / f) for f in FILES if f.endswith(".csv")}


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def luhn_valid(npi):
    digits = [int(d) for d in "80840" + npi]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def is_rows(table, planted, *kinds):
    """True for the rows of a table that the key lists under these kinds."""
    listed = planted[planted["kind"].isin(kinds) & (planted["file"] == f"{table[0]}.csv")]
    return (table[1].index + 2).isin(listed["row"].astype(int))


@pytest.fixture(scope="module")
def claims(tables):
    """Claim lines without bad or odd rows, amounts as decimals or None."""
    planted = tables["planted"]
    good = tables["claims"][~is_rows(("claims", tables["claims"]), planted, "bad_row", "repair", "warning")].copy()
    for column in AMOUNTS:
        good[column] = [Decimal(v) if v else None for v in good[column]]
    return good


def test_committed_sample_is_what_the_code_writes(folder, request):
    committed = request.config.rootpath / "data" / "sample"
    assert sorted(p.name for p in committed.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (committed / name).read_bytes() == (folder / name).read_bytes(), name


def test_seed_decides_the_bytes(tmp_path):
    calls = []
    write_sample(tmp_path / "a", members=300, seed=1, progress=calls.append)
    write_sample(tmp_path / "b", members=300, seed=1)
    write_sample(tmp_path / "c", members=300, seed=2)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert (tmp_path / "a" / "claims.csv").read_bytes() != (tmp_path / "c" / "claims.csv").read_bytes()
    assert calls == [300]


def test_an_older_sample_is_replaced(tmp_path):
    write_sample(tmp_path, members=200)
    write_sample(tmp_path, members=100)
    assert read(tmp_path / "members.csv")["member_id"].nunique() <= 101


def test_rows_are_numbered_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "BLOCK", 150)
    write_sample(tmp_path, members=400)
    members, claims, planted = (read(tmp_path / f"{t}.csv") for t in ("members", "claims", "planted"))
    assert set(range(1, 401)) == {int(m[1:]) for m in members["member_id"] if m}
    assert not claims[claims["claim_version"] == "1"].duplicated(["claim_id", "line_number"]).sum() > 10
    for table, frame in (("members", members), ("claims", claims)):
        blank = planted[(planted["expected"] == "missing:member_id") & (planted["file"] == f"{table}.csv")]
        assert len(blank) >= 3
        assert (frame["member_id"].iloc[blank["row"].astype(int) - 2] == "").all()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"members": 99}, "members"),
        ({"members": 10_000_000}, "members"),
        ({"seed": -1}, "seed"),
        ({"start": date(2026, 1, 1), "end": date(2026, 2, 1)}, "period"),
    ],
)
def test_unusable_parameters_are_refused(tmp_path, arguments, word):
    with pytest.raises(ParameterError, match=word):
        write_sample(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_bytes(b"")
    with pytest.raises(ParameterError, match=r"thesis\.docx"):
        write_sample(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]
    with pytest.raises(ParameterError, match="is a file"):
        write_sample(tmp_path / "thesis.docx")


def test_headers_are_the_canonical_columns(folder, tables):
    for name, frame in tables.items():
        assert tuple(frame.columns) == (COLUMNS if name == "planted" else EXPORTS[name].names)
    for name in FILES:
        data = (folder / name).read_bytes()
        assert data.endswith(b"\n")
        assert b"\r" not in data


def test_size_of_the_committed_sample(folder, tables):
    assert 20_000 <= len(tables["claims"]) <= 28_000
    assert (folder / "claims.csv").stat().st_size < 3.5e6
    assert 20 <= len(tables["agreements"]) <= 40


def test_npi_check_digits():
    assert npi_of(123456789) == "1234567893"  # the example of the NPI standard
    assert luhn_valid("1234567893")
    assert not luhn_valid("1234567894")


def test_npis_are_valid_unless_planted_and_nobodys(tables):
    for table, column in (("claims", "provider_npi"), ("directory", "npi"), ("agreements", "provider_npi")):
        frame = tables[table]
        valid = frame[column].map(lambda v: len(v) == 10 and v.isdigit() and luhn_valid(v))
        listed = tables["planted"][tables["planted"]["expected"].str.endswith(f":{column}")]
        rows = set(listed[listed["file"] == f"{table}.csv"]["row"].astype(int) - 2)
        assert set(frame.index[~valid]) == rows
        assert (frame[column][valid] < "1003000000").all()  # below the lowest that NPPES has assigned


def test_places_are_those_of_zipcodes():
    known = {z["zip_code"]: z for z in zipcodes.list_all()}
    places = load_facts().places
    for zip_, county, latitude, longitude in zip(
        places.zips, places.county, places.latitude, places.longitude, strict=True
    ):
        z = known[zip_]
        assert (z["zip_code_type"], z["active"]) == ("STANDARD", True)
        assert (z["state"], z["county"]) == (COUNTIES[county].state, COUNTIES[county].name + " County")
        assert (float(z["lat"]), float(z["long"])) == (latitude, longitude)
        assert zip_.startswith("0")


def test_counties_of_five_types_and_a_small_one(tables):
    members = tables["members"].drop_duplicates("member_id")
    place = dict(zip(load_facts().places.zips, load_facts().places.county, strict=True))
    share = members["zip"].str.zfill(5).map(place).value_counts(normalize=True)
    assert {c.county_type for c in COUNTIES} == set(COUNTY_TYPES)
    for i, county in enumerate(COUNTIES):
        if county.percent:
            assert share[i] >= 0.03
        else:
            assert 0 < share[i] * len(members) < 11


def test_members_have_spans_as_planned(tables):
    planted, members = tables["planted"], tables["members"]
    members = members[~is_rows(("members", members), planted, "bad_row")]
    spans = members.groupby("member_id").size()
    assert len(spans) == 2000
    assert 0.85 <= (spans == 1).mean() <= 0.90
    changed = members.groupby("member_id")["network_id"].nunique() == 2
    assert 0.03 <= changed.mean() <= 0.05


def test_money_adds_up_to_the_cent(claims):
    known = claims[claims["allowed_amount"].notna()]
    balance = known["paid_amount"] + known["member_amount"] - known["allowed_amount"]
    sca_with_balance_bill = balance != 0
    assert (balance[sca_with_balance_bill] > 0).all()
    assert (known["network_status"][sca_with_balance_bill] != "in").all()
    assert sca_with_balance_bill.mean() < 0.01
    signs = claims["claim_status"].map({"reversed": -1}).fillna(1).astype(int)
    for column in AMOUNTS:
        assert all(a is None or a * s >= 0 for a, s in zip(claims[column], signs, strict=True))
    assert (known["allowed_amount"].abs() <= known["billed_amount"].abs()).all()
    assert (claims["paid_amount"][claims["claim_status"] == "denied"] == 0).all()


def test_cost_shares_follow_the_benefits(claims, tables):
    """Walk through the lines of one network and year by hand, where nothing was adjusted or agreed."""
    simple = claims[claims["claim_version"].eq("1") & claims["network_status"].eq("in")]
    first = tables["members"].groupby("member_id")["network_id"].agg(["nunique", "first"])
    ppo = first.index[(first["nunique"] == 1) & (first["first"] == "EX1")]
    touched = set(claims["member_id"][claims["claim_version"].ne("1") | claims["network_status"].ne("in")])
    touched |= set(tables["claims"]["member_id"].iloc[tables["claims"].index.difference(claims.index)])
    people = sorted(set(ppo) & set(simple["member_id"]) - touched)[:100]
    checked = 0
    for member in people:
        lines = simple[(simple["member_id"] == member) & (simple["service_date"] < "2026")]
        left = Decimal(500)
        for _, row in lines.sort_values(["service_date", "claim_id", "line_number"]).iterrows():
            deductible = min(left, row["allowed_amount"])
            left -= deductible
            rest = (row["allowed_amount"] - deductible) * Decimal("0.20")
            assert row["member_amount"] == deductible + rest.quantize(Decimal("0.01"), "ROUND_HALF_UP")
            checked += 1
    assert checked > 200


def test_versions_supersede(tables):
    line = ["claim_id", "line_number"]
    claims = tables["claims"].query("claim_id != '' and line_number != ''").drop_duplicates([*line, "claim_version"])
    first, second = (claims[claims["claim_version"] == v] for v in ("1", "2"))
    both = second.merge(first, on=line, how="left", validate="1:1", indicator=True)
    assert (both["_merge"] == "both").all()
    assert 0.02 <= len(both) / len(first) <= 0.04
    reversals = both[both["claim_status_x"] == "reversed"]
    assert len(reversals) > 100
    assert (reversals["paid_amount_x"].astype(float) == -reversals["paid_amount_y"].astype(float)).all()


def test_network_status_agrees_with_the_directory(claims, tables):
    directory = tables["directory"]
    listed = {
        (r.npi, k)
        for r in directory.itertuples()
        if not r.termination_date and not r.effective_date > "2025-01-01"
        for k in ([r.network_id] if r.network_id else ["EX1", "EX2"])
    }
    known = claims[claims["network_status"].ne("") & claims["network_id"].ne("")]
    found = [(r.provider_npi, r.network_id) in listed for r in known.itertuples()]
    assert (known["network_status"].eq("in") == found).all()


def test_ghosts_are_listed_and_never_seen(tables):
    planted = tables["planted"]
    ghosts = set(planted["npi"][planted["kind"] == "ghost"])
    assert len(ghosts) >= 5
    assert ghosts <= set(tables["directory"]["npi"])
    assert not ghosts & set(tables["claims"]["provider_npi"])


def test_listed_providers_are_seen_unless_planted(tables):
    planted, directory = tables["planted"], tables["directory"]
    unseen_kinds = ["ghost", "terminated", "not_yet_effective", "other_network_only"]
    unseen = set(planted["npi"][planted["kind"].isin(unseen_kinds)])
    good = directory[~is_rows(("directory", directory), planted, "bad_row")]
    last_year = tables["claims"][tables["claims"]["service_date"].between("2025-07-01", "2026-06-30")]
    assert set(good["npi"]) - unseen <= set(last_year["provider_npi"])


def test_courses_of_treatment(tables):
    planted, claims = tables["planted"], tables["claims"]
    courses = planted[planted["kind"].isin(["course", "weak_course", "continuity"])]
    assert len(courses) >= 40
    assert (courses["kind"] == "continuity").sum() >= 5
    days = claims.groupby(["member_id", "provider_npi"])["service_date"].agg(["nunique", "min", "max"])
    mine = days.loc[list(zip(courses["member_id"], courses["npi"], strict=True))]
    assert mine["nunique"].between(3, 60).all()
    assert ((mine["min"] < "2025-07-01") & (mine["max"] >= "2026-06-01")).sum() >= 5
    assert (mine["max"] < "2026-03-01").sum() >= 5


def test_agreements_belong_to_oon_courses(tables):
    planted, agreements = tables["planted"], tables["agreements"]
    courses = planted[planted["kind"].isin(["course", "weak_course", "continuity"])]
    pairs = set(zip(courses["member_id"], courses["npi"], strict=True))
    assert set(zip(agreements["member_id"], agreements["provider_npi"], strict=True)) <= pairs
    assert set(agreements["decision"]) == {"approved", "denied", "withdrawn", "pending", ""}
    kinds = {"treatment_before_request", "sessions_over", "expired", "balance_billed"}
    cases = planted[planted["kind"].isin(kinds)]
    assert set(cases["kind"]) == kinds
    assert set(cases["case_id"]) <= set(agreements["case_id"])


def test_every_planted_row_is_there(tables):
    looks = {
        "missing": lambda v: v == "",
        "not_a_date": lambda v: v == "2025-02-30",
        "date_in_future": lambda v: v > "2026-06-30",
        "npi_check_digit": lambda v: len(v) == 10 and not luhn_valid(v),
        "npi_shape": lambda v: v == "1.23E+09",
        "taxonomy_shape": lambda v: len(v) != 10 or not v.endswith("X"),
        "zip_shape": lambda v: not v.isdigit(),
        "not_an_amount": lambda v: not v[:1].isdigit(),
        "negative_amount": lambda v: v.startswith("-"),
        "unknown_value": lambda v: v in ("in review", "tier 2"),
        "ends_before_start": lambda v: v == "1999-12-31",
        "zip_repaired": lambda v: len(v) == 4,
        "amount_cleaned": lambda v: v.startswith("$"),
    }
    seen = set()
    for p in tables["planted"].query("row != '' and expected != ''").itertuples():
        table = p.file.removesuffix(".csv")
        frame, at = tables[table], int(p.row) - 2
        rule, _, column = p.expected.partition(":")
        row = frame.iloc[at]
        before = frame.iloc[:at]
        key = list(EXPORTS[table].key)
        if rule in ("duplicate_row", "duplicate_key"):
            same_key = (before[key] == row[key]).all(axis=1)
            same = (before == row).all(axis=1)
            assert same_key.any(), p
            assert same.any() == (rule == "duplicate_row"), p
        elif rule == "allowed_above_billed":
            assert Decimal(row["allowed_amount"]) > Decimal(row["billed_amount"])
        else:
            assert looks[rule](row[column]), p
        seen.add(rule)
    long_zips = tables["planted"].query("kind == 'zip_plus_4'")["row"].astype(int) - 2
    assert tables["directory"]["zip"].iloc[long_zips].str.fullmatch(r"0\d{4}-\d{4}").all()
    assert len(long_zips) == 12
    assert seen == {*looks, "duplicate_row", "duplicate_key", "allowed_above_billed"}


def test_nothing_is_spoilt_that_the_key_does_not_list(tables):
    planted, claims = tables["planted"], tables["claims"]
    good = claims[~is_rows(("claims", claims), planted, "bad_row", "repair", "warning")]
    assert good["service_date"].between("2025-01-01", "2026-06-30").all()
    assert good["member_zip"].str.fullmatch(r"0\d{4}|").all()
    assert not good.duplicated(list(EXPORTS["claims"].key)).any()
    required = [c.name for c in EXPORTS["claims"].columns if c.required]
    assert (good[required] != "").all(axis=None)
    assert good[required].map(lambda v: v == v.strip()).all(axis=None)
