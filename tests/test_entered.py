"""Facts that people enter about cases: as CSV or YAML, in the form of each fact, none lost."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.tables import FACTS, Kind
from tests.folders import claim, listing, write_tables

GOOD = {
    Kind.FLAG: ("yes", "No", "true", "0"),
    Kind.TEXT: ("two relapses; see the letter", "None"),
    Kind.DATE: ("2026-06-30", "20260630"),
    Kind.TAXONOMY: ("2084P0804X", "2084p0804x"),
    Kind.MONEY: ("26000.00", "$1,250.50", "0"),
    Kind.COUNT: ("12", "12.0"),
    Kind.CODE: ("00-1234567",),
}
BAD = {
    Kind.FLAG: ("maybe", "2"),
    Kind.DATE: ("30.06.2026", "2026-02-30"),
    Kind.TAXONOMY: ("child psychiatry", "2084P0804"),
    Kind.MONEY: ("much", "-5.00"),
    Kind.COUNT: ("a dozen", "1.5", "-1"),
}


def fact(name: str, value: str | None, day: str = "2026-06-01", case: str = "SCA000001") -> dict[str, str | None]:
    return {"case_id": case, "fact": name, "value": value, "entered_by": "the clinic", "entered_on": day}


def opened(folder, rows, **more):
    tables = {"claims": [claim("M1", 1)], "directory": [listing(1)]} | ({"entered": rows} if rows else {})
    write_tables(folder, **tables)
    for name, text in more.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    if more:
        lines = "".join(f"{t}: [{{path: {t}.csv}}]\n" for t in tables)
        entered = ", ".join(f"{{path: {name}.yaml}}" for name in more)
        (folder / "exports.yaml").write_text(f"{lines}entered: [{entered}]\n", encoding="utf-8")
    exports = Exports.open(folder)
    files = exports.files[exports.files["table"] == "entered"]
    assert (files["rows_read"] == files["accepted"] + files["set_aside"]).all()
    return exports


@pytest.mark.parametrize("column", FACTS, ids=lambda f: f.name)
def test_each_fact_takes_values_of_its_form_alone(tmp_path, column):
    good, bad = GOOD[column.kind], BAD.get(column.kind, ())
    rows = [fact(column.name, v, f"2026-06-{n:02d}") for n, v in enumerate((*good, *bad), 1)]
    exports = opened(tmp_path, rows)
    assert exports.frame("entered")["value"].tolist() == list(good)
    aside = exports.set_aside[exports.set_aside["table"] == "entered"]
    assert aside["reason"].tolist() == ["value_does_not_fit:value"] * len(bad)
    assert not any(value in text for value in bad for text in aside["value_class"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (fact("shoe size", "42"), "unknown_value:fact"),
        (fact("setback", None), "missing:value"),
        (fact("setback", "yes") | {"entered_by": None}, "missing:entered_by"),
        (fact("setback", "yes", "2999-01-01"), "date_in_future:entered_on"),
        (fact("setback", "yes") | {"case_id": None}, "missing:case_id"),
    ],
)
def test_who_said_what_of_which_case_and_when_cannot_be_missing(tmp_path, row, reason):
    exports = opened(tmp_path, [fact("w9", "yes"), row])
    assert exports.set_aside["reason"].tolist() == [reason]


def test_yaml_of_a_case(tmp_path):
    text = """
case_id: SCA000011
entered_by: A. Analyst, case management
entered_on: 2026-06-30
facts:
  setback: yes
  sessions_wanted: 012
  license: {value: ME PS1234, entered_by: the practice, entered_on: 2026-06-12}
  shoe size: 42
  income: [1, 2]
---
no facts here: 1
"""
    exports = opened(tmp_path, [], case=text)
    [file] = exports.files[exports.files["table"] == "entered"].to_dict("records")
    assert file["format"] == "entered-yaml"
    assert (file["rows_read"], file["accepted"]) == (6, 3)
    assert file["reasons"] == {"malformed_record": 2, "unknown_value:fact": 1}
    found = exports.frame("entered").set_index("fact")
    assert found["value"].to_dict() == {"setback": "yes", "sessions_wanted": "012", "license": "ME PS1234"}
    assert found.loc["license", "entered_by"] == "the practice"
    assert str(found.loc["setback", "entered_on"])[:10] == "2026-06-30"
    assert exports.set_aside.sort_values("row")["row"].tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [("facts: [", "is not valid YAML: correct line"), ("x" * 1_000_001, "has over 1,000,000 bytes")],
)
def test_what_is_no_yaml_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(ExportError, match=message):
        opened(tmp_path, [], case=text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_accounted_for_or_refused(tmp_path_factory, text):
    with suppress(ExportError):
        opened(tmp_path_factory.mktemp("any"), [], case=text)
