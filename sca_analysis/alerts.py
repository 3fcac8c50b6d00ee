"""What needs action: agreements that end, run out or are not kept to, and requests that wait.

In: the register as of a day. Out: one row a request and thing to be done, by whom and until when.
"""

from collections.abc import Iterator
from datetime import date

import pandas as pd

from sca_analysis.amounts import MONEY
from sca_analysis.errors import ParameterError
from sca_analysis.tables import ALERTS

#: Days from request to decision: standard requests for prior authorisation in Medicare Advantage, 42 CFR
#: 422.568(b)(1)(ii), for requests from 2026 on; before, 14 days as (b)(1)(i) still has it for other requests.
#: Medicaid managed care has the same from rating periods in 2026 (42 CFR 438.210(d)(1)). Other plans have
#: other rules: give ``pending_days``.
DECISION_DAYS, DECISION_DAYS_BEFORE_2026 = 7, 14
_SEVEN_FROM = pd.Timestamp(2026, 1, 1)


def list_alerts(
    register: pd.DataFrame,
    as_of: date,
    expiring_days: int = 30,
    going_on_days: int = 45,
    used_percent: int = 80,
    pending_days: int | None = None,
) -> pd.DataFrame:
    """Return what needs action, the earliest due first.

    Parameters
    ----------
    register : DataFrame
        Columns of ``tables.REGISTER``, as of the same day.
    as_of : date
    expiring_days : int
        Agreements are told that end within so many days.
    going_on_days : int
        Treatment goes on if its last visit was at most so many days ago: an assumption, a month between visits
        and two weeks for the claim to arrive.
    used_percent : int
        Sessions are nearly used up from this percentage on.
    pending_days : int, optional
        Days a decision may take; without, ``DECISION_DAYS``.

    Returns
    -------
    DataFrame
        Columns of ``tables.ALERTS``. What is wrong already is due on the as-of date. No member identifiers.

    Raises
    ------
    ParameterError
        If a number of days is negative, or the percentage not within 1 to 100.

    """
    given = (expiring_days, going_on_days, DECISION_DAYS if pending_days is None else pending_days)
    if min(given) < 0 or not 1 <= used_percent <= 100:
        raise ParameterError("days must not be negative and the percentage must lie from 1 to 100; correct them.")
    today = pd.Timestamp(as_of)
    going_on = (today - register["last_visit_date"]).dt.days <= going_on_days
    renewed = register["renewed_by"].notna()
    active = register["state"].isin(["in_force", "used_up"])
    parts = [
        *_ending(register[active & going_on & ~renewed], today, expiring_days),
        *_running_out(register[active & going_on & ~renewed], today, used_percent),
        *_waiting(register[register["state"] == "pending"], today, pending_days),
        *_off_terms(register[register["decision"] == "approved"], today, going_on_days),
    ]
    found = [part for part in parts if len(part)]
    if not found:
        return pd.DataFrame({c: pd.Series(dtype=object) for c in ALERTS.names})
    table = pd.concat(found, ignore_index=True)
    return table.sort_values(["due_date", "who", "case_id", "alert"], ignore_index=True)[list(ALERTS.names)]


def _ending(register: pd.DataFrame, today: pd.Timestamp, days: int) -> Iterator[pd.DataFrame]:
    some = register[register["days_to_expiry"].between(0, days).fillna(False)]
    why = (
        "ends in " + _text(some["days_to_expiry"]) + " days; last visit " + _date(some["last_visit_date"])
        + ", no renewal asked for: renew, or plan the end of treatment"
    )  # fmt: skip
    yield _alert(some, "expiring", "case manager", some["expiry_date"], why)


def _running_out(register: pd.DataFrame, today: pd.Timestamp, percent: int) -> Iterator[pd.DataFrame]:
    used, limit = register["sessions_used"], register["sessions_authorized"]
    some = register[(limit.notna() & (100 * used >= percent * limit) & (used <= limit)).fillna(False)]
    # at the pace so far: so many days a session, and the last one no later than the agreement ends
    begun = (some["last_session_date"] - some["first_session_date"]).dt.days
    pace = begun / (some["sessions_used"] - 1).where(some["sessions_used"] > 1).astype("float64")
    left = (pace.fillna(0) * some["sessions_left"].astype("float64")).round()
    due = some["last_session_date"] + pd.to_timedelta(left, unit="D")
    due = due.where(~(due > some["expiry_date"]), some["expiry_date"]).clip(lower=today)
    why = (
        _text(some["sessions_used"]) + " of " + _text(some["sessions_authorized"])
        + " sessions used, last visit " + _date(some["last_visit_date"])
        + "; due is when the last would be used at this pace: ask for more"
    )  # fmt: skip
    yield _alert(some, "sessions_nearly_used", "case manager", due, why)


