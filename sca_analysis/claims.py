"""Claim lines as the analyses need them: network of the member, in or out of network, and when.

In: accepted claims, members and directory. Out: one row per current claim line, as a narwhals
frame, so that it grows with the engine; monthly out-of-network spend as pandas.
"""

from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import narwhals as nw
import pandas as pd

from sca_analysis.exports import Exports, to_pandas
from sca_analysis.standards import specialty_of

LINE = ["claim_id", "line_number"]
_MILLIONTH = Decimal("0.000001")


def window(as_of: date, months: int = 12) -> tuple[date, date]:
    """Return the first and last day of the months that end on ``as_of``, both included."""
    before = pd.Timestamp(as_of) - pd.DateOffset(months=months)
    if pd.Timestamp(as_of).is_month_end:
        before += pd.offsets.MonthEnd(0)  # whole months: a year to 28 February may follow a 29 February
    return (before + pd.Timedelta(days=1)).date(), as_of


def as_days(dates: pd.Series) -> pd.Series:
    """Return dates as timestamps of one resolution, which pandas asks for where it compares or joins them."""
    return pd.to_datetime(dates).astype("datetime64[us]")


def in_span(day: nw.Expr, first: str, last: str) -> nw.Expr:
    """Return whether a day lies in a span of dates, both ends included, a blank end being open."""
    opened = nw.col(first).is_null() | (nw.col(first) <= day)
    return opened & (nw.col(last).is_null() | (nw.col(last) >= day))


def same_network(mine: str, theirs: str) -> nw.Expr:
    """Return whether two network ids match; a blank on either side does."""
    return nw.col(mine).is_null() | nw.col(theirs).is_null() | (nw.col(mine) == nw.col(theirs))


def count_if(condition: nw.Expr) -> nw.Expr:
    """Return in how many rows a condition holds."""
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


def at_rate(rate: str) -> nw.Expr:
    """Return what a rate a unit comes to for the units of a line, exactly: engines differ in a product's decimals."""
    return nw.col(rate).cast(nw.Decimal(21, 5)) * nw.col("units")


def half_up(amount: nw.Expr) -> nw.Expr:
    """Return an amount of `at_rate` in whole cents, half away from zero, where some engines round half to even."""
    over = nw.when(amount < 0).then(nw.lit(-_MILLIONTH)).otherwise(nw.lit(_MILLIONTH))  # then nothing is a half
    return (amount + over).round(2)


def service_lines(exports: Exports, first: date, last: date) -> nw.LazyFrame[Any]:
    """Return the current claim lines of a period with network and network status decided.

    Parameters
    ----------
    exports : Exports
    first, last : date
        Service dates, both included.

    Returns
    -------
    LazyFrame
        The columns of ``tables.CLAIMS`` with ``network_id`` from the member's coverage on the
        service date where the claim does not say, ``claim_status`` paid where blank, and
        ``is_out_of_network``: as the claim says or, where it does not, whether the directory
        lists the provider in that network on the service date. Reversed and denied lines are
        included: they are utilisation. A blank ``taxonomy_code`` is filled as the directory lists
        the provider or else as other claims do (of several codes the first in order).

    """
    claims, during = exports.table("claims"), nw.col("service_date").is_between(first, last)
    if exports.store.keeps_rows:  # then once for all periods
        return exports.store.keep("service_lines", partial(_decide_networks, exports, claims)).filter(during)
    return _decide_networks(exports, claims.filter(during))


