"""What a request asks for: procedures, units, rate, sessions, dates and the rest, each with where it comes from.

In: one case, its latest request, the facts entered and what was billed. Out: plain text for a letter.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import narwhals as nw
import pandas as pd

from sca_analysis.cases import CaseList
from sca_analysis.claims import visit_lines, window
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.phrases import BLANK, day, dollars, says_yes, text, who

#: Length of the agreement that is proposed. [assumption: neither exports nor entered facts say how long]
MONTHS = 6
#: A shorter run of visits says nothing of their pace. [assumption: a month]
LEAST_DAYS = 30
#: Days before the last day from which a renewal is to be talked over. [assumption]
RENEWAL = 30
FEES = ("in_network_rate", "medicare_rate", "out_of_network_allowed", "usual_charge")
PROCEDURE = ["procedure_code", "visits", "units", "charge", *FEES]


def list_procedures(exports: Exports, case_list: CaseList, case_id: str) -> pd.DataFrame:
    """Return what was billed for a case in the twelve months, procedure by procedure, the most billed first.

    Returns
    -------
    DataFrame
        procedure_code, visits (days), units (median a visit), charge (median a unit) [USD], and of ``fees``
        in_network_rate, medicare_rate, out_of_network_allowed, usual_charge [USD a unit]. OON visits only; last the
        procedure of the latest request, where it was not billed.

    """
    row = case_list.find(case_id)
    lines = visit_lines(exports, *window(case_list.as_of)).filter(
        nw.col("member_id") == row["member_id"],
        nw.col("provider_npi") == row["provider_npi"],
        nw.col("is_out_of_network"),
        nw.col("units") > 0,
    )
    lines = to_pandas(lines.select("service_date", "procedure_code", "units", "billed_amount"))
    found = [
        {
            "procedure_code": code,
            "visits": same["service_date"].nunique(),
            "units": _middle(list(same.groupby("service_date")["units"].sum())),
            "charge": _middle([b / u for b, u in zip(same["billed_amount"], same["units"], strict=True)]),
            "billed": same["billed_amount"].sum(),
        }
        for code, same in lines.groupby("procedure_code")
    ]
    found.sort(key=lambda one: (-one["billed"], one["procedure_code"]))
    asked = row["procedure_code"]
    if case_id in case_list.requests.index and row["state"] != "not_asked":
        asked = case_list.requests.loc[case_id, "procedure_code"]
    if pd.notna(asked) and asked not in [one["procedure_code"] for one in found]:
        found.append({"procedure_code": asked, "visits": 0, "units": None, "charge": None})
    fees = exports.frame("fees")
    fees = fees.loc[fees["locality"].isna(), ["procedure_code", *FEES]]
    table = pd.DataFrame(found, columns=["procedure_code", "visits", "units", "charge"], dtype=object)
    return table.merge(fees, on="procedure_code", how="left", validate="1:1")[PROCEDURE]


def with_main(procedures: pd.DataFrame, row: Mapping[str, Any], main: Any) -> pd.DataFrame:
    """Return the procedures with the one asked for first, added where it was not billed in the twelve months."""
    if pd.isna(main):
        return procedures
    first = procedures["procedure_code"] == main
    if first.any():
        return pd.concat([procedures[first], procedures[~first]], ignore_index=True)
    mine = row if row["procedure_code"] == main else {}
    added = {"procedure_code": main, "visits": 0, "units": None, **{c: mine.get(c) for c in ("charge", *FEES)}}
    rows = [added, *procedures.to_dict("records")]
    return pd.DataFrame(rows, columns=PROCEDURE, dtype=object)


def set_terms(
    as_of: date,
    row: Mapping[str, Any],
    asked: Mapping[str, Any],
    entered: Mapping[str, Mapping[str, Any]],
    billed: pd.DataFrame,
    main: Any,
) -> dict[str, str]:
    """Return what is asked for, each term with where it comes from."""
    first, begins = _first_day(as_of, row, asked)
    last = first + pd.DateOffset(months=MONTHS) - pd.Timedelta(days=1)
    rate, rate_basis = _set_rate(row, asked, entered, billed, main)
    sessions, sessions_basis = _set_sessions(as_of, row, entered, (last - first).days + 1)
    commitment = says_yes(entered, "billing_commitment")
    billing = "the provider commits to billing the plan for the patient" if commitment else "not given so far"
    return {
        "procedure": BLANK if pd.isna(main) else str(main),
        "rate": rate,
        "rate_basis": rate_basis,
        "sessions": sessions,
        "sessions_basis": sessions_basis,
        "first_day": day(first),
        "last_day": day(last),
        "length_basis": f"proposed: {begins}, for {MONTHS} months, as no length was given",
        "place": text(entered["place"]["value"]) if "place" in entered else "to be confirmed: office or telehealth",
        "billing": "to be confirmed by the provider"
        if commitment is None
        else f"{billing} ({who(entered['billing_commitment'])})",
        "renewal": f"to be reviewed from {day(last - pd.Timedelta(days=RENEWAL))} if treatment is to go on",
    }


def _first_day(as_of: date, row: Mapping[str, Any], asked: Mapping[str, Any]) -> tuple[pd.Timestamp, str]:
    expiry = asked.get("expiry_date")
    if row["state"] == "agreed" and expiry is not None and pd.notna(expiry):
        return pd.Timestamp(expiry) + pd.Timedelta(days=1), "from the day after the agreement in force ends"
    if row["state"] == "pending":
        return pd.Timestamp(row["asked_on"]), "from the day of the request"
    return pd.Timestamp(as_of), "from the date of this letter"


def _set_rate(
    row: Mapping[str, Any],
    asked: Mapping[str, Any],
    entered: Mapping[str, Mapping[str, Any]],
    billed: pd.DataFrame,
    main: Any,
) -> tuple[str, str]:
    """Return the rate of a unit that is asked for, and whether it was entered, requested, or is the usual charge."""
    if "rate_asked" in entered:
        amount = Decimal(str(entered["rate_asked"]["value"]).replace("$", "").replace(",", ""))
        return dollars(amount), who(entered["rate_asked"])
    if pd.notna(requested := asked.get("requested_rate", pd.NA)) and row["state"] != "not_asked":
        return dollars(requested), f"as in the request of {day(row['asked_on'])}"
    known = billed[billed["procedure_code"] == main]
    return _usual(known.iloc[0].to_dict()) if len(known) else (BLANK, "to be entered")


def _usual(procedure: Mapping[Any, Any]) -> tuple[str, str]:
    """Return the usual charge of a procedure or else what the provider charged, saying which."""
    if pd.notna(procedure["usual_charge"]):
        return dollars(procedure["usual_charge"]), "usual full fee"
    if pd.notna(procedure["charge"]):
        return dollars(procedure["charge"]), "median of what the provider charged in the 12 months"
    return BLANK, "to be entered"


def ask_for(procedure: Mapping[Any, Any], terms: Mapping[str, str]) -> dict[str, str]:
    """Return one procedure that is asked for: its units and its rate."""
    is_main = procedure["procedure_code"] == terms["procedure"]
    rate, basis = (terms["rate"], terms["rate_basis"]) if is_main else _usual(procedure)
    return {
        "code": str(procedure["procedure_code"]),
        "visits": str(procedure["visits"]),
        "units": BLANK if pd.isna(procedure["units"]) else f"{float(procedure['units']):g}",
        "rate": rate,
        "basis": basis,
    }


def _set_sessions(
    as_of: date, row: Mapping[str, Any], entered: Mapping[str, Mapping[str, Any]], days: int
) -> tuple[str, str]:
    """Return the sessions asked for: as entered, or as many as at the pace so far."""
    if "sessions_wanted" in entered:
        return str(entered["sessions_wanted"]["value"]), who(entered["sessions_wanted"])
    if not row["visits"]:
        return BLANK, "to be entered: there are no out-of-network visits in the 12 months to go by"
    start = max(pd.Timestamp(window(as_of)[0]), pd.Timestamp(row["first_visit_date"]))
    past = max((pd.Timestamp(as_of) - start).days + 1, LEAST_DAYS)
    sessions = -(-int(row["visits"]) * days // past)
    return str(sessions), f"proposed: the pace of {row['visits']} visits in the {past} days to {day(as_of)}, rounded up"


def _middle(values: list[Decimal]) -> Decimal:
    """Return the median; of two in the middle the lower: a figure that was there."""
    return sorted(values)[(len(values) - 1) // 2]
