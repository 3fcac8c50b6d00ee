"""The chart of coverage: what is always filled is counted, what is not is shown with its share."""

import pandas as pd

from sca_analysis.coverage_charts import draw_coverage

ROWS = [("claims", "claim_id", 1000), ("claims", "network_id", 510), ("claims", "member_zip", 0)]
ROWS += [("fees", "locality", 4), ("fees", "usual_charge", 996), ("fees", "medicare_rate", 1000)]


def coverage(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    filled = [(table, column, n, 1000, n / 1000) for table, column, n in rows]
    return pd.DataFrame(filled, columns=["table", "column", "filled", "rows", "share_filled"])


def test_columns_that_are_not_always_filled() -> None:
    figure = draw_coverage(coverage(ROWS), "Source: plan.")
    assert figure.layout.title.text == "2 of 6 columns are filled in every row, 1 in none"
    assert figure.layout.title.subtitle.text == "Source: plan. Columns that are not filled in every row."
    claims, fees = figure.data
    assert (claims.name, fees.name) == ("claims", "fees")
    assert [list(part) for part in claims.y] == [["claims", "claims"], ["network_id", "member_zip"]]
    assert list(claims.x) == [0.51, 0.0]
    assert list(claims.text) == ["51%", "empty"]
    assert list(fees.text) == ["<1%", ">99%"]
    assert claims.customdata.tolist() == [[510, 1000], [0, 1000]]


def test_nothing_is_missing() -> None:
    figure = draw_coverage(coverage(ROWS[:1]), "Source: plan.")
    assert figure.layout.title.text == "1 of 1 columns are filled in every row, 0 in none"
    assert not figure.data
