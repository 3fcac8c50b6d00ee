"""Files as they really come: every way of writing a table is read, or refused in one sentence."""

import csv
import gzip
import io
import os
import re
from datetime import date
from decimal import Decimal

import duckdb
import pytest
import yaml

from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.readers import csv as csv_reader
from sca_analysis.rules import RECORD_MEANINGS

HEADER = [
    "claim_id",
    "line_number",
    "member_id",
    "provider_npi",
    "service_date",
    "procedure_code",
    "billed_amount",
    "diagnosis_code",
]
NPI = "1234567893"
DIRECTORY = f"npi,provider_name,taxonomy_code,zip\n{NPI},José Ruiz,2084P0800X,02138\n"
WITHHELD = "MEMBER77"  # a value of a row, which no message may hold


def row(number, **cells):
    values = dict(
        zip(HEADER, [f"C{number}", "1", f"M{number}", NPI, "2026-01-05", "90837", f"{number}.50", "F410"], strict=True)
    )
    return [*(values | cells).values()]


def text(rows, delimiter=",", end="\n", header=HEADER):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
    return out.getvalue()


def folder(tmp_path, claims, name="claims.csv", directory=DIRECTORY, **entry):
    """An exports folder with these bytes as claims; ``entry`` goes into exports.yaml."""
    claims = claims.encode() if isinstance(claims, str) else claims
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(claims)
    (tmp_path / "directory.csv").write_text(directory, encoding="utf-8")
    config = {"period_end": "2026-06-30", "claims": [{"path": name} | entry], "directory": [{"path": "directory.csv"}]}
    (tmp_path / "exports.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return tmp_path


def cells(exports, column, table="claim_versions"):
    return [v for (v,) in exports.connection.execute(f"SELECT {column} FROM {table}").fetchall()]


def claims_of(tmp_path, claims, **options):
    return cells(Exports.open(folder(tmp_path, claims, **options)), "claim_id")


def aside(exports):
    return dict(zip(exports.set_aside["row"], exports.set_aside["reason"], strict=True))


def refusal(tmp_path, *args, **options):
    """The one sentence with which the folder is refused."""
    with pytest.raises(ExportError) as caught:
        Exports.open(folder(tmp_path, *args, **options))
    return sentence(caught)


def sentence(caught):
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert "Error:" not in message
    assert WITHHELD not in message
    assert NPI not in message
    return message


@pytest.mark.parametrize("delimiter", [",", "|", "\t", ";"])
def test_delimiter_is_found(tmp_path, delimiter):
    assert claims_of(tmp_path, text([row(2), row(3)], delimiter)) == ["C2", "C3"]


def test_delimiter_is_found_where_names_hold_commas(tmp_path):
    theirs = text([row(2)], "|", header=["Claim, number, of payer", *HEADER[1:]])
    assert claims_of(tmp_path, theirs, columns={"claim_id": "Claim, number, of payer"}) == ["C2"]


@pytest.mark.parametrize("given", ["~", "\\t", "tab", "¦"])
def test_delimiter_as_given(tmp_path, given):
    theirs = text([row(2)], {"\\t": "\t", "tab": "\t"}.get(given, given))
    assert claims_of(tmp_path, theirs, delimiter=given) == ["C2"]


@pytest.mark.parametrize("given", ['"', "\n", "ab"])
def test_impossible_delimiter_is_refused(tmp_path, given):
    assert "delimiter" in refusal(tmp_path, text([row(2)]), delimiter=given)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_found(tmp_path, encoding):
    data = text([row(2, diagnosis_code="Ñandú 李"), row(3)]).encode(encoding)
    exports = Exports.open(folder(tmp_path, data))
    assert cells(exports, "claim_id") == ["C2", "C3"]
    assert cells(exports, "diagnosis_code")[0] == "Ñandú 李"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_western_encoding_is_found(tmp_path, encoding):
    data = text([row(2, diagnosis_code="José Núñez à Genève, où l'été")]).encode(encoding)
    assert cells(Exports.open(folder(tmp_path, data)), "diagnosis_code") == ["José Núñez à Genève, où l'été"]


def test_encoding_as_given(tmp_path):
    data = text([row(2, diagnosis_code="€ 5")]).encode("cp1252")
    assert cells(Exports.open(folder(tmp_path, data, encoding="cp1252")), "diagnosis_code") == ["€ 5"]


@pytest.mark.parametrize("given", ["klingon", "base64", "rot13"])
def test_unknown_encoding_is_refused(tmp_path, given):
    assert re.search("encoding .* not known", refusal(tmp_path, text([row(2)]), encoding=given))


@pytest.mark.parametrize("encoding", [None, "utf-8", "cp1252"])
def test_bytes_outside_the_encoding_set_the_row_aside(tmp_path, encoding):
    lines = [row(n) for n in range(2, 400)]
    lines[7][7] = "XX"
    data = text(lines).encode().replace(b"XX", b"\x81")
    exports = Exports.open(folder(tmp_path, data, **({"encoding": encoding} if encoding else {})))
    assert aside(exports) == {9: "bytes_not_in_encoding"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path, end):
    assert claims_of(tmp_path, text([row(2), row(3), row(4)], end=end)) == ["C2", "C3", "C4"]


def test_mixed_line_ends(tmp_path):
    lines = text([row(n) for n in range(2, 8)]).split("\n")
    mixed = "".join(
        line + end for line, end in zip(lines, ["\n", "\r\n", "\r", "\n", "\r\n", "\n", "\n"], strict=False)
    )
    assert claims_of(tmp_path, mixed) == [f"C{n}" for n in range(2, 8)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_hold_delimiters_quotes_and_line_ends(tmp_path, end):
    odd = f'a "b", c;|\td{end}{end}e'
    exports = Exports.open(folder(tmp_path, text([row(2, diagnosis_code=odd), row(3)], end=end)))
    assert [c.replace("\r\n", "\n") for c in cells(exports, "diagnosis_code")] == [odd.replace("\r\n", "\n"), "F410"]


def test_a_quote_inside_a_plain_value_is_text(tmp_path):
    data = text([row(2, diagnosis_code="QQ"), row(3)]).replace("QQ", "5' 10\" tall")
    assert cells(Exports.open(folder(tmp_path, data)), "diagnosis_code") == ["5' 10\" tall", "F410"]


@pytest.mark.parametrize("name", ["claims.csv.gz", "claims.txt", "claims.psv"])
def test_names_of_files(tmp_path, name):
    data = text([row(2)]).encode()
    assert claims_of(tmp_path, gzip.compress(data) if name.endswith("gz") else data, name=name) == ["C2"]


@pytest.mark.parametrize("name", ["plan[12]/claims.csv", "cl*ms?.csv", "claim_id=ZZ/claims.csv", "it's/claims.csv"])
def test_a_path_means_itself(tmp_path, name):
    """DuckDB would read the files that match instead, or take a folder's name for a column."""
    sibling = text([row(9)])
    for other in ("plan1/claims.csv", "clxms1.csv"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text(sibling)
    exports = Exports.open(folder(tmp_path, text([row(2)]) + "bad\n", name=name))
    assert cells(exports, "claim_id") == ["C2"]
    assert aside(exports) == {3: "too_few_fields"}


def test_parquet_has_types(tmp_path):
    con = duckdb.connect()
    con.execute(
        f"COPY (SELECT 'C2' claim_id, 1::BIGINT line_number, 1002::DOUBLE member_id, {NPI}::DOUBLE provider_npi, "
        "DATE '2026-01-05' service_date, 90837::INT procedure_code, 12.5::DECIMAL(20,4) billed_amount, 99.125::DOUBLE "
        "allowed_amount, TIMESTAMP '2026-01-05 10:00:00' AS other, 2138::DOUBLE member_zip, NULL::DOUBLE units) "
        f"TO '{tmp_path}/claims.parquet'"
    )
    (tmp_path / "directory.csv").write_text(DIRECTORY)
    exports = Exports.open(tmp_path)
    wanted = ", ".join(HEADER[:-1]) + ", allowed_amount, member_zip, units"
    assert exports.connection.execute(f"SELECT {wanted} FROM claims").fetchall() == [
        ("C2", "1", "1002", NPI, date(2026, 1, 5), "90837", Decimal("12.50"), Decimal("99.13"), "02138", Decimal("1"))
    ]


@pytest.mark.parametrize("name", ["claims.parquet", "cl[a]ims.parquet"])
def test_parquet_that_is_none_is_refused(tmp_path, name):
    assert "not a readable Parquet" in refusal(tmp_path, text([row(2)]), name=name)


def test_parquet_called_csv_is_refused(tmp_path):
    assert "not delimited text" in refusal(tmp_path, b"PAR1" + bytes(100))


@pytest.mark.parametrize(
    "preamble", ["Claims\nof June\n", "Claims\n\n", '"Claims,\n of June\n', 'a "b\n"\n', '"x\ny",z\n']
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_preamble_is_skipped(tmp_path, preamble, end):
    data = (preamble + text([row(4), row(5, billed_amount="x")]) + "\nbad\n").replace("\n", end)
    exports = Exports.open(folder(tmp_path, data, skip_rows=2))
    assert cells(exports, "claim_id") == ["C4"]
    assert aside(exports) == {5: "not_an_amount:billed_amount", 6: "too_few_fields"}


def test_header_over_two_lines(tmp_path):
    data = text([row(2), row(3)], header=["claim\nnumber", *HEADER[1:]]) + "bad\n"
    exports = Exports.open(folder(tmp_path, data, columns={"claim_id": "claim\nnumber"}))
    assert cells(exports, "claim_id") == ["C2", "C3"]
    assert aside(exports) == {4: "too_few_fields"}


def test_no_header_where_one_is_expected(tmp_path):
    assert "skip_rows" in refusal(tmp_path, "\n" + text([row(2)]))


def test_values_in_place_of_a_header_are_not_shown(tmp_path):
    assert "header row may be missing" in refusal(tmp_path, f"{WITHHELD},{NPI},2026-01-05\n")


def test_needed_name_twice_is_refused(tmp_path):
    message = refusal(tmp_path, text([[*row(2), "x"]], header=[*HEADER, "Member_ID"]))
    assert "'member_id' 2 times" in message


def test_other_names_twice_are_no_matter(tmp_path):
    header = [*HEADER, "x", "X", "x_10", "", "", "column_12"]
    assert claims_of(tmp_path, text([[*row(2), *"abcdef"]], header=header)) == ["C2"]


def test_missing_column_names_file_and_column(tmp_path):
    message = refusal(tmp_path, text([row(2)[1:]], header=HEADER[1:]))
    assert "claims.csv" in message
    assert "claim_id" in message
    message = refusal(tmp_path, text([row(2)]), columns={"claim_id": "CLM_NO"})
    assert "claims.csv" in message
    assert "'CLM_NO'" in message


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_swallowed_by_a_quoted_name_are_not_shown(tmp_path, end):
    """A quote out of order makes a row part of a name: the message stays one line, and shows no value."""
    header = [f'"claim_id{end}C2,M0000042"', *HEADER[1:]]
    said = refusal(tmp_path, end.join([",".join(header), "C1,1"]) + end)
    assert "no column for claim_id" in said
    assert "M0000042" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b" "])
def test_empty_file_is_refused(tmp_path, data):
    assert "claims.csv is empty" in refusal(tmp_path, data)


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_header_only_has_no_rows(tmp_path, end):
    exports = Exports.open(folder(tmp_path, ",".join(HEADER) + end))
    assert exports.files.loc[0, ["rows_read", "accepted", "set_aside"]].tolist() == [0, 0, 0]


def test_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "claims.csv").mkdir()
    (tmp_path / "directory.csv").write_text(DIRECTORY)
    with pytest.raises(ExportError) as caught:
        Exports.open(tmp_path)
    assert "claims.csv is a folder" in sentence(caught)


@pytest.mark.parametrize(
    "data",
    [b"PK\x03\x04" + bytes(50), gzip.compress(b"a,b\n"), b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, bytes(5000)],
    ids=["xlsx", "gz", "png", "zeros"],
)
def test_binary_called_csv_is_refused(tmp_path, data):
    assert "claims.csv" in refusal(tmp_path, data)


def damaged(how):
    """A gzip of some megabytes, damaged: at its head, in its middle, cut off or not one at all."""
    body = bytearray(gzip.compress(text([row(n) for n in range(2, 30_000)]).encode(), 1))
    if how == "middle":
        body[len(body) // 2 : len(body) // 2 + 100] = os.urandom(100)
    return {"cut": bytes(body[: len(body) * 2 // 3]), "none": b"claim_id,x\n", "head": bytes(body[5:])}.get(
        how, bytes(body)
    )


@pytest.mark.parametrize("how", ["middle", "cut", "none", "head"])
def test_damaged_gz_is_refused(tmp_path, how):
    assert "claims.csv.gz cannot be read" in refusal(tmp_path, damaged(how), name="claims.csv.gz")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read every file")
def test_no_permission(tmp_path):
    made = folder(tmp_path, text([row(2)]))
    (made / "claims.csv").chmod(0)
    with pytest.raises(ExportError) as caught:
        Exports.open(made)
    assert "permission" in sentence(caught).lower()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_records_that_are_no_rows_are_set_aside_by_number(tmp_path, end):
    lines = [
        ",".join(HEADER),
        "",
        ",".join(row(2)),
        "",
        "",
        "few,fields",  # 3
        ",".join(row(4, diagnosis_code=f'"x{end}{end}{end}y"')),
        ",".join([*row(5), "more"]),  # 5
        "",
        ",".join(row(6, diagnosis_code='"closed"late')),  # 6
        ",".join(row(7, billed_amount="zero")),  # 7
        "",
        "few",  # 8
        ",".join(row(9)),
        ",".join(row(10, diagnosis_code="nul\x00")),  # 10
        ",".join(row(11, billed_amount="zero")),  # 11
    ]
    exports = Exports.open(folder(tmp_path, end.join(lines)))
    assert cells(exports, "claim_id") == ["C2", "C4", "C9"]
    assert aside(exports) == {
        3: "too_few_fields",
        5: "too_many_fields",
        6: "broken_quotes",
        7: "not_an_amount:billed_amount",
        8: "too_few_fields",
        10: "nul_byte",
        11: "not_an_amount:billed_amount",
    }
    assert exports.files.loc[0, ["rows_read", "accepted", "set_aside"]].tolist() == [10, 3, 7]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("skipped", [0, 2])
def test_blank_lines_are_not_counted_where_quotes_are_in_order(tmp_path, end, skipped):
    odd = f'"x{end}{end}y""{end}"'
    lines = [*["June", ""][:skipped], ",".join(HEADER), ""]
    bad = {}
    number = skipped + 1
    for step in range(40):
        number += 1
        lines += [",".join(row(number, diagnosis_code=odd)), *[""] * (step % 3)]
        number += 1
        lines.append(["few", ",".join([*row(number), "more"]), ",".join(row(number, billed_amount="x"))][step % 3])
        bad[number] = ["too_few_fields", "too_many_fields", "not_an_amount:billed_amount"][step % 3]
    exports = Exports.open(folder(tmp_path, end.join(lines), skip_rows=skipped))
    assert aside(exports) == bad
    assert cells(exports, "claim_id") == [f"C{n}" for n in range(skipped + 2, number, 2)]


@pytest.mark.parametrize("rows", [60, 20_000])
@pytest.mark.parametrize("opened", [[8], [8, 30], [8, 9, 30]])
def test_a_quote_that_never_closes_loses_only_its_line(tmp_path, rows, opened):
    lines = [row(n) for n in range(2, rows)]
    for index in opened:
        lines[index][7] = "OPEN"
    lines[-3][6] = "x"
    exports = Exports.open(folder(tmp_path, text(lines).replace("OPEN", '"oops')))
    assert aside(exports) == {n + 2: "broken_quotes" for n in opened} | {rows - 3: "not_an_amount:billed_amount"}
    assert exports.files.loc[0, "rows_read"] == rows - 2


def test_spaces_around_quotes_are_no_break(tmp_path):
    lines = text([row(2, diagnosis_code="QQ"), row(3), row(4, diagnosis_code="OPEN")])
    exports = Exports.open(folder(tmp_path, lines.replace("QQ", ' "a, b" ').replace("OPEN", '"oops')))
    assert cells(exports, "diagnosis_code") == ["a, b", "F410"]
    assert aside(exports) == {4: "broken_quotes"}


@pytest.mark.parametrize("first", [True, False])
def test_a_file_of_two_entries_is_accounted_for_in_each(tmp_path, first):
    """A byte that one entry reads and the other does not costs a row of the one entry only."""
    lines = text([row(2), row(3), row(4)]).encode().splitlines(keepends=True)
    lines[0] = lines[0].rstrip(b"\n") + b",other\n"
    rows = [line.rstrip(b"\n") + (b",\xff\n" if n == 1 else b",x%d\n" % n) for n, line in enumerate(lines[1:])]
    (tmp_path / "claims.csv").write_bytes(b"".join([lines[0], *rows]))
    (tmp_path / "directory.csv").write_text(DIRECTORY, encoding="utf-8")
    entries = ["{path: claims.csv, encoding: utf-8, columns: {claim_id: other}}", "{path: claims.csv, encoding: utf-8}"]
    listed = ", ".join(entries if first else entries[::-1])
    (tmp_path / "exports.yaml").write_text(f"claims: [{listed}]\ndirectory: {{path: directory.csv}}\n")
    files = Exports.open(tmp_path).files
    counts = files.loc[files["table"] == "claims", ["rows_read", "accepted", "set_aside"]].to_numpy().tolist()
    assert sorted(counts) == [[3, 2, 1], [3, 3, 0]]


def test_a_cell_of_five_megabytes_is_set_aside(tmp_path):
    data = text([row(2), row(3, diagnosis_code="x" * 5_000_000), row(4)]) + "bad\n"
    exports = Exports.open(folder(tmp_path, data))
    assert cells(exports, "claim_id") == ["C2", "C4"]
    assert aside(exports) == {3: "record_too_long", 5: "too_few_fields"}


def test_blank_lines_in_one_column_are_rows(tmp_path):
    made = folder(tmp_path, text([row(2)]))
    (made / "fees.csv").write_text("procedure_code\n90837\n\n90834\n1,2\n")
    (made / "exports.yaml").unlink()
    exports = Exports.open(made)
    assert aside(exports) == {3: "missing:procedure_code", 5: "too_many_fields"}


def test_columns_as_list_are_joined_by_a_space(tmp_path):
    directory = f"npi,first,middle,last,taxonomy_code,zip\n{NPI},Ada,,Ng,2084P0800X,02138\n"
    made = folder(tmp_path, text([row(2)]), directory=directory)
    config = yaml.safe_load((made / "exports.yaml").read_text())
    config["directory"][0]["columns"] = {"provider_name": ["first", "middle", "last"]}
    (made / "exports.yaml").write_text(yaml.safe_dump(config))
    assert cells(Exports.open(made), "provider_name", "directory") == ["Ada Ng"]


def test_empty_list_of_columns_is_refused(tmp_path):
    assert "columns" in refusal(tmp_path, text([row(2)]), columns={"claim_id": []})


def test_constants_fill_a_column_or_its_blanks(tmp_path):
    header = [*HEADER, "net"]
    data = text([[*row(2), "A"], [*row(3), ""], [*row(4), "  "]], header=header)
    options = {"columns": {"network_id": "net"}, "constants": {"network_id": "EX1", "claim_status": "paid"}}
    exports = Exports.open(folder(tmp_path, data, **options))
    assert cells(exports, "network_id") == ["A", "EX1", "EX1"]
    assert set(cells(exports, "claim_status")) == {"paid"}


def test_values_are_translated_without_regard_to_case(tmp_path):
    data = text(
        [[*row(2), "P"], [*row(3), " p "], [*row(4), ""], [*row(5), "denied"]], header=[*HEADER, "claim_status"]
    )
    exports = Exports.open(folder(tmp_path, data, values={"claim_status": {"P": "paid", "": "reversed"}}))
    assert cells(exports, "claim_status") == ["paid", "paid", "reversed", "denied"]


def test_keep_selects_rows(tmp_path):
    data = text([[*row(2), "CHARGE"], [*row(3, billed_amount="x"), "PAY"], [*row(4), ""]], header=[*HEADER, "TYPE"])
    exports = Exports.open(folder(tmp_path, data, keep={"TYPE": ["CHARGE", ""]}))
    assert cells(exports, "claim_id") == ["C2", "C4"]
    assert aside(exports) == {3: "not_selected:TYPE"}


def joined(tmp_path, heads, rows=(2, 3, 4), **options):
    (tmp_path / "heads.csv").write_text(heads)
    data = text([[*row(n)[2:], f"C{n}", "1"] for n in rows], header=[*HEADER[2:], "CLM", "line_number"])
    join = [{"path": "heads.csv", "on": {"clm": "ID"}}]
    return folder(tmp_path, data, join=join, columns={"claim_id": "CLM", "network_id": "net"}, **options)


def test_join_adds_columns_and_keeps_order(tmp_path):
    exports = Exports.open(joined(tmp_path, "Id,net,Member_ID\nC4,N4,other\nC2,N2,other\n,N0,\n,N1,\n"))
    assert cells(exports, "network_id") == ["N2", None, "N4"]
    assert cells(exports, "member_id") == ["M2", "M3", "M4"]


def test_join_numbers_rows_of_the_left_file(tmp_path):
    made = joined(tmp_path, "id,net\nC3,N3\n", rows=range(2, 6))
    lines = (made / "claims.csv").read_text().splitlines()
    (made / "claims.csv").write_text(
        "\n".join([lines[0], "", "bad", *lines[1:4], "bad", lines[4].replace("5.50", "x")])
    )
    exports = Exports.open(made)
    assert aside(exports) == {2: "too_few_fields", 6: "too_few_fields", 7: "not_an_amount:billed_amount"}
    assert exports.files.loc[0, ["rows_read", "accepted", "set_aside"]].tolist() == [6, 3, 3]


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        ("id,net\nC2,a\nC2,b\n", "repeats for 1 keys"),
        ("other,net\nC2,a\n", "no column 'ID'"),
        ("id,net\nC2,a\nC3\n", "heads.csv row 3"),
        ("id,net,NET\nC2,a,b\n", "'net' 2 times"),
        ("", "heads.csv is empty"),
    ],
)
def test_join_that_would_lose_or_multiply_rows_is_refused(tmp_path, heads, said):
    with pytest.raises(ExportError) as caught:
        Exports.open(joined(tmp_path, heads))
    assert said in sentence(caught)


def test_join_with_a_file_that_is_not_there(tmp_path):
    made = joined(tmp_path, "x")
    (made / "heads.csv").unlink()
    with pytest.raises(ExportError) as caught:
        Exports.open(made)
    assert "heads.csv cannot be read" in sentence(caught)


def test_header_matches_without_regard_to_case(tmp_path):
    assert claims_of(tmp_path, text([row(2)], header=[f" {h.upper()} " for h in HEADER])) == ["C2"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"colums": {}}, "claims.0.colums"),
        ({"columns": {"claim_no": "x"}}, "'claim_no' is not a column of claims"),
        ({"constants": {"x": "y"}}, "'x' is not a column"),
        ({"values": {"x": {"y": "z"}}}, "'x' is not a column"),
        ({"keep": {"TYPE": "A"}}, "'TYPE'"),
        ({"format": "x12-999"}, "format 'x12-999' is not known"),
        ({"skip_rows": -1}, "skip_rows"),
        ({"skip_rows": 99}, "claims.csv"),
        ({"date_format": "%q"}, "date_format '%q'"),
        ({"date_format": "MM/DD/YYYY"}, "date_format 'MM/DD/YYYY'"),
        ({"date_format": []}, "date_format"),
        ({"rules": {"npi_shap": "warn"}}, "'npi_shap' cannot be set"),
        ({"rules": {"npi_shape": "ignore"}}, "rules.npi_shape"),
    ],
)
def test_mistakes_in_an_entry_are_named(tmp_path, entry, said):
    assert said in refusal(tmp_path, text([row(2)]), **entry)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("claims: [", "not valid YAML"),
        ("", "something else"),
        ("- a", "something else"),
        ("claims: claims.csv", "claims: "),
        ("claim:\n  path: claims.csv", "claim: is not a name"),
        ("claims: {path: claims.csv}", "lists no files for directory"),
        (
            "claims: {path: claims.csv}\nclaims: {path: b.csv}\ndirectory: {path: directory.csv}",
            "line 2 repeats a name",
        ),
        ("claims: {path: nowhere.csv}\ndirectory: {path: directory.csv}", "'nowhere.csv'"),
        ("claims: {path: '*.none'}\ndirectory: {path: directory.csv}", "'*.none'"),
        ("claims: {path: 'a**/b.csv'}\ndirectory: {path: directory.csv}", "'a**/b.csv'"),
        (f"claims: {{path: {'x' * 300}}}\ndirectory: {{path: directory.csv}}", "exports.yaml"),
        ("period_end: June\nclaims: {path: claims.csv}\ndirectory: {path: directory.csv}", "period_end"),
        ("claims: {format: csv}\ndirectory: {path: directory.csv}", "claims.0.path"),
    ],
)
def test_mistakes_in_exports_yaml_are_named(tmp_path, config, said):
    made = folder(tmp_path, text([row(2)]))
    (made / "exports.yaml").write_text(config)
    with pytest.raises(ExportError) as caught:
        Exports.open(made)
    assert said in sentence(caught)


