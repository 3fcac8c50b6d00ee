"""The folder's own NUCC release: new codes become known, and count as the others of their classification."""

from pathlib import Path

import pandas as pd
import pytest

from sca_analysis import standards
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers.nucc import read_new_codes
from tests.folders import claim, listing, write_tables

HEADER = "Code,Grouping,Classification,Specialization,Definition,Notes,Display Name,Section"
PHYSICIANS = "Allopathic & Osteopathic Physicians"
KNOWN = [
    f"207K00000X,{PHYSICIANS},Allergy & Immunology,,,,,Individual",
    f"207KA0200X,{PHYSICIANS},Allergy & Immunology,Allergy,,,,Individual",
    f"207RC0000X,{PHYSICIANS},Internal Medicine,Cardiovascular Disease,,,,Individual",
    f"207RN0300X,{PHYSICIANS},Internal Medicine,Nephrology,,,,Individual",
    "111N00000X,Chiropractic Providers,Chiropractor,,,,,Individual",
]
NEW = [
    f"207KX9999X,{PHYSICIANS},Allergy & Immunology,New,,,,Individual",
    f"207RX9999X,{PHYSICIANS},Internal Medicine,New,,,,Individual",
    "999X00000X,New Providers,New,,,,,Non-Individual",
]


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standards, "_LEARNT", {})


def write(path: Path, rows: list[str], header: str = HEADER, encoding: str = "utf-8-sig") -> Path:
    path.write_bytes("\r\n".join([header, *rows, ""]).encode(encoding))
    return path


def test_new_codes_by_hand(tmp_path: Path) -> None:
    found = read_new_codes(write(tmp_path / "nucc_taxonomy_260.csv", [*KNOWN, *NEW]))
    assert found.drop(columns="source").to_numpy().tolist() == [
        ["207KX9999X", "Allergy and Immunology", "individual"],
        ["207RX9999X", None, "individual"],
        ["999X00000X", None, "group_or_facility"],
    ]
    assert set(found["source"]) == {"nucc_taxonomy_260.csv, as the codes of its classification"}


def test_a_folder_with_its_own_release(tmp_path: Path) -> None:
    codes = ["207KX9999X", "207RX9999X", "888X00000X", "207K00000X"]
    lines = [claim("M1", 1, taxonomy_code=code) for code in codes]
    folder = write_tables(tmp_path, claims=lines, directory=[listing(1, taxonomy_code=codes[0])])
    unknown = Exports.open(folder).findings
    assert unknown[unknown["rule"].str.startswith("taxonomy")][["table", "rule", "rows"]].to_numpy().tolist() == [
        ["claims", "taxonomy_unknown", 3],
        ["directory", "taxonomy_unknown", 1],
    ]
    write(tmp_path / "nucc.csv", [*KNOWN, *NEW])
    text = "claims: {path: claims.csv}\ndirectory: {path: directory.csv}\nreference: {taxonomy: nucc.csv}\n"
    (tmp_path / "exports.yaml").write_text(text, encoding="utf-8")
    exports = Exports.open(folder)
    found = exports.findings[exports.findings["rule"].str.startswith("taxonomy")]
    assert found[["table", "rule", "rows", "of_rows"]].to_numpy().tolist() == [
        ["claims", "taxonomy_unknown", 1, 4],
        ["claims", "taxonomy_newer", 1, 4],
        ["claims", "taxonomy_newer_open", 1, 4],
        ["directory", "taxonomy_newer", 1, 1],
    ]
    assert tmp_path / "nucc.csv" in exports.paths
    named = standards.specialty_of(pd.Series(codes))
    assert named.fillna("").tolist() == ["Allergy and Immunology", "", "", "Allergy and Immunology"]
    assert standards.unknown_codes(pd.Series(codes))["taxonomy_code"].tolist() == ["888X00000X"]


def test_the_findings_of_a_folder_are_its_own(tmp_path: Path) -> None:
    lines = [claim("M1", 1, taxonomy_code="207KX9999X")]
    one, other = (
        write_tables(tmp_path / name, claims=lines, directory=[listing(1, taxonomy_code="207K00000X")])
        for name in ("one", "other")
    )
    write(one / "nucc.csv", [*KNOWN, *NEW])
    text = "claims: {path: claims.csv}\ndirectory: {path: directory.csv}\nreference: {taxonomy: nucc.csv}\n"
    (one / "exports.yaml").write_text(text, encoding="utf-8")
    rules = [set(Exports.open(folder).findings["rule"]) for folder in (one, other)]  # in one process
    assert [{r for r in found if r.startswith("taxonomy")} for found in rules] == [
        {"taxonomy_newer"},
        {"taxonomy_unknown"},
    ]


def test_a_packaged_code_stays_as_it_is(tmp_path: Path) -> None:
    before = standards.load_taxonomy()
    moved = "111N00000X,Chiropractic Providers,Podiatrist,,,,,Individual"
    standards.learn_taxonomy(read_new_codes(write(tmp_path / "n.csv", [moved])))
    row = before.iloc[[0]].assign(specialty="Podiatry")
    standards.learn_taxonomy(row)
    pd.testing.assert_frame_equal(standards.load_taxonomy(), before)


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("Code,Grouping,Specialization", ["207K00000X,a,b"], "no column Classification"),
        (HEADER, [], "no codes"),
        (HEADER, [KNOWN[0], "207K,a,b,,,,,Individual"], "record 3: no taxonomy code, as in 1 records"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, header: str, rows: list[str], expected: str) -> None:
    with pytest.raises(ExportError, match=expected):
        read_new_codes(write(tmp_path / "n.csv", rows, header))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, claims=[claim("M1", 1)], directory=[listing(1)])
    text = "claims: {path: claims.csv}\ndirectory: {path: directory.csv}\nreference: {taxonomy: nucc.csv}\n"
    (tmp_path / "exports.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ExportError, match=r"reference: there is no file 'nucc\.csv'"):
        Exports.open(tmp_path)


@pytest.mark.parametrize("name", ["nucc_taxonomy_240.csv", "nucc_provider_taxonomy.csv"])
def test_the_packaged_release_has_no_new_codes(shared_exports: Path, name: str) -> None:
    assert read_new_codes(shared_exports / "codesets" / "nucc" / name).empty


def test_how_well_classifications_tell_the_specialty(shared_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each code of the real release taken as if it were new: the figures that the module states."""
    packaged = standards.load_packaged_taxonomy()
    counts = {"right": 0, "wrong": 0, "open": 0}
    path = shared_exports / "codesets" / "nucc" / "nucc_taxonomy_240.csv"
    release = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="cp1252").set_index("Code")
    of = packaged.set_index("taxonomy_code")["specialty"].fillna("-")
    for code, row in release.iterrows():
        alike = (release["Grouping"] == row["Grouping"]) & (release["Classification"] == row["Classification"])
        others = set(of[release.index[alike].drop(code)])
        counts["open" if len(others) != 1 else "right" if others == {of[code]} else "wrong"] += 1
    assert counts == {"right": 542, "wrong": 4, "open": 328}
    one = packaged[packaged["taxonomy_code"] != "207KA0200X"]
    monkeypatch.setattr(standards, "load_packaged_taxonomy", lambda: one)
    assert read_new_codes(path)[["taxonomy_code", "specialty"]].to_numpy().tolist() == [
        ["207KA0200X", "Allergy and Immunology"]
    ]
