"""What is known of each case before anybody judges it: requests, visits, coverage, contracts, facts entered.

In: exports, a day and the register of requests. Out: one row a case (a member and an OON provider) with what claims,
members, directory, requests and people say of it. Nothing dated after the day is looked at.
"""

from datetime import date

import narwhals as nw
import pandas as pd

from sca_analysis.claims import as_days, visit_lines
from sca_analysis.courses import COURSE
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.network import homes_on, locate, provider_names
from sca_analysis.pseudonyms import pseudonym
from sca_analysis.standards import specialty_of

#: What the register calls an agreement, and what a case does: whether it still serves the treatment.
_STATES = {"not_begun": "agreed", "in_force": "agreed", "expired": "ended"}
_OF_REQUEST = [
    "case_id",
    *COURSE,
    "requested_date",
    "decision_date",
    "denial_reason",
    "ground",
    "procedure_code",
    "requested_rate",
    "agreed_rate",
    "sessions_authorized",
    "sessions_used",
    "effective_date",
    "expiry_date",
    "visits_after_expiry",
    "balance_billed",
    "lines_balance_billed",
    "lines_allowed_above",
    "allowed_above",
    "state",
]


def gather(exports: Exports, as_of: date, courses: pd.DataFrame, register: pd.DataFrame) -> pd.DataFrame:
    """Return the cases of a day with what is known of each.

    Parameters
    ----------
    exports : Exports
    as_of : date
    courses : DataFrame
        Columns of ``tables.COURSES``: the OON courses of the twelve months, each of which is a case. So is a
        request that is pending, or agreed and not ended, without any visit.
    register : DataFrame
        Columns of ``tables.REGISTER``, as of the same day.

    Returns
    -------
    DataFrame
        member_id, provider_npi, case_id, course_id (NA = no visits in the twelve months), what the register says of
        the latest request, state (not_asked, or that of the request), asked_on and day (its date, else ``as_of``),
        specialty, taxonomy_code, home (zip, county_fips, x, y, z on asked_on), network_id (of the course, else on
        asked_on), provider_name; first_visit_date, last_visit_date and visits_ever of the pair; visits_before and
        billed_before (OON, before asked_on); covered_since and network_before (since when the member is in the
        network of the as-of date, and the one before it); left_network_on (the last day of the provider's listing
        in it, where none is active on asked_on).

    """
    latest = register.sort_values(["requested_date", "case_id"]).drop_duplicates(COURSE, keep="last")
    requests = latest[_OF_REQUEST].assign(
        state=latest["state"].replace(_STATES),
        asked_specialty=latest["specialty"],
        day=as_days(latest["requested_date"]),
    )
    wanted = requests[requests["state"].isin(["pending", "agreed", "used_up"])]
    pairs = pd.concat([courses[COURSE], wanted[COURSE]]).drop_duplicates(ignore_index=True)
    cases = pairs.merge(courses.rename(columns={"network_id": "course_network"}), on=COURSE, how="left")
    cases = cases.drop(columns=["county_fips", "first_visit_date", "last_visit_date"])
    cases = cases.merge(requests, on=COURSE, how="left", validate="1:1")
    cases["state"] = cases["state"].fillna("not_asked")
    drawn = [pseudonym("P", m, n) for m, n in zip(cases["member_id"], cases["provider_npi"], strict=True)]
    cases["case_id"] = cases["case_id"].where(cases["case_id"].notna(), drawn)
    cases["day"] = cases["day"].fillna(pd.Timestamp(as_of))
    cases["asked_on"] = cases["day"]
    homes = homes_on(exports, cases[["member_id", "day"]])
    cases[["zip", "network_id"]] = homes[["zip", "network_id"]]
    # a request may come before the change of network that it is about
    cases["network_id"] = cases.pop("course_network").fillna(cases["network_id"])
    placed = locate(homes[["zip", "latitude", "longitude", "county_fips"]])
    cases[["county_fips", "x", "y", "z"]] = placed[["county_fips", "x", "y", "z"]]
    cases["provider_name"] = cases["provider_npi"].map(provider_names(exports))
    cases = _add_visits(exports, as_of, cases)
    listed = _listed_codes(exports, cases["provider_npi"])
    cases["taxonomy_code"] = cases.pop("billed_taxonomy").astype("string").fillna(listed)
    named = specialty_of(cases["taxonomy_code"])
    cases["specialty"] = cases["specialty"].fillna(cases.pop("asked_specialty")).fillna(named)
    cases["specialty"] = cases["specialty"].fillna("not in the standard")
    return _add_contract(exports, _add_coverage(exports, as_of, cases))


