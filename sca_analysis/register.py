"""The register of SCA requests: how each was decided, on what terms, and what came of it.

In: requests and claims up to a day. Out: one row a request. Nothing dated after the day is looked at, so that
a month can be run again; only the version of a claim line that counts is the newest of the exports.
"""

from datetime import date
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sca_analysis.amounts import cents
from sca_analysis.claims import at_rate, half_up, in_span, visit_lines
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.network import homes_on
from sca_analysis.standards import specialty_of
from sca_analysis.tables import REGISTER

PAIR = ["member_id", "provider_npi"]
BEGINNING = date(1900, 1, 1)  # before all claims
_RATES = ("requested_rate", "in_network_rate", "medicare_rate", "usual_charge")
_DATES = ("requested_date", "decision_date", "effective_date", "expiry_date")
_DECIDED = ("agreed_rate", "sessions_authorized", "effective_date", "expiry_date")
_CENTS = nw.Decimal(18, 2)


def build_register(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return every SCA request made up to a day, as it stood on that day.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Visits and requests after it do not count; a decision after it is still pending.

    Returns
    -------
    DataFrame
        Columns of ``tables.REGISTER`` in order of request; money exact [USD].

    Notes
    -----
    A session is a day with a line that is not reversed. Denied lines count: the visit took place and used one of
    the sessions (rule 7 of costs), and a visit past the sessions is as a rule denied; those of which every line
    of the procedure agreed was denied are counted apart. Sessions count whatever network status the claim carries,
    since plans flag SCA claims either way; after the last day only OON visits count, since in-network ones need no
    agreement.
    Where several agreements of a member and provider are in force, a line belongs to the one that names its
    procedure, else to the one that began last. Rates and balance bills are looked at on the visits within dates
    and sessions; past them the visit is OON, where a balance bill is allowed.

    """
    return exports.once(f"register {as_of}", lambda: _build(exports, as_of))


def _build(exports: Exports, as_of: date) -> pd.DataFrame:
    requests = to_pandas(list_requests(exports, as_of).sort("requested_date", "case_id"))
    for column in _DATES:
        requests[column] = pd.to_datetime(requests[column])
    lines = pair_lines(exports, as_of)
    terms = list_requests(exports, as_of).filter(nw.col("decision") == "approved")
    under = join_terms(lines, terms)
    parts = [
        _count_sessions(under),
        _check_rates(under),
        _check_balance(under),
        _count_after(lines, terms),
        _count_before(lines, list_requests(exports, as_of), terms),
    ]
    register = requests
    for part in parts:
        register = register.merge(to_pandas(part), on="case_id", how="left", validate="1:1")
    seen = to_pandas(
        lines.group_by(*PAIR).agg(
            last_visit_date=nw.col("service_date").max(), billed_code=nw.col("taxonomy_code").max()
        )
    )
    register = register.merge(seen, on=PAIR, how="left", validate="m:1")
    for count in (c.name for c in REGISTER.columns if c.default == "0"):
        register[count] = register[count].fillna(0)
    register = _add_place(exports, register)
    register = _add_rates(exports, register)
    register = _add_state(register, pd.Timestamp(as_of))
    register = _add_renewals(register)
    return register[list(REGISTER.names)]


def list_requests(exports: Exports, as_of: date) -> nw.LazyFrame[Any]:
    """Return the requests made up to a day, with what was decided by then; else the decision is pending.

    Returns
    -------
    LazyFrame
        Columns of ``tables.AGREEMENTS``; ``decision`` is never blank.

    """
    asked = exports.table("agreements").filter(nw.col("requested_date") <= as_of)
    is_decided = ~(nw.col("decision_date") > as_of).fill_null(False) & ~nw.col("decision").is_null()
    asked = asked.with_columns(decision=nw.when(is_decided).then(nw.col("decision")).otherwise(nw.lit("pending")))
    is_open, is_approved = nw.col("decision") == "pending", nw.col("decision") == "approved"
    return asked.with_columns(
        decision_date=nw.when(~is_open).then(nw.col("decision_date")),
        denial_reason=nw.when(nw.col("decision") == "denied").then(nw.col("denial_reason")),
        **{c: nw.when(is_approved).then(nw.col(c)) for c in _DECIDED},
    )


def pair_lines(exports: Exports, as_of: date) -> nw.LazyFrame[Any]:
    """Return the lines, reversed ones left out, of every member and provider with a request up to a day.

    They are read once and kept: few beside all claims, and asked several times.
    """
    pairs = list_requests(exports, as_of).select(*PAIR).unique()
    lines = (
        visit_lines(exports, BEGINNING, as_of)
        .join(pairs, on=PAIR, how="inner")
        .select(
            "claim_id",
            "line_number",
            *PAIR,
            "taxonomy_code",
            "service_date",
            "procedure_code",
            "units",
            "billed_amount",
            "allowed_amount",
            "paid_amount",
            "member_amount",
            "is_out_of_network",
            is_denied=nw.col("claim_status") == "denied",
        )
    )
    kept = lines.collect(backend="pyarrow").to_native()
    return exports.lift(kept)


def join_terms(lines: nw.LazyFrame[Any], terms: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return each line within the dates of an approved agreement with its terms and the number of its session.

    Returns
    -------
    LazyFrame
        The lines with case_id, agreed_rate, agreed_procedure, sessions_authorized, effective_date, expiry_date,
        ``session`` (1 = first day of service under the agreement), ``is_covered`` (within the sessions) and
        ``is_rated`` (the agreement names its procedure, or none).

    """
    columns = [*PAIR, "case_id", "agreed_rate", "sessions_authorized", "effective_date", "expiry_date"]
    named, service = nw.col("agreed_procedure"), nw.col("procedure_code")
    fit = nw.when(named == service).then(nw.lit(2)).when(named.is_null()).then(nw.lit(1)).otherwise(nw.lit(0))
    joined = (
        lines.join(terms.select(*columns, agreed_procedure="procedure_code"), on=PAIR, how="inner")
        .filter(in_span(nw.col("service_date"), "effective_date", "expiry_date"))
        .with_columns(fit=fit)
        .unique(["claim_id", "line_number"], keep="last", order_by=["fit", "effective_date", "case_id"])
        .with_columns(session=nw.col("service_date").rank("dense").over("case_id"))
    )
    limit = nw.col("sessions_authorized")
    return joined.with_columns(is_covered=limit.is_null() | (nw.col("session") <= limit), is_rated=nw.col("fit") > 0)


def expect_allowed(rate: str) -> nw.Expr:
    """Return what a rate a unit allows on a line: no more than billed, half up to cents (rule 1 of costs)."""
    full, billed = half_up(at_rate(rate)).cast(_CENTS), nw.col("billed_amount")
    return nw.when(full < billed).then(full).when(full >= billed).then(billed).cast(_CENTS)


def _count_sessions(under: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    days = under.group_by("case_id", "service_date").agg(
        is_rated=nw.col("is_rated").any(),
        is_paid=(nw.col("is_rated") & ~nw.col("is_denied")).any(),
        is_covered=nw.col("is_covered").any(),
    )
    denied = (nw.col("is_rated") & ~nw.col("is_paid") & nw.col("is_covered")).cast(nw.Int64)
    return days.group_by("case_id").agg(
        sessions_used=nw.len(),
        sessions_denied=denied.sum().cast(nw.Int64),
        first_session_date=nw.col("service_date").min(),
        last_session_date=nw.col("service_date").max(),
    )


def _check_rates(under: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Compare allowed and billed amounts with the agreed rate, on the covered lines that it is the rate of."""
    lines = under.filter("is_covered", "is_rated", ~nw.col("is_denied"), ~nw.col("agreed_rate").is_null())
    full = half_up(at_rate("agreed_rate")).cast(_CENTS)
    allowed = (nw.col("allowed_amount") - expect_allowed("agreed_rate")).cast(_CENTS)
    billed = (nw.col("billed_amount") - full).cast(_CENTS)
    found: dict[str, nw.Expr] = {}
    for name, off in (("allowed", allowed), ("billed", billed)):
        found |= {f"{name}_above": nw.when(off > 0).then(off), f"{name}_below": nw.when(off < 0).then(-off)}
    counts = {f"lines_{n}": nw.col(n).count() for n in found}
    return (
        lines.with_columns(**found)
        .group_by("case_id")
        .agg(
            rated_lines=nw.len(),
            rated_lines_known=nw.col("allowed_amount").count(),
            **counts,
            **{n: nw.col(n).sum().cast(_CENTS) for n in found},
        )
    )


def _check_balance(under: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Find what members were charged above their cost share, which is what allowed - paid leaves."""
    over = nw.col("member_amount") - (nw.col("allowed_amount") - nw.col("paid_amount"))
    lines = under.filter("is_covered", ~nw.col("is_denied")).with_columns(over=over.cast(_CENTS))
    billed = nw.when(nw.col("over") > 0).then(nw.col("over"))
    return (
        lines.with_columns(billed=billed)
        .group_by("case_id")
        .agg(
            balance_lines=nw.len(),
            balance_lines_known=nw.col("over").count(),
            lines_balance_billed=nw.col("billed").count(),
            balance_billed=nw.col("billed").sum().cast(_CENTS),
        )
    )


def _count_after(lines: nw.LazyFrame[Any], terms: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Count OON visits that no agreement was in force for, under the one that ended last before them."""
    spans = terms.select(*PAIR, "case_id", "effective_date", "expiry_date")
    day = nw.col("service_date")
    days = (
        lines.filter("is_out_of_network")
        .group_by(*PAIR, "service_date")
        .agg(billed=nw.col("billed_amount").sum().cast(_CENTS))
        .join(spans, on=PAIR, how="inner")
        .with_columns(is_in_force=in_span(day, "effective_date", "expiry_date"))
    )
    free = days.group_by(*PAIR, "service_date").agg(covered=nw.col("is_in_force").any()).filter(~nw.col("covered"))
    return (
        days.filter((nw.col("expiry_date") < day).fill_null(False))
        .join(free, on=[*PAIR, "service_date"], how="inner")
        .unique([*PAIR, "service_date"], keep="last", order_by=["expiry_date", "case_id"])
        .group_by("case_id")
        .agg(
            visits_after_expiry=nw.len(),
            billed_after_expiry=nw.col("billed").sum().cast(_CENTS),
            last_visit_after_expiry=nw.col("service_date").max(),
        )
    )


def _count_before(lines: nw.LazyFrame[Any], requests: nw.LazyFrame[Any], terms: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Count the visits before the day of a request that no other agreement was in force for."""
    day, billed, out = nw.col("service_date"), nw.col("billed_amount"), nw.col("is_out_of_network")
    days = lines.group_by(*PAIR, "service_date").agg(
        billed=billed.sum().cast(_CENTS),
        oon_billed=nw.when(out).then(billed).sum().cast(_CENTS),
        is_out=out.any(),
    )
    before = days.join(requests.select(*PAIR, "case_id", "requested_date"), on=PAIR, how="inner").filter(
        day < nw.col("requested_date")
    )
    other = terms.select(*PAIR, "effective_date", "expiry_date", other_case="case_id")
    covered = (
        before.select(*PAIR, "case_id", "service_date")
        .join(other, on=PAIR, how="inner")
        .filter(nw.col("other_case") != nw.col("case_id"), in_span(day, "effective_date", "expiry_date"))
        .select("case_id", "service_date")
        .unique()
        .with_columns(covered=nw.lit(True))
    )
    is_out = nw.col("is_out")
    return (
        before.join(covered, on=["case_id", "service_date"], how="left")
        .filter(nw.col("covered").is_null())
        .group_by("case_id")
        .agg(
            visits_before_request=nw.len(),
            billed_before_request=nw.col("billed").sum().cast(_CENTS),
            oon_visits_before_request=is_out.cast(nw.Int64).sum().cast(nw.Int64),
            oon_billed_before_request=nw.col("oon_billed").fill_null(0).sum().cast(_CENTS),
        )
    )


def _add_place(exports: Exports, register: pd.DataFrame) -> pd.DataFrame:
    """Add the specialty, and the county of the member's home on the day of the request."""
    listed = exports.table("directory").group_by("npi").agg(code=nw.col("taxonomy_code").min())
    codes = register["provider_npi"].map(to_pandas(listed).set_index("npi")["code"].to_dict()).astype("string")
    code = register["taxonomy_code"].astype("string").fillna(codes).fillna(register["billed_code"].astype("string"))
    days = register[["member_id"]].assign(day=register["requested_date"])
    county = homes_on(exports, days)["county_fips"]
    return register.assign(specialty=specialty_of(code).fillna("not in the standard"), county_fips=county)


def _add_rates(exports: Exports, register: pd.DataFrame) -> pd.DataFrame:
    """Add the rates of the fee table for the procedure agreed, and the agreed rate as a percentage of each."""
    fees = exports.frame("fees")
    fees = fees.loc[fees["locality"].isna(), ["procedure_code", *_RATES[1:]]]
    register = register.merge(fees, on="procedure_code", how="left", validate="m:1")
    percents = {f"agreed_percent_of_{n}": percent_of(register["agreed_rate"], register[n]) for n in _RATES}
    return register.assign(**percents)


def percent_of(rate: pd.Series, base: pd.Series) -> pd.Series:
    """Return rates as percentages of others, half up to 0.1 as `medicare.percent_of_medicare`; NA without either."""
    known = (rate.notna() & base.notna() & (base.fillna(0) > 0)).to_numpy(dtype=bool)
    tenths = np.zeros(len(rate), dtype=np.int64)
    above, below = cents(rate[known]), cents(base[known])
    tenths[known] = (1000 * above + below // 2) // below if known.any() else 0
    exact = pc.multiply(pa.array(tenths, mask=~known).cast(pa.decimal128(19, 0)), pa.scalar(Decimal("0.1")))
    return pd.Series(pd.arrays.ArrowExtensionArray(exact.cast(pa.decimal128(18, 1))), index=rate.index)


def _add_state(register: pd.DataFrame, today: pd.Timestamp) -> pd.DataFrame:
    """Add the state on the day, and how many days and sessions are left."""
    decision, limit, used = register["decision"], register["sessions_authorized"], register["sessions_used"]
    approved = decision == "approved"
    expired = register["expiry_date"] < today
    waiting = register["effective_date"] > today
    used_up = (used >= limit).fillna(False).astype(bool)
    state = np.select([~approved, expired, waiting, used_up], [decision, "expired", "not_begun", "used_up"], "in_force")
    over = (used - limit).clip(lower=0).fillna(0).astype("int64")
    return register.assign(
        state=pd.Series(state, index=register.index, dtype="string"),
        days_to_decision=_days(register["decision_date"] - register["requested_date"]),
        days_pending=_days(today - register["requested_date"].where(decision == "pending")),
        days_to_expiry=_days(register["expiry_date"] - today),
        sessions_left=(limit - used).clip(lower=0),
        visits_over_sessions=over,
    )


def _add_renewals(register: pd.DataFrame) -> pd.DataFrame:
    """Add to each request the approved one of the same member and provider before it, and the one that renews it."""
    number = pd.Series(np.arange(len(register)), index=register.index, dtype="float64")
    approved = number.where(register["decision"] == "approved")
    before = approved.groupby([register[c] for c in PAIR], sort=False).ffill()
    before = before.groupby([register[c] for c in PAIR], sort=False).shift()
    at = before.fillna(-1).astype("int64").to_numpy()
    previous = register[["case_id", "expiry_date"]].reindex(at)  # -1 is in no index: blank
    gap = register["effective_date"].to_numpy() - previous["expiry_date"].to_numpy() - np.timedelta64(1, "D")
    is_next = register["decision"].isin(["approved", "pending"])
    later = number.where(is_next)[::-1].groupby([register[c][::-1] for c in PAIR], sort=False).ffill()
    later = later.groupby([register[c][::-1] for c in PAIR], sort=False).shift()[::-1]
    following = register["case_id"].reindex(later.fillna(-1).astype("int64").to_numpy()).to_numpy()
    return register.assign(
        renewal_of=pd.Series(previous["case_id"].to_numpy(), index=register.index, dtype="string"),
        renewal_gap_days=_days(pd.Series(gap, index=register.index)),
        renewed_by=pd.Series(following, index=register.index, dtype="string").where(register["decision"] == "approved"),
    )


def _days(span: pd.Series) -> pd.Series:
    """Return spans of time as whole days, NA where blank."""
    return span.dt.days.astype("Int64")