def _waiting(register: pd.DataFrame, today: pd.Timestamp, days: int | None) -> Iterator[pd.DataFrame]:
    is_new = register["requested_date"] >= _SEVEN_FROM
    rule = is_new.map({True: DECISION_DAYS, False: DECISION_DAYS_BEFORE_2026})
    allowed = rule.astype("int64") if days is None else pd.Series(days, index=register.index)
    late = (register["days_pending"] > allowed).fillna(False)
    some, allowed = register[late], allowed[late]
    due = some["requested_date"] + pd.to_timedelta(allowed, unit="D")
    why = "undecided for " + _text(some["days_pending"]) + " days, of " + _text(allowed) + " allowed: decide"
    yield _alert(some, "decision_pending", "utilization management", due, why)


def _off_terms(register: pd.DataFrame, today: pd.Timestamp, going_on_days: int) -> Iterator[pd.DataFrame]:
    now = pd.Series(today, index=register.index)
    going_on = (today - register["last_visit_date"]).dt.days <= going_on_days
    active = register["state"].isin(["in_force", "used_up"])
    some = register[register["lines_balance_billed"] > 0]
    why = (
        _text(some["lines_balance_billed"]) + " of " + _text(some["balance_lines_known"])
        + " lines (" + _text(some["balance_lines"]) + " in all) charge the member " + _usd(some["balance_billed"])
        + " above the cost share: have it refunded"
    )  # fmt: skip
    yield _alert(some, "balance_billed", "provider relations", now, why, some["balance_billed"])
    some = register[(register["lines_allowed_above"] > 0) | (register["lines_allowed_below"] > 0)]
    amount = (some["allowed_above"] + some["allowed_below"]).astype(MONEY)
    why = (
        _text(some["lines_allowed_above"]) + " lines " + _usd(some["allowed_above"]) + " above the agreed rate and "
        + _text(some["lines_allowed_below"]) + " lines " + _usd(some["allowed_below"]) + " below it, of "
        + _text(some["rated_lines_known"]) + ": correct them"
    )  # fmt: skip
    yield _alert(some, "off_rate", "claims", now, why, amount)
    some = register[register["sessions_denied"] > 0]
    why = (
        _text(some["sessions_denied"])
        + " sessions within dates and number had the procedure agreed denied: pay them, or say why not"
    )
    yield _alert(some, "denied_within_agreement", "claims", now, why)
    some = register[(register["visits_over_sessions"] > 0) & active & going_on]
    why = (
        _text(some["sessions_used"]) + " visits, " + _text(some["sessions_authorized"])
        + " authorised, last visit " + _date(some["last_visit_date"]) + ": authorise more, or tell patient and provider"
    )  # fmt: skip
    yield _alert(some, "sessions_over", "case manager", now, why)
    # only where the visits after the end are the latest ones: those before a renewal are history
    is_latest = register["last_visit_after_expiry"] == register["last_visit_date"]
    some = register[(register["visits_after_expiry"] > 0) & going_on & is_latest]
    why = (
        _text(some["visits_after_expiry"]) + " OON visits after the last day, " + _date(some["expiry_date"])
        + ", the last on " + _date(some["last_visit_after_expiry"]) + ", billed " + _usd(some["billed_after_expiry"])
        + ": renew, or tell the patient what it costs"
    )  # fmt: skip
    yield _alert(some, "treatment_after_expiry", "case manager", now, why, some["billed_after_expiry"])


def _alert(
    some: pd.DataFrame, alert: str, who: str, due: pd.Series, why: pd.Series, amount: pd.Series | None = None
) -> pd.DataFrame:
    blank = pd.Series(pd.NA, index=some.index, dtype=MONEY)
    columns = {"due_date": due.reindex(some.index), "case_id": some["case_id"], "specialty": some["specialty"]}
    return pd.DataFrame(
        {**columns, "alert": alert, "who": who, "amount": blank if amount is None else amount, "reason": why}
    )


def _text(numbers: pd.Series) -> pd.Series:
    return numbers.astype("Int64").astype("string")


def _date(days: pd.Series) -> pd.Series:
    return days.dt.strftime("%Y-%m-%d").astype("string")


def _usd(amounts: pd.Series) -> pd.Series:
    return pd.Series([f"${a:,.2f}" for a in amounts.fillna(0)], index=amounts.index, dtype="string")
