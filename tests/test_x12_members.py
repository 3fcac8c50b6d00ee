"""The patients of an 837 as members: one row a member, a claim being the unit that is counted."""

import shutil
from pathlib import Path

import pytest

from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers.x12_rows import mark_of
from tests.test_x12 import REAL
from tests.x12_files import BILLER, split_text, transaction, write

HEAD = ["BHT*0019*00*1*20260105*1200*CH", "HL*1**20*1", f"NM1*85*2*CLINIC*****XX*{BILLER}", "N4*BATH*ME*04530"]
LINE = ["LX*1", "SV1*HC:90837*150*UN*1***1", "DTP*472*D8*20260102"]


def subscriber(number: str, zip_code: str = "04330", born: str = "19760704") -> list[str]:
    return ["HL*2*1*22*0", "SBR*P*18", f"NM1*IL*1*DOE*JO****MI*{number}", f"N4*X*ME*{zip_code}", f"DMG*D8*{born}*F"]


def dependant(given: str, zip_code: str, born: str) -> list[str]:
    return ["HL*3*2*23*0", "PAT*19", f"NM1*QC*1*DOE*{given}", f"N4*X*ME*{zip_code}", f"DMG*D8*{born}*M"]


def claim(number: str, *more: str) -> list[str]:
    return [f"CLM*{number}*150***11:B:1", *more, *LINE]


def open_members(folder: Path, *files: list[str]) -> Exports:
    for n, segments in enumerate(files):
        write(folder / f"{n}.837", transaction("837", *segments))
    (folder / "directory.csv").write_text("npi,provider_name,taxonomy_code,zip\n", encoding="utf-8")
    text = "claims: {path: '*.837'}\nmembers: {path: '*.837'}\ndirectory: {path: directory.csv}\n"
    (folder / "exports.yaml").write_text(text, encoding="utf-8")
    return Exports.open(folder)


def found(exports: Exports) -> list[tuple[object, ...]]:
    columns = ["member_id", "zip", "birth_year"]
    return [tuple(row) for row in exports.frame("members")[columns].itertuples(index=False)]


def account(exports: Exports) -> tuple[int, int, dict[str, int]]:
    [file] = exports.files[exports.files["table"] == "members"].to_dict("records")
    assert file["format"] == "x12-837"
    assert file["rows_read"] == file["accepted"] + file["set_aside"]
    return file["rows_read"], file["accepted"], file["reasons"]


def test_subscriber_and_dependant_with_the_numbers_of_their_claims(tmp_path: Path) -> None:
    patients = [*subscriber("M1"), *claim("C1"), *dependant("KIM", "04011", "20110102"), *claim("C2"), *claim("C3")]
    exports = open_members(tmp_path, [*HEAD, *patients])
    assert found(exports) == [("M1", "04330", 1976), (f"M1{mark_of('KIM')}", "04011", 2011)]
    assert account(exports) == (3, 3, {})
    assert set(exports.frame("claims")["member_id"]) == set(exports.frame("members")["member_id"])
    members = exports.frame("members")
    assert members[["network_id", "county_fips", "effective_date", "termination_date"]].isna().all().all()
    said = exports.findings[exports.findings["rule"] == "members_from_claims"]
    assert said[["table", "path", "rows"]].to_numpy().tolist() == [["members", "0.837", 2]]
    assert "covered always" in said["meaning"].iloc[0]


def test_the_newest_address_counts_and_a_blank_says_nothing(tmp_path: Path) -> None:
    newer = [HEAD[0].replace("20260105", "20260305"), *HEAD[1:], *subscriber("M1", "04011", ""), *claim("C2")]
    again = [*HEAD, *subscriber("M1", "04330"), *claim("C1"), *subscriber("M1", ""), *claim("C3")]
    write(tmp_path / "all.837", [*transaction("837", *newer)[:-1], *transaction("837", *again)])
    exports = open_members(tmp_path)
    assert found(exports) == [("M1", "04011", 1976)]
    assert account(exports) == (3, 3, {})


def test_of_several_files_the_newest_counts(tmp_path: Path) -> None:
    """Whatever their names; the claims of the others are accounted for as duplicates."""
    days = [(2, "20260305", "04011"), (1, "20260405", "04086"), (1, "20260105", "04330")]
    files = []
    for count, day, zip_code in days:
        claims = [segment for n in range(count) for segment in claim(f"C{day}{n}")]
        files.append([HEAD[0].replace("20260105", day), *HEAD[1:], *subscriber("M1", zip_code), *claims])
    exports = open_members(tmp_path, *files)
    assert found(exports) == [("M1", "04086", 1976)]
    members = exports.files[exports.files["table"] == "members"]
    assert members[["rows_read", "accepted", "set_aside"]].to_numpy().tolist() == [[2, 0, 2], [1, 1, 0], [1, 0, 1]]


def test_a_subscriber_without_claims_is_no_patient(tmp_path: Path) -> None:
    exports = open_members(tmp_path, [*HEAD, *subscriber("M1")[:3], *dependant("KIM", "04011", ""), *claim("C1")])
    assert [row[0] for row in found(exports)] == [f"M1{mark_of('KIM')}"]
    assert account(exports) == (1, 1, {})


def test_what_is_set_aside(tmp_path: Path) -> None:
    """Claims of nobody, of a member without a ZIP, of one whose loop was lost; damage in lines costs no member."""
    nobody = [*subscriber(""), *claim("C1"), *claim("C2")]
    no_zip = [*subscriber("M2", ""), *claim("C3"), *claim("C4")]
    lost = [*subscriber("M3"), "XXX*1", *claim("C5")]
    fine = [*subscriber("M4"), *claim("C6"), "XXX*1", "LX*2", "SV1*HC:90785*50*UN*1***1"]
    other_payer = [
        *subscriber("M5"),
        *claim("C7", "SBR*S*18", "NM1*IL*1*ROE*AL****MI*Z9", "N4*X*ME*99999", "DMG*D8*19010101"),
    ]
    unclear = [*subscriber("M6"), "CLM*C8*150***11:B:1", "XXX*1", *LINE]  # may have begun another patient
    exports = open_members(tmp_path, [*HEAD, *nobody, *no_zip, *lost, *fine, *other_payer, *unclear])
    assert found(exports) == [("M4", "04330", 1976), ("M5", "04330", 1976)]
    read, accepted, reasons = account(exports)
    assert (read, accepted) == (9, 2)
    assert reasons == {"missing:member_id": 2, "missing:zip": 2, "unknown_segment": 3}


def test_another_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "c.837", transaction("837", *HEAD, *subscriber("M1"), *claim("C1")))
    text = "claims: {path: c.837}\ndirectory: {path: c.837, format: x12-837}\n"
    (tmp_path / "exports.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ExportError, match="directory: format x12-837 is for claims and members only"):
        Exports.open(tmp_path)


@pytest.mark.parametrize("name", [name for name, lines, _ in REAL if lines])
def test_every_claim_of_a_real_file_is_counted(shared_exports: Path, tmp_path: Path, name: str) -> None:
    path = shared_exports / "claims" / name
    shutil.copy(path, tmp_path / "0.837")
    exports = open_members(tmp_path)
    read, accepted, reasons = account(exports)
    assert read == sum(s[0] == "CLM" for s in split_text(path.read_bytes()))
    assert accepted == read - reasons.get("malformed_segment", 0) > 0
    assert set(exports.frame("claims")["member_id"]) <= set(exports.frame("members")["member_id"])
