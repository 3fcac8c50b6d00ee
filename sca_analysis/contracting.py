"""Make or buy: where SCAs repeat, what a contract at the in-network rate would save, and when it pays.

In: the register and the claims of twelve months. Out: one row a specialty and county, and a provider in it, with
several agreements. What a contract costs is for the user to say: without it, the answer is the cost up to which
it pays.
"""

from datetime import date
from decimal import Decimal

import narwhals as nw
import pandas as pd

from sca_analysis.amounts import MONEY
from sca_analysis.claims import window
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.register import expect_allowed, join_terms, list_requests, pair_lines
from sca_analysis.tables import MAKE_OR_BUY

_CELL = ["specialty", "county_fips"]
_SUMS = ["at_agreed_rate", "at_in_network_rate"]
_CENT = Decimal("0.01")


def make_or_buy(
    register: pd.DataFrame,
    exports: Exports,
    as_of: date,
    contract_cost: Decimal | None = None,
    request_cost: Decimal | None = None,
    least: int = 2,
) -> pd.DataFrame:
    """Return where SCAs repeat within twelve months, and from when contracting the provider is cheaper.

    Parameters
    ----------
    register : DataFrame
        Columns of ``tables.REGISTER``, as of the same day.
    exports : Exports
    as_of : date
        Last day of the twelve months.
    contract_cost : Decimal, optional
        What it costs a year to contract (and keep) what a row is about: a provider, or one for the county. [USD]
    request_cost : Decimal, optional
        What it costs to handle one request for an SCA. [USD]
    least : int
        Agreements from which they count as repeated.

    Returns
    -------
    DataFrame
        Columns of ``tables.MAKE_OR_BUY``, the largest saving first; counties, then providers.

    Raises
    ------
    ParameterError
        If a cost is negative or ``least`` below 1.

    Notes
    -----
    A contract saves what the sessions of the twelve months were allowed at the agreed rate less what they would be
    at the in-network rate (both no more than billed: rule 1 of costs), and the handling of the requests, whatever
    their decision. The saving is in allowed amounts: plan and members share it. Sessions are those within dates
    and authorisation, of the procedure agreed, not denied; they are taken to recur next year. It is negative where
    rates were agreed below the in-network rate. The break-even rate is what a contract could pay a unit so that a
    year costs as much as the SCAs did; above the usual charge it says that contracting pays at any rate.

    """
    for name, cost in (("contract_cost", contract_cost), ("request_cost", request_cost)):
        if cost is not None and not (cost.is_finite() and cost >= 0):
            raise ParameterError(f"{name} must be an amount in USD, not below zero; correct it.")
    if least < 1:
        raise ParameterError("least must be 1 or more agreements; correct it.")
    first, last = window(as_of)
    approved = register["decision"] == "approved"
    begun = register["effective_date"].isna() | (register["effective_date"] <= pd.Timestamp(last))
    open_ = register["expiry_date"].isna() | (register["expiry_date"] >= pd.Timestamp(first))
    asked = register["requested_date"].between(pd.Timestamp(first), pd.Timestamp(last))
    agreed = register.assign(is_agreed=approved & begun & open_, is_asked=asked)
    agreed = agreed[agreed["is_agreed"] | agreed["is_asked"]]
    agreed = agreed.merge(_sum_lines(exports, first, last), on="case_id", how="left", validate="1:1")
    agreed["county_fips"] = agreed["county_fips"].astype("string").fillna("")
    parts = []
    for scope, keys in (("county", _CELL), ("provider", [*_CELL, "provider_npi"])):
        cells = _sum_cells(agreed, keys)
        parts.append(cells[cells["agreements"] >= least].assign(scope=scope))
    table = pd.concat(parts, ignore_index=True)
    table["county_fips"] = table["county_fips"].replace("", pd.NA)
    answers = [_answer(row, contract_cost, request_cost) for row in table.to_dict("records")]
    names = ("pays_below", "break_even_rate", "break_even_agreements", "is_past", "reason")
    columns = {n: pd.Series([a[n] for a in answers], index=table.index, dtype=object) for n in names}
    table = table.assign(**columns)
    table = table.astype({"pays_below": MONEY, "break_even_rate": MONEY, "break_even_agreements": "Int64"})
    table = table.astype({"is_past": "boolean", "reason": "string"})
    order = ["scope", "above_in_network", *_CELL, "provider_npi"]
    table = table.sort_values(order, ascending=[True, False, True, True, True], ignore_index=True)
    return table.reindex(columns=list(MAKE_OR_BUY.names))


