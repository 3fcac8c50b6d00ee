"""What came of SCA requests: figures on approval, time, rates, sessions, and whether agreements were kept.

In: the register as of a day. Out: one row a figure, each with its numbers, period and the patients behind it, so
that few can be withheld. The register itself, the alerts and make or buy have modules of their own and are named
here too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from sca_analysis.alerts import list_alerts
from sca_analysis.contracting import make_or_buy
from sca_analysis.errors import ParameterError
from sca_analysis.estimates import calibration, estimate_agreements
from sca_analysis.privacy import any_few, find_few
from sca_analysis.register import build_register
from sca_analysis.tables import MEASURES

__all__ = ["build_register", "calibration", "estimate_agreements", "list_alerts", "make_or_buy", "measure", "withhold"]

HORIZONS = (30, 60, 90)  # days to the last day of an agreement
_RATES = {
    "requested_rate": "the rate asked for",
    "in_network_rate": "the in-network rate",
    "medicare_rate": "Medicare's rate",
    "usual_charge": "the usual charge",
}
_SHOWN = ["value", "low", "high", "numerator", "denominator"]


@dataclass(frozen=True)
class _Part:
    """The rows of the register that a figure is about, each set with its period in words."""

    asked: pd.DataFrame  # in the period
    decided: pd.DataFrame  # approved or denied in the period
    approved: pd.DataFrame
    withdrawn: pd.DataFrame
    pending: pd.DataFrame  # on the day
    active: pd.DataFrame  # in force on the day, used up or not
    under: pd.DataFrame  # agreements in force on some day of the period
    expired: pd.DataFrame  # with their last day in the period and before the as-of date


def measure(register: pd.DataFrame, first: date, as_of: date) -> pd.DataFrame:
    """Return the figures of a period: all requests, by ground, by specialty.

    Parameters
    ----------
    register : DataFrame
        Columns of ``tables.REGISTER``, as of ``as_of``.
    first, as_of : date
        First and last day of the period.

    Returns
    -------
    DataFrame
        Columns of ``tables.MEASURES``. value, low and high are exact decimals: shares and rates in percent with
        one decimal, money in USD with two. Shares of requests and agreements have Wilson's 95% interval; medians
        have P10 and P90; shares of lines have none, since the lines of one agreement are alike. Counts of patients
        are not hidden: see `withhold`.

    Raises
    ------
    ParameterError
        If the period ends before it begins.

    """
    if first > as_of:
        raise ParameterError(f"the period ends on {as_of} before it begins on {first}; correct one of them.")
    whole = _take(register, first, as_of)
    rows = [*_figures(whole, "all", "all", first, as_of), *_about_reasons(whole, first, as_of)]
    rows += _about_horizons(whole, as_of)
    for scope in ("ground", "specialty"):
        named = register[scope].astype("string").fillna("not said")
        for group in sorted(named.unique()):
            part = _take(register[named == group], first, as_of)
            rows += _figures(part, scope, str(group), first, as_of)
    return pd.DataFrame(rows, columns=list(MEASURES.names)).astype(
        dict.fromkeys(("numerator", "denominator", "patients", "patients_of"), "Int64")
    )


def withhold(measures: pd.DataFrame, fewest: int) -> pd.DataFrame:
    """Blank the figures that tell of fewer than ``fewest`` members, 0 aside.

    Parameters
    ----------
    measures : DataFrame
        As `measure` returns them.
    fewest : int
        Smallest count shown, such as ``privacy.SMALL_CELL``. [members]

    Notes
    -----
    A figure is withheld if few stand behind its numerator, its denominator or what is left of it. Where one group
    alone of a measure and scope is withheld, or those withheld are together few, the total would give them away: the
    smallest group shown is withheld too.

    """
    some, whole = measures["patients"], measures["patients_of"]
    # a member may be on both sides of a share, so that what is left of the rows counts too
    rest = (measures["denominator"] - measures["numerator"]).where(measures["unit"] == "%")
    counts = (some, whole, whole - some, rest)
    few = any_few(counts, fewest)
    groups = measures[measures["scope"] != "all"]
    few[groups.index] = find_few(groups, "patients", (("scope", "measure"),), fewest=fewest, also=few[groups.index])
    kept = measures.assign(**{c: measures[c].where(~few, pd.NA) for c in [*_SHOWN, "patients", "patients_of"]})
    return kept.assign(note=measures["note"].where(~few, f"fewer than {fewest} members on one side: withheld"))


def _take(register: pd.DataFrame, first: date, as_of: date) -> _Part:
    begin, today = pd.Timestamp(first), pd.Timestamp(as_of)
    decision, decided_in = register["decision"], register["decision_date"].between(begin, today)
    is_approved = decision == "approved"
    begun = register["effective_date"].isna() | (register["effective_date"] <= today)
    not_over = register["expiry_date"].isna() | (register["expiry_date"] >= begin)
    return _Part(
        asked=register[register["requested_date"].between(begin, today)],
        decided=register[decision.isin(["approved", "denied"]) & decided_in],
        approved=register[is_approved & decided_in],
        withdrawn=register[(decision == "withdrawn") & decided_in],
        pending=register[decision == "pending"],
        active=register[register["state"].isin(["in_force", "used_up"])],
        under=register[is_approved & begun & not_over],
        expired=register[(register["state"] == "expired") & not_over],
    )


def _figures(part: _Part, scope: str, group: str, first: date, as_of: date) -> Iterator[dict[str, Any]]:
    """Yield the figures of one group."""
    period = f"{first} to {as_of}"
    asked, decided, on_day = f"asked for {period}", f"decided {period}", f"on {as_of}"
    under, ended = f"in force on some day of {period}", f"ended {period}, before the last day"

    def row(name: str, when: str, note: str, **cells: Any) -> dict[str, Any]:
        return {"scope": scope, "group": group, "measure": name, "period": when, "note": note} | cells

    yield row("requests", asked, "requests made", **_count(part.asked, part.asked))
    before, out = (part.asked[part.asked[f"{p}visits_before_request"] > 0] for p in ("", "oon_"))
    seen = "claims before the exports begin are not seen"
    note = f"with a visit to the provider before the request; {seen}"
    yield row("begun_before_request", asked, note, **_share(before, part.asked))
    yield row("oon_before_request", asked, f"with an OON visit before the request; {seen}", **_share(out, part.asked))
    billed = _sum(out, "oon_billed_before_request", part.asked)
    yield row("oon_billed_before_request", asked, "charges of those visits", **billed)
    approved = part.decided[part.decided["decision"] == "approved"]
    note = "of approved and denied; withdrawn ones left out"
    yield row("approved", decided, note, **_share(approved, part.decided))
    yield row("withdrawn", decided, "withdrawn by those who asked", **_count(part.withdrawn, part.withdrawn))
    note = "median, P10 and P90 of approved and denied"
    yield row("days_to_decision", decided, note, **_spread(part.decided, "days_to_decision", "days"))
    note = "since the request: median, P10 and P90"
    yield row("days_pending", on_day, note, **_spread(part.pending, "days_pending", "days"))
    for rate, words in _RATES.items():
        note = f"agreed rate as a percentage of {words}: median, P10 and P90"
        yield row(f"agreed_of_{rate}", decided, note, **_spread(part.approved, f"agreed_percent_of_{rate}", "%"))
    renewals = part.approved[part.approved["renewal_of"].notna()]
    note = "approved after another of the same member and provider"
    yield row("renewals", decided, note, **_share(renewals, part.approved))
    note = "days between both, below 0 = overlap: median, P10 and P90"
    yield row("renewal_gap_days", decided, note, **_spread(renewals, "renewal_gap_days", "days"))
    yield row("in_force", on_day, "in force, used up or not", **_count(part.active, part.active, "agreements"))
    limited = part.expired[part.expired["sessions_authorized"] > 0]
    used = 100 * limited["sessions_used"].astype("float64") / limited["sessions_authorized"].astype("float64")
    totals = f"{_total(limited, 'sessions_used')} of {_total(limited, 'sessions_authorized')} in all"
    note = f"sessions used of those authorised ({totals}): median, P10 and P90; above 100 = past them"
    yield row("sessions_used", ended, note, **_spread(limited.assign(used=used), "used", "%"))
    over = part.under[part.under["visits_over_sessions"] > 0]
    yield row("sessions_over", under, "agreements with visits past the sessions authorised", **_share(over, part.under))
    yield from (row(name, under, note, **cells) for name, note, cells in _about_lines(part.under))
    after = part.expired[part.expired["visits_after_expiry"] > 0]
    note = (
        f"with OON visits after the last day, {_total(after, 'visits_after_expiry')} in all, under no other agreement"
    )
    yield row("treated_after_expiry", ended, note, **_share(after, part.expired))
    yield row(
        "billed_after_expiry", ended, "charges of those visits", **_sum(after, "billed_after_expiry", part.expired)
    )


def _about_lines(under: pd.DataFrame) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the figures on claim lines under agreements, since each began."""
    since = "lines since each agreement began"
    known = under[under["rated_lines_known"] > 0]
    off = known[(known["lines_allowed_above"] + known["lines_allowed_below"]) > 0]
    lines = int((off["lines_allowed_above"] + off["lines_allowed_below"]).sum())
    yield (
        "off_rate_lines",
        f"allowed not at the agreed rate, of lines of the procedure agreed with an allowed amount; {since}",
        _share_of_lines(off, known, lines, int(known["rated_lines_known"].sum())),
    )
    for side in ("above", "below"):
        mine = known[known[f"lines_allowed_{side}"] > 0]
        yield f"off_rate_{side}", f"allowed {side} the agreed rate; {since}", _sum(mine, f"allowed_{side}", known)
    told = under[under["balance_lines_known"] > 0]
    charged = told[told["lines_balance_billed"] > 0]
    yield (
        "balance_billed",
        "agreements with a member charged above the cost share, of those where a line tells",
        _share(charged, told),
    )
    yield "balance_billed_amount", f"what they were charged above; {since}", _sum(charged, "balance_billed", told)
    yield (
        "balance_lines_known",
        "lines on which a balance bill could be told: allowed, paid and member amounts are there",
        _share_of_lines(told, under, int(under["balance_lines_known"].sum()), int(under["balance_lines"].sum())),
    )


