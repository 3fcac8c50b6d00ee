"""The sample written in other formats and read again gives the same tables, but for what a format cannot carry."""

from pathlib import Path

import pytest

from sca_analysis.exports import Exports
from sca_analysis.tables import EXPORTS
from tests import round_trip as trip
from tests.conftest import SAMPLE


@pytest.fixture(scope="module")
def sample() -> Exports:
    return Exports.open(SAMPLE)


@pytest.fixture(scope="module")
def lines(sample: Exports) -> list[trip.Row]:
    return trip.rows_of(sample, "claim_versions")


@pytest.fixture(scope="module")
def births(sample: Exports) -> dict[str, int | None]:
    return {m["member_id"]: m["birth_year"] for m in trip.rows_of(sample, "members")}


def open_folder(folder: Path, claims: str, directory: str = "directory.csv") -> Exports:
    if directory == "directory.csv":
        (folder / directory).write_bytes((SAMPLE / directory).read_bytes())
    text = f"claims: {claims}\ndirectory: {{path: {directory!r}}}\n"
    (folder / "exports.yaml").write_text(text, encoding="utf-8")
    return Exports.open(folder)


def all_accepted(exports: Exports, table: str) -> int:
    """The rows read of a table, once none of them was set aside."""
    files = exports.files[exports.files["table"] == table]
    assert files["set_aside"].sum() == 0, files["reasons"].tolist()
    return int(files["rows_read"].sum())


def is_payment(row: trip.Row) -> bool:
    return row["claim_version"] % 100 >= 50


def test_837(tmp_path: Path, lines: list[trip.Row], births: dict[str, int | None]) -> None:
    named = [r for r in lines if r["claim_version"] == 1 or trip.original(r) == r["claim_id"]]
    trip.write_837(tmp_path / "claims.837", named, births)
    exports = open_folder(tmp_path, "{path: claims.837}")
    assert exports.files["format"][0] == "x12-837"
    assert all_accepted(exports, "claims") == len(named) > 21_000
    got = trip.rows_of(exports, "claim_versions")
    assert trip.in_order(got) == trip.in_order(trip.carried_by_837(r) for r in named)


@pytest.mark.parametrize("apart", [False, True])
def test_837_with_835(
    tmp_path: Path, sample: Exports, lines: list[trip.Row], births: dict[str, int | None], apart: bool
) -> None:
    """Every version, and the one that counts; replacements name their original in both ways."""
    trip.write_837(tmp_path / "claims.837", lines, births, apart=apart)
    trip.write_835(tmp_path / "payments.835", lines)
    exports = open_folder(tmp_path, "[{path: 'claims*.837'}, {path: payments.835}]")
    assert all_accepted(exports, "claims") == 2 * len(lines)
    got = trip.rows_of(exports, "claim_versions")
    submissions = [r for r in got if not is_payment(r)]
    assert trip.in_order(submissions) == trip.in_order(trip.carried_by_837(r) for r in lines)
    payments = [r for r in got if is_payment(r)]
    assert trip.in_order(payments) == trip.in_order(trip.carried_by_835(r) for r in lines)
    counting = trip.rows_of(sample, "claims")
    assert trip.in_order(trip.rows_of(exports, "claims")) == trip.in_order(trip.carried_by_835(r) for r in counting)
    joined = exports.findings.set_index("rule")
    assert joined.loc["remittance_joined", "rows"] == len(lines)


def test_members_of_an_837(
    tmp_path: Path, sample: Exports, lines: list[trip.Row], births: dict[str, int | None]
) -> None:
    """Who had a claim: number, ZIP and year of birth; an 837 knows neither network nor days of coverage."""
    trip.write_837(tmp_path / "claims.837", lines, births)
    (tmp_path / "exports.yaml").write_text(
        "claims: {path: claims.837}\nmembers: {path: claims.837}\ndirectory: {path: directory.csv}\n", encoding="utf-8"
    )
    (tmp_path / "directory.csv").write_bytes((SAMPLE / "directory.csv").read_bytes())
    exports = Exports.open(tmp_path)
    blank: trip.Row = dict.fromkeys(EXPORTS["members"].names)
    zips: dict[str, str | None] = {}
    for line in sorted(lines, key=lambda r: (r["claim_version"], r["claim_id"])):
        zips[line["member_id"]] = line["member_zip"] or zips.get(line["member_id"])
    carried = [blank | {"member_id": m, "zip": z, "birth_year": births.get(m)} for m, z in zips.items() if z]
    assert trip.in_order(trip.rows_of(exports, "members")) == trip.in_order(carried)
    assert len(carried) > 1_800
    [file] = exports.files[exports.files["table"] == "members"].to_dict("records")
    assert file["rows_read"] == len({(r["claim_id"], r["claim_version"]) for r in lines})


def test_plan_net(tmp_path: Path, sample: Exports) -> None:
    """A listing without a network is the one thing that Plan-Net has not: it is set aside, not read as of all."""
    rows = trip.rows_of(sample, "directory")
    trip.write_plan_net(tmp_path / "plan-net", rows)
    (tmp_path / "claims.csv").write_bytes((SAMPLE / "claims.csv").read_bytes())
    exports = open_folder(tmp_path, "{path: claims.csv}", "plan-net/*.ndjson")
    carried = [r for r in rows if r["network_id"]]
    assert 0 < len(rows) - len(carried) < 20
    got = trip.rows_of(exports, "directory")
    assert trip.in_order(got) == trip.in_order(carried)
    files = exports.files[exports.files["table"] == "directory"]
    assert set(files["format"]) == {"fhir-plan-net"}
    written = sum(len(p.read_text().splitlines()) for p in (tmp_path / "plan-net").iterdir())
    assert (files["rows_read"].sum(), files["accepted"].sum()) == (written, len(carried))
    reasons = files.set_index("path")["reasons"]["plan-net/PractitionerRole.ndjson"]
    assert reasons == {"no_network": len(rows) - len(carried)}


def test_parquet(tmp_path: Path, sample: Exports) -> None:
    trip.write_parquet(tmp_path, sample, [t for t in EXPORTS if t not in sample.missing])
    exports = Exports.open(tmp_path)
    assert set(exports.files["format"]) == {"parquet"}
    assert exports.files["set_aside"].sum() == 0
    assert exports.missing == sample.missing
    for table in ("claim_versions", *(t for t in EXPORTS if t not in sample.missing)):
        got, expected = trip.rows_of(exports, table), trip.rows_of(sample, table)
        assert trip.in_order(got) == trip.in_order(expected), table
        assert len(expected) > 0