def _decide_networks(exports: Exports, lines: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return claim lines as `service_lines` does."""
    coverage = exports.table("members").select(
        "member_id", "effective_date", "termination_date", member_network="network_id"
    )
    covered = (
        lines.filter(nw.col("network_id").is_null())
        .select("member_id", "service_date")
        .unique()
        .join(coverage, on="member_id", how="inner")
        .filter(in_span(nw.col("service_date"), "effective_date", "termination_date"))
        # where spans overlap, the one that began last counts
        .unique(["member_id", "service_date"], keep="last", order_by=["effective_date", "member_network"])
        .select("member_id", "service_date", "member_network")
    )
    lines = (
        lines.join(covered, on=["member_id", "service_date"], how="left")
        .with_columns(
            network_id=nw.coalesce("network_id", "member_network"),
            claim_status=nw.col("claim_status").fill_null("paid"),
        )
        .drop("member_network")
    )
    lines = _fill_taxonomy(exports, lines)
    directory = exports.table("directory")
    listed = directory.select(
        "effective_date", "termination_date", provider_npi="npi", directory_network="network_id"
    ).unique()
    # nearly all providers have one span in one network, so that no list of their days is needed
    spans = listed.group_by("provider_npi").agg(
        spans=nw.len(),
        first=nw.col("effective_date").min(),
        last=nw.col("termination_date").min(),
        only_network=nw.col("directory_network").min(),
    )
    several = spans.filter(nw.col("spans") > 1).select("provider_npi")
    served = ["provider_npi", "network_id", "service_date"]
    found = (
        lines.filter(nw.col("network_status").is_null())
        .select(*served)
        .join(several, on="provider_npi", how="semi")
        .unique()
        .join(listed, on="provider_npi", how="inner")
        .filter(
            in_span(nw.col("service_date"), "effective_date", "termination_date"),
            same_network("network_id", "directory_network"),
        )
        .select(*served)
        .unique()
        # a join does not match blanks, so a blank network takes a name that no network has
        .with_columns(nw.col("network_id").fill_null(""), listed=nw.lit(True))
    )
    in_only_span = in_span(nw.col("service_date"), "first", "last") & same_network("network_id", "only_network")
    return (
        lines.with_columns(key=nw.col("network_id").fill_null(""))
        .join(
            found,
            left_on=["provider_npi", "key", "service_date"],
            right_on=served,
            how="left",
            suffix="_listed",
        )
        .join(spans, on="provider_npi", how="left")
        .with_columns(
            is_out_of_network=nw.when(nw.col("network_status").is_null())
            .then(nw.when(nw.col("spans") == 1).then(~in_only_span).otherwise(nw.col("listed").is_null()))
            .otherwise(nw.col("network_status") == "out")
        )
        .select(*exports.table("claims").columns, "is_out_of_network")
    )


def visit_lines(exports: Exports, first: date, last: date) -> nw.LazyFrame[Any]:
    """Return the lines of `service_lines` without reversed ones, denied ones included: those that were visits."""
    return service_lines(exports, first, last).filter(nw.col("claim_status") != "reversed")


def count_lines(exports: Exports, first: date, last: date) -> pd.DataFrame:
    """Return lines and distinct members by claim_status and is_out_of_network in a period."""
    return to_pandas(
        service_lines(exports, first, last)
        .group_by("claim_status", "is_out_of_network")
        .agg(lines=nw.len(), members=nw.col("member_id").n_unique())
        .sort("claim_status", "is_out_of_network")
    )


def _fill_taxonomy(exports: Exports, lines: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Fill blank taxonomy codes from the directory or, for providers not in it, from other claims."""
    blank = lines.filter(nw.col("taxonomy_code").is_null()).select("provider_npi").unique()  # of few, or of nobody
    claims = exports.table("claims").join(blank, on="provider_npi", how="semi")
    by_claims = claims.group_by("provider_npi").agg(claimed_taxonomy=nw.col("taxonomy_code").min())
    directory = exports.table("directory").rename({"npi": "provider_npi"}).join(blank, on="provider_npi", how="semi")
    by_directory = directory.group_by("provider_npi").agg(listed_taxonomy=nw.col("taxonomy_code").min())
    return (
        lines.join(by_directory, on="provider_npi", how="left")
        .join(by_claims, on="provider_npi", how="left")
        .with_columns(taxonomy_code=nw.coalesce("taxonomy_code", "listed_taxonomy", "claimed_taxonomy"))
        .drop("listed_taxonomy", "claimed_taxonomy")
    )


def monthly_spend(exports: Exports, first: date, last: date) -> pd.DataFrame:
    """Return billed and plan-paid amounts by month, specialty and network status.

    Parameters
    ----------
    exports : Exports
    first, last : date
        Service dates, both included.

    Returns
    -------
    DataFrame
        month (first day), specialty ("not in the standard" where the taxonomy code says none),
        is_out_of_network, patients (members of the taxonomy code that has most: there are so many at least), lines,
        billed, paid [USD, exact; paid is blank where no line says it].
        Paid lines only: denied and reversed lines cost nothing.

    """
    grouped = to_pandas(
        service_lines(exports, first, last)
        .filter(nw.col("claim_status") == "paid")
        .with_columns(month=nw.col("service_date").dt.truncate("1mo"))
        .group_by("month", "taxonomy_code", "is_out_of_network")
        .agg(
            patients=nw.col("member_id").n_unique(),
            lines=nw.len(),
            billed=nw.col("billed_amount").sum(),
            paid=nw.col("paid_amount").sum(),
            known=nw.col("paid_amount").count(),
        )
    )
    grouped["specialty"] = specialty_of(grouped["taxonomy_code"]).fillna("not in the standard")
    grouped["month"] = pd.to_datetime(grouped["month"])
    keys = ["month", "specialty", "is_out_of_network"]
    together = grouped.groupby(keys, as_index=False)
    added = together[["lines", "billed", "paid", "known"]].sum()
    added.insert(len(keys), "patients", together["patients"].max()["patients"])
    added["paid"] = added["paid"].where(added.pop("known") > 0)  # what no line says is unknown, not zero
    return added.sort_values(keys, ignore_index=True)