def _about_reasons(part: _Part, first: date, as_of: date) -> Iterator[dict[str, Any]]:
    denied = part.decided[part.decided["decision"] == "denied"]
    reasons = denied["denial_reason"].astype("string").fillna("not said")
    for reason in sorted(reasons.unique()):
        named = {"scope": "denial_reason", "group": str(reason), "measure": "denied"}
        words = {"period": f"decided {first} to {as_of}", "note": "of all denied, by the reason given"}
        yield named | words | _share(denied[reasons == reason], denied)


def _about_horizons(part: _Part, as_of: date) -> Iterator[dict[str, Any]]:
    for days in HORIZONS:
        soon = part.active[part.active["days_to_expiry"].between(0, days).fillna(False)]
        named = {"scope": "horizon", "group": f"{days} days", "measure": "expiring"}
        words = {"period": f"on {as_of}", "note": f"in force and ending within {days} days"}
        yield named | words | _share(soon, part.active)


def _count(some: pd.DataFrame, whole: pd.DataFrame, unit: str = "requests") -> dict[str, Any]:
    return _numbers(some, whole) | {"value": Decimal(len(some)), "unit": unit}


def _share(some: pd.DataFrame, whole: pd.DataFrame) -> dict[str, Any]:
    found = _numbers(some, whole) | {"unit": "%"}
    if len(whole):
        interval = binomtest(len(some), len(whole)).proportion_ci(method="wilson")
        found |= {"low": _tenth(100 * interval.low), "high": _tenth(100 * interval.high)}
        found["value"] = _percent(len(some), len(whole))
    return found