def read_entered(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the facts entered up to a day, of each case and fact the latest: columns of ``tables.ENTERED``."""
    facts = to_pandas(exports.table("entered").filter(nw.col("entered_on") <= as_of).sort("case_id", "entered_on"))
    facts["entered_on"] = as_days(facts["entered_on"])
    return facts.drop_duplicates(["case_id", "fact"], keep="last", ignore_index=True)


def _add_visits(exports: Exports, as_of: date, cases: pd.DataFrame) -> pd.DataFrame:
    """Add the visits of each pair, whatever the network status, since the claims begin."""
    lines = visit_lines(exports, date(1900, 1, 1), as_of).join(exports.lift_keys(cases[COURSE]), on=COURSE, how="inner")
    visits = to_pandas(
        lines.group_by(*COURSE, "service_date").agg(
            billed=nw.col("billed_amount").sum(),
            is_out=nw.col("is_out_of_network").any(),
            billed_taxonomy=nw.col("taxonomy_code").max(),
        )
    )
    visits["service_date"] = as_days(visits["service_date"])
    visits = visits.merge(cases[[*COURSE, "asked_on"]], on=COURSE, how="inner", validate="m:1")
    grouped = visits.groupby(COURSE, as_index=False)
    known = grouped.agg(
        first_visit_date=("service_date", "min"),
        last_visit_date=("service_date", "max"),
        visits_ever=("service_date", "count"),
        billed_taxonomy=("billed_taxonomy", "max"),
    )
    early = visits[visits["is_out"] & (visits["service_date"] < visits["asked_on"])]
    before = early.groupby(COURSE, as_index=False).agg(visits_before=("service_date", "count"))
    sums = early.groupby(COURSE, as_index=False)[["billed"]].sum().rename(columns={"billed": "billed_before"})
    before = before.merge(sums, on=COURSE, validate="1:1")
    found = cases.merge(known, on=COURSE, how="left", validate="1:1").merge(before, on=COURSE, how="left")
    counts = ["visits_ever", "visits_before"]
    return found.assign(**{c: found[c].fillna(0).astype("int64") for c in counts})


def _listed_codes(exports: Exports, npis: pd.Series) -> pd.Series:
    """Return a taxonomy code of each provider, as the directory or else the registry has it."""
    codes = pd.Series(pd.NA, index=npis.index, dtype="string")
    for table in ("directory", "providers"):
        rows = exports.table(table).filter(nw.col("npi").is_in(npis.unique().tolist()))
        listed = to_pandas(rows.group_by("npi").agg(code=nw.col("taxonomy_code").min())).set_index("npi")["code"]
        codes = codes.fillna(npis.map(listed.to_dict()).astype("string"))
    return codes


def _add_coverage(exports: Exports, as_of: date, cases: pd.DataFrame) -> pd.DataFrame:
    """Add since when, up to the as-of date, the member has been in a network without a break, and in which before."""
    spans = to_pandas(
        exports.table("members")
        .join(exports.lift_keys(cases[["member_id"]]), on="member_id", how="inner")
        .select("member_id", "network_id", "effective_date", "termination_date")
        .sort("member_id", "effective_date", "termination_date", "network_id")
    )
    for column, blank in (("effective_date", "1900-01-01"), ("termination_date", "9999-12-30")):
        spans[column] = as_days(spans[column]).fillna(pd.Timestamp(blank))
    previous = spans.groupby("member_id")[["network_id", "termination_date"]].shift()
    touches = spans["effective_date"] <= previous["termination_date"] + pd.Timedelta(days=1)
    same = spans["network_id"].fillna("") == previous["network_id"].fillna("")
    starts = ~(touches & same & previous["termination_date"].notna())
    spans["covered_since"] = spans["effective_date"].where(starts)
    spans["network_before"] = previous["network_id"].where(starts)
    block = starts.cumsum()
    spans[["covered_since", "network_before"]] = spans.groupby(block)[["covered_since", "network_before"]].transform(
        "first"
    )
    mine = cases[["member_id"]].reset_index(names="number").merge(spans, on="member_id", how="inner")
    mine = mine[mine["effective_date"] <= pd.Timestamp(as_of)].drop_duplicates("number", keep="last")
    mine = mine.set_index("number")
    since = mine["covered_since"].where(mine["covered_since"] > pd.Timestamp("1900-01-01"))
    return cases.assign(covered_since=since, network_before=mine["network_before"])


def _add_contract(exports: Exports, cases: pd.DataFrame) -> pd.DataFrame:
    """Add the last day on which the provider was listed in the member's network, where it no longer is."""
    npis = cases["provider_npi"].unique().tolist()
    rows = to_pandas(
        exports.table("directory")
        .filter(nw.col("npi").is_in(npis))
        .select("npi", "effective_date", "termination_date", row_network="network_id")
        .unique()
    )
    pairs = cases[["provider_npi", "network_id", "asked_on"]].reset_index(names="number")
    pairs = pairs.merge(rows, left_on="provider_npi", right_on="npi", how="inner")
    blank = pairs["row_network"].isna() | pairs["network_id"].isna()
    pairs = pairs[blank | (pairs["row_network"] == pairs["network_id"])]
    begin, end = (as_days(pairs[c]) for c in ("effective_date", "termination_date"))
    begun = begin.isna() | (begin <= pairs["asked_on"])
    active = begun & (end.isna() | (end >= pairs["asked_on"]))
    listed = pairs.loc[active, "number"]
    ended = pairs.assign(end=end)[begun & ~active & ~pairs["number"].isin(listed)]
    return cases.assign(left_network_on=ended.groupby("number")["end"].max(), is_listed=cases.index.isin(listed))