def _sum_lines(exports: Exports, first: date, last: date) -> pd.DataFrame:
    """Return by case_id what the sessions of a period were allowed, and would be at the in-network rate."""
    terms = list_requests(exports, last).filter(nw.col("decision") == "approved")
    fees = exports.table("fees").filter(nw.col("locality").is_null()).select("procedure_code", "in_network_rate")
    lines = (
        join_terms(pair_lines(exports, last), terms)
        .filter("is_covered", "is_rated", ~nw.col("is_denied"), nw.col("service_date") >= first)
        .join(fees, on="procedure_code", how="left")
        .with_columns(
            at_agreed_rate=expect_allowed("agreed_rate"), at_in_network_rate=expect_allowed("in_network_rate")
        )
    )
    known = ~nw.col("at_agreed_rate").is_null() & ~nw.col("at_in_network_rate").is_null()
    return to_pandas(
        lines.with_columns(known=known)
        .group_by("case_id")
        .agg(
            sessions=nw.col("service_date").n_unique(),
            is_unrated=~nw.col("known").all(),
            units=nw.when(nw.col("known")).then(nw.col("units")).sum(),
            **{c: nw.when(nw.col("known")).then(nw.col(c)).sum().cast(nw.Decimal(18, 2)) for c in _SUMS},
        )
    )


def _sum_cells(agreed: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the agreements by cell, with what their sessions were allowed."""
    grouped = agreed.groupby(keys, as_index=False)
    counts = grouped.agg(agreements=("is_agreed", "sum"), requests=("is_asked", "sum"))
    mine = agreed[agreed["is_agreed"]].groupby(keys, as_index=False)
    patients = mine.agg(
        patients=("member_id", "nunique"), sessions=("sessions", "sum"), unrated_agreements=("is_unrated", "sum")
    )
    sums = mine[[*_SUMS, "units"]].sum()
    cells = counts.merge(patients, on=keys, how="inner").merge(sums, on=keys, how="inner")
    cells[_SUMS] = cells[_SUMS].fillna(0).astype(MONEY)
    return cells.assign(above_in_network=(cells["at_agreed_rate"] - cells["at_in_network_rate"]).astype(MONEY))


def _answer(row: dict[str, object], contract_cost: Decimal | None, request_cost: Decimal | None) -> dict[str, object]:
    """Return when contracting pays in one cell, in figures and words."""
    saving, spent = Decimal(str(row["above_in_network"])), Decimal(str(row["at_agreed_rate"]))
    units, agreements, requests = Decimal(str(row["units"])), int(str(row["agreements"])), int(str(row["requests"]))
    handling = (request_cost or Decimal(0)) * requests
    below = saving + handling
    budget = spent + handling - (contract_cost or Decimal(0))
    rate = (budget / units).quantize(_CENT, rounding="ROUND_FLOOR") if units > 0 and budget >= 0 else None
    number, is_past = None, None
    words = f"{agreements} agreements and {requests} requests in 12 months, ${saving:,.2f} above the in-network rate"
    if request_cost is not None:
        words += f", ${handling:,.2f} to handle the requests"
    words += (
        f"; contracting pays if it costs less than ${below:,.2f} a year" if below > 0 else "; contracting saves nothing"
    )
    if contract_cost is not None:
        is_past = below > contract_cost
        if below > 0:
            # the first whole number of agreements, at this mean, whose saving is above the cost
            number = int(contract_cost * agreements // below) + 1
            words += f"; at ${contract_cost:,.2f} it is cheaper from {number} such agreements a year"
    return {
        "pays_below": max(below, Decimal(0)).quantize(_CENT),
        "break_even_rate": rate,
        "break_even_agreements": number,
        "is_past": is_past,
        "reason": words + ".",
    }