def test_yaml_traps_stay_text(tmp_path):
    made = folder(tmp_path, text([row(2)], header=["on", *HEADER[1:]]))
    (made / "exports.yaml").write_text(
        "claims:\n  path: claims.csv\n  columns: {claim_id: on}\n"
        "  constants: {network_id: NO, member_zip: 02138, place_of_service: 011}\n"
        "directory: {path: directory.csv}\nperiod_end: 2026-06-30\nmembers:\n"
    )
    [found] = (
        Exports.open(made)
        .connection.execute("SELECT claim_id, network_id, member_zip, place_of_service FROM claims")
        .fetchall()
    )
    assert found == ("C2", "NO", "02138", "011")


def test_yaml_in_another_encoding_is_refused(tmp_path):
    made = folder(tmp_path, text([row(2)]))
    (made / "exports.yaml").write_text("plan: {name: Größe}", encoding="cp1252")
    with pytest.raises(ExportError) as caught:
        Exports.open(made)
    assert "UTF-8" in sentence(caught)


def test_globs_read_every_file_once_in_order(tmp_path):
    made = folder(tmp_path, text([row(5)]), name="lines/b.csv")
    (made / "lines" / "a.csv").write_text(text([row(9), row(3)], "|"))
    config = (made / "exports.yaml").read_text().replace("lines/b.csv", "lines/*.csv")
    (made / "exports.yaml").write_text(config)
    exports = Exports.open(made)
    assert cells(exports, "claim_id") == ["C9", "C3", "C5"]
    assert exports.files["path"].tolist()[:2] == ["lines/a.csv", "lines/b.csv"]


