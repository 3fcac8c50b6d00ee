"""Tables as people read them."""

from decimal import Decimal

import pandas as pd

from sca_analysis.amounts import MONEY
from sca_analysis.display import show_plain, show_table


def test_money_shares_and_dates_are_formatted_by_their_declaration() -> None:
    frame = pd.DataFrame(
        {
            "billed": pd.Series([Decimal("1234.50")], dtype=MONEY),
            "share_within": [0.875],
            "visits": [1200],
            "first_visit_date": pd.to_datetime(["2026-01-06"]),
            "nearest_miles": [12.345],
        }
    )
    html = show_table(frame, "Courses").data
    for text in ("1,234.50", "88%", "1,200", "2026-01-06", "12.3", "billed [USD]", "Courses (1 rows)"):
        assert text in html, text


def test_long_tables_say_how_many_rows_there_are() -> None:
    html = show_table(pd.DataFrame({"a": range(100)}), "Numbers", most=3).data
    assert "Numbers (first 3 of 100 rows)" in html
    assert html.count("<tr>") == 4


def test_an_empty_table_says_so() -> None:
    assert show_table(pd.DataFrame({"a": []}), "No <b>").data == "<p>No &lt;b&gt;: no rows.</p>"


def test_what_a_cell_holds_is_escaped() -> None:
    html = show_table(pd.DataFrame({"<i>": ["<script>alert(1)</script>", None]}), "Names").data
    assert "<script>" not in html
    assert "<i>" not in html
    assert "None" not in html


def test_plain_text_has_no_quotes() -> None:
    assert repr(show_plain("a\nb")) == "a\nb"
    assert repr(show_plain(pd.DataFrame({"a": [1]}))) == "   a\n0  1"