def _share_of_lines(some: pd.DataFrame, whole: pd.DataFrame, lines: int, of: int) -> dict[str, Any]:
    found = _numbers(some, whole) | {"unit": "%", "numerator": lines, "denominator": of}
    return found | ({"value": _percent(lines, of)} if of else {})


def _sum(some: pd.DataFrame, column: str, whole: pd.DataFrame) -> dict[str, Any]:
    total = sum(some[column], start=Decimal(0)).quantize(Decimal("0.01"))
    return _numbers(some, whole) | {"unit": "USD", "value": total}


def _spread(some: pd.DataFrame, column: str, unit: str) -> dict[str, Any]:
    """Return the median, P10 and P90 of a column (linear between neighbours), of the rows where it is known."""
    known = some[some[column].notna()]
    found = _numbers(known, some) | {"unit": unit}
    if len(known):
        low, middle, high = np.quantile(known[column].astype("float64"), [0.1, 0.5, 0.9])
        found |= {"value": _tenth(middle), "low": _tenth(low), "high": _tenth(high)}
    return found


def _numbers(some: pd.DataFrame, whole: pd.DataFrame) -> dict[str, Any]:
    blank = dict.fromkeys(("value", "low", "high"), pd.NA)
    return blank | {
        "numerator": len(some),
        "denominator": len(whole),
        "patients": some["member_id"].nunique(),
        "patients_of": whole["member_id"].nunique(),
    }


def _percent(part: int, whole: int) -> Decimal:
    """Return a share in percent, half up to 0.1, exact."""
    return (Decimal(100 * part) / Decimal(whole)).quantize(Decimal("0.1"), rounding="ROUND_HALF_UP")


def _tenth(number: float) -> Decimal:
    return Decimal(repr(round(float(number), 6))).quantize(Decimal("0.1"), rounding="ROUND_HALF_UP")


def _total(rows: pd.DataFrame, column: str) -> int:
    return int(rows[column].sum())