@pytest.mark.parametrize("pattern", ["../lines/a.csv", "../lines/*.csv", "ABSOLUTE"])
def test_paths_outside_the_folder(tmp_path, pattern):
    made = folder(tmp_path / "exports", text([row(2)]))
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "a.csv").write_text(text([row(3)]))
    pattern = pattern.replace("ABSOLUTE", str(tmp_path / "lines" / "a.csv"))
    (made / "exports.yaml").write_text(f"claims: {{path: '{pattern}'}}\ndirectory: {{path: directory.csv}}")
    exports = Exports.open(made)
    assert cells(exports, "claim_id") == ["C3"]
    assert exports.files.loc[0, "path"] == "../lines/a.csv"


def test_both_claims_csv_and_gz_are_refused(tmp_path):
    (tmp_path / "claims.csv").write_text(text([row(2)]))
    (tmp_path / "claims.csv.gz").write_bytes(gzip.compress(text([row(2)]).encode()))
    (tmp_path / "directory.csv").write_text(DIRECTORY)
    with pytest.raises(ExportError) as caught:
        Exports.open(tmp_path)
    assert "claims.csv and claims.csv.gz" in sentence(caught)


@pytest.mark.parametrize("missing", ["claims.csv", "directory.csv"])
def test_required_files(tmp_path, missing):
    made = folder(tmp_path, text([row(2)]))
    (made / "exports.yaml").unlink()
    (made / missing).unlink()
    with pytest.raises(ExportError) as caught:
        Exports.open(made)
    assert missing in sentence(caught)


def test_every_reason_of_a_reader_is_explained():
    reasons = set(csv_reader._REASONS.values()) | {"nul_byte", "malformed_record"}
    assert reasons <= set(RECORD_MEANINGS)
