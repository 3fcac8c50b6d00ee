"""What each agreement could have been expected to cost on the day it was decided, and what it did cost.

In: approved agreements, and the claims before each decision. Out: visits and costs within the term as P10, P50
and P90, beside the actual ones; and how often those lay within. See `estimate_agreements` for the method.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaln, gammaln
from scipy.stats import binomtest

from sca_analysis import costs
from sca_analysis.amounts import MONEY, cents, money
from sca_analysis.claims import visit_lines
from sca_analysis.courses import Collection, as_cases, find_benefits
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.network import homes_on
from sca_analysis.register import BEGINNING, PAIR, build_register, join_terms, list_requests, pair_lines
from sca_analysis.standards import specialty_of
from sca_analysis.tables import ESTIMATES

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MEASURES = ("visits", "sessions", "plan_paid", "cost_share")
PERCENTILES = (10, 50, 90)
ENOUGH = 4  # visits of the course itself before the decision, from which its own pace is used
COURSE_VISITS = 3  # visits from which a patient with a provider is a course; before, many come once and never again
FEWEST = 10  # courses of a specialty from which it has a history of its own; else all specialties together
PAUSE = 3  # a course has ended once nobody came for so many usual intervals ...
PAUSE_DAYS = 30  # ... and at least so many days
_ALL = "all specialties"
_INTERVALS = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles of the specialty's paces that stand for a fifth each
_FORETOLD = [*(f"{m}_p{p}" for m in MEASURES for p in PERCENTILES), "interval_days", "not_costed"]
_MOST_VISITS = 400  # in a term: more than one a day over a year
_BLOCK = 2_000  # agreements whose distributions are computed together


@dataclass(frozen=True)
class History:
    """What the courses of a specialty had shown by some day.

    Attributes
    ----------
    intervals : array, shape (5,)
        Usual days between two visits of a course, at the quantiles 10%, 30% ... 90% of courses.
    kept, missed : float
        Appointments kept and missed within courses, half of one added to each (Jeffreys).
    stops, goes_on : float
        Parameters of the beta distribution of the chance that a course ends after a visit.

    """

    intervals: Floats
    kept: float
    missed: float
    stops: float
    goes_on: float


def estimate_agreements(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return for each approved agreement what was to be expected on its decision date, and what came of it.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Agreements decided up to it; those whose last day is not after it are finished.

    Returns
    -------
    DataFrame
        Columns of ``tables.ESTIMATES``, in order of the decision.

    Notes
    -----
    Only claims with a service date before the decision are used (terms, fees, benefits, coverage and a provider's
    specialty are known from the start); the history of other courses is read at the first of the decision's month.

    *Visits.* A course has an appointment every so many days: the median interval of its own visits where it has
    had ``ENOUGH`` of them, else five intervals that stand for the courses of the specialty, each as likely. Each
    appointment is kept with a chance, and after each visit the course ends with a chance. Neither is known, only
    what other courses have shown: kept and missed appointments are beta-binomial; the chance of ending differs
    between courses by a beta distribution, fitted to the lengths of the courses known (those still going on count
    as at least so long), so that a course that has lasted is the more likely to go on: the shifted beta-geometric
    model (Fader and Hardie 2007, Journal of Interactive Marketing 21: 76-90). The distribution of the number of
    visits is exact: nothing is drawn. Visits between first day and decision are known and are added.

    *Costs.* The visits are put on their days and split by ``costs``, with plan years and what the member's claims
    had used of the deductibles and maxima; those past the sessions are OON, and so are other
    procedures that the course was billed for beside. As cost rises with visits, its percentiles are the costs of
    the percentiles of visits. What other in-network providers were allowed for the member in the year before goes
    on at that pace and uses deductible and maximum too; how sure that is, the range does not say, so it is too
    narrow for costs.

    *Actual.* Visits as in ``register``; plan_paid is the sum of paid amounts within the dates, blank if a line
    has none; cost_share is allowed less paid, or where allowed is blank what the claim says the member pays.

    References
    ----------
    Fader PS, Hardie BGS, Journal of Interactive Marketing 2007; 21: 76-90.

    """
    register = build_register(exports, as_of)
    agreed = register[register["decision"] == "approved"].reset_index(drop=True)
    agreed["decided"] = agreed["decision_date"].fillna(agreed["requested_date"])
    agreed = agreed.sort_values(["decided", "case_id"], ignore_index=True)
    # an open end is looked at up to a year: an estimate needs a term
    agreed["start"] = agreed["effective_date"].fillna(agreed["decided"])
    agreed["end"] = agreed["expiry_date"].fillna(agreed["start"] + pd.Timedelta(days=364))
    if agreed.empty:
        return agreed.reindex(columns=list(ESTIMATES.names))
    visits = _list_visits(exports, as_of)
    agreed = _describe_own(agreed, visits)
    histories = _read_histories(visits, agreed)
    mine = [histories.get(k, histories[k[0], _ALL]) for k in zip(agreed["month"], agreed["specialty"], strict=True)]
    has_history = np.array([h is not None for h in mine])
    lines = pair_lines(exports, as_of)
    told = agreed[has_history].reset_index(drop=True)
    if len(told):
        told = told.join(_expect_visits(told, [h for h in mine if h is not None]))
        told = told.join(_cost(exports, told, _schedule(told, visits), lines))
    untold = agreed[~has_history].assign(not_costed=f"fewer than {FEWEST} courses in the claims before: no estimate")
    both = pd.concat([told, untold.drop(columns="basis")]).reindex(columns=[*agreed, *_FORETOLD])
    both = both.astype({c: "Int64" for c in _FORETOLD if c.startswith(("visits", "sessions"))})
    both = both.astype({c: MONEY for c in _FORETOLD if c.startswith(("plan", "cost"))})
    table = _add_actual(exports, both.reset_index(drop=True), lines, as_of)
    return table.sort_values(["decided", "case_id"], ignore_index=True)[list(ESTIMATES.names)]


def calibration(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return how often what came of finished agreements lay within P10 to P90; 80% would be ideal.

    Returns
    -------
    DataFrame
        measure, basis ("all", then where the pace came from), finished (agreements), known (of those, actual and
        estimate are known), within, share_within, share_low and share_high (its 95% interval, Wilson), below and
        above (actual outside on that side).

    """
    finished = estimates[estimates["is_finished"].astype(bool)]
    rows = []
    for measure in MEASURES:
        for basis in ("all", "course", "specialty"):
            part = finished if basis == "all" else finished[finished["basis"] == basis]
            known = part[part[f"{measure}_within"].notna()]
            within = int(known[f"{measure}_within"].sum())
            low, high = (None, None)
            if len(known):
                interval = binomtest(within, len(known)).proportion_ci(method="wilson")
                low, high = float(interval.low), float(interval.high)
            below = int((known[f"{measure}_actual"] < known[f"{measure}_p10"]).sum())
            above = int((known[f"{measure}_actual"] > known[f"{measure}_p90"]).sum())
            share = within / len(known) if len(known) else None
            rows.append((measure, basis, len(part), len(known), within, share, low, high, below, above))
    columns = ["measure", "basis", "finished", "known", "within", "share_within", "share_low", "share_high"]
    return pd.DataFrame(rows, columns=[*columns, "below", "above"])


def _list_visits(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return the visits of every OON course, and of every pair with a request, in order of dates."""
    pairs = list_requests(exports, as_of).select(*PAIR).unique().with_columns(asked=nw.lit(True))
    visits = to_pandas(
        visit_lines(exports, BEGINNING, as_of)
        .join(pairs, on=PAIR, how="left")
        .filter(nw.col("is_out_of_network") | nw.col("asked").fill_null(False))
        .group_by(*PAIR, "service_date")
        .agg(taxonomy_code=nw.col("taxonomy_code").max())
        .sort(*PAIR, "service_date")
    )
    visits["service_date"] = pd.to_datetime(visits["service_date"])
    visits["specialty"] = specialty_of(visits.pop("taxonomy_code")).fillna("not in the standard")
    visits["pair"] = visits.groupby(PAIR, sort=False).ngroup()
    visits["gap"] = visits.groupby("pair")["service_date"].diff().dt.days
    visits["number"] = visits.groupby("pair").cumcount() + 1
    return visits


def _describe_own(agreed: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """Add what each course itself had shown before its decision, and its visits within the dates until then."""
    mine = agreed[[*PAIR, "case_id", "decided", "start", "end"]].merge(visits, on=PAIR, how="inner")
    mine = mine[mine["service_date"] < mine["decided"]]
    grouped = mine.groupby("case_id")
    own = pd.DataFrame(
        {
            "own_visits": grouped["service_date"].count(),
            "own_last": grouped["service_date"].max(),
            "own_interval": grouped["gap"].median(),
            "known_visits": (mine["service_date"].between(mine["start"], mine["end"])).groupby(mine["case_id"]).sum(),
        }
    )
    found = agreed.merge(own, left_on="case_id", right_index=True, how="left", validate="1:1")
    found[["own_visits", "known_visits"]] = found[["own_visits", "known_visits"]].fillna(0).astype("int64")
    has_own = found["own_visits"] >= ENOUGH
    return found.assign(basis=np.where(has_own, "course", "specialty"), month=found["decided"].dt.to_period("M"))


def _read_histories(visits: pd.DataFrame, agreed: pd.DataFrame) -> dict[tuple[Any, str], History | None]:
    """Return by month and specialty what courses had shown by the first of the month; see `History`."""
    histories: dict[tuple[Any, str], History | None] = {}
    for month in agreed["month"].unique():
        first = month.start_time
        known = visits[visits["service_date"] < first]
        courses = known.groupby("pair").agg(
            specialty=("specialty", "last"),
            visits=("number", "max"),
            last=("service_date", "max"),
            interval=("gap", "median"),
        )
        courses = courses[courses["visits"] >= COURSE_VISITS]
        quiet = (first - courses["last"]).dt.days
        courses["pause"] = np.maximum(PAUSE * courses["interval"], PAUSE_DAYS)
        courses["has_ended"] = quiet > courses["pause"]
        gaps = known[["pair", "gap"]].dropna().merge(courses[["interval", "pause", "specialty"]], on="pair")
        gaps = gaps[gaps["gap"] <= gaps["pause"]]
        gaps["missed"] = np.maximum(np.round(gaps["gap"] / np.maximum(gaps["interval"], 1)) - 1, 0)
        fallback = _fit_history(courses, gaps, None)
        histories[month, _ALL] = fallback
        by_specialty = dict(tuple(gaps.groupby("specialty")))
        for specialty, part in courses.groupby("specialty"):
            histories[month, str(specialty)] = _fit_history(part, by_specialty.get(specialty, gaps[:0]), fallback)
    return histories


def _fit_history(courses: pd.DataFrame, gaps: pd.DataFrame, otherwise: History | None) -> History | None:
    """Return what some courses show, or ``otherwise`` where there are fewer than ``FEWEST`` of them."""
    if len(courses) < FEWEST:
        return otherwise
    missed = float(gaps["missed"].sum())
    lasted = courses["visits"].to_numpy() - COURSE_VISITS
    ended = courses["has_ended"].to_numpy(dtype=bool)
    stops, goes_on = _fit_ends(lasted, ended)
    intervals = np.maximum(courses["interval"].quantile(list(_INTERVALS)).to_numpy(), 1.0)
    return History(intervals, len(gaps) + 0.5, missed + 0.5, stops, goes_on)


def _fit_ends(lasted: npt.NDArray[Any], ended: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the beta distribution of the chance to end after a visit: shifted beta-geometric, maximum likelihood.

    ``lasted`` are visits past the first ``COURSE_VISITS``; a course that has not ended lasted at least so long.
    """
    lengths, counts = np.unique(np.stack([lasted, ended]), axis=1, return_counts=True)
    n, is_end = lengths[0].astype(float), lengths[1].astype(bool)

    def loss(logs: Floats) -> float:
        a, b = np.exp(np.clip(logs, -6, 8))
        log_chance = np.where(is_end, betaln(a + 1, b + n), betaln(a, b + n)) - betaln(a, b)
        # a weak prior, of one course that ended at once and one that went on, keeps few courses from a wild fit
        return float(-(counts * log_chance).sum() - np.log(a / (a + b)) - np.log(b / (a + b)) + 0.01 * np.sum(logs**2))

    start = np.log([1.0, 1.0 + (n * counts).sum() / max(counts[is_end].sum(), 1)])
    best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4})
    a, b = np.exp(np.clip(best.x, -6, 8))
    return float(a), float(b)


def _expect_visits(agreed: pd.DataFrame, mine: list[History]) -> pd.DataFrame:
    """Return P10, P50 and P90 of the visits within the dates, and the interval in use."""
    found: dict[str, npt.NDArray[Any]] = {f"visits_p{p}": np.zeros(len(agreed), dtype=np.int64) for p in PERCENTILES}
    intervals = np.array([h.intervals for h in mine])
    own = (agreed["basis"] == "course").to_numpy()
    intervals[own] = np.maximum(agreed.loc[own, "own_interval"].to_numpy(dtype=float), 1.0)[:, None]
    slots = _count_slots(agreed, intervals)
    kept, missed = np.array([h.kept for h in mine]), np.array([h.missed for h in mine])
    stops, goes_on = np.array([h.stops for h in mine]), np.array([h.goes_on for h in mine])
    lasted = np.maximum(agreed["own_visits"].to_numpy() - COURSE_VISITS, 0)
    known = agreed["known_visits"].to_numpy()
    for rows in (slice(i, i + _BLOCK) for i in range(0, len(agreed), _BLOCK)):
        chance = _distribute(slots[rows], kept[rows], missed[rows], stops[rows], goes_on[rows] + lasted[rows])
        below = np.cumsum(chance, axis=1)
        for p in PERCENTILES:
            found[f"visits_p{p}"][rows] = known[rows] + (below < p / 100 - 1e-12).sum(axis=1)
    table = pd.DataFrame(found, index=agreed.index)
    limit = agreed["sessions_authorized"].fillna(_MOST_VISITS).to_numpy(dtype=np.int64)
    sessions = {f"sessions_p{p}": np.minimum(found[f"visits_p{p}"], limit) for p in PERCENTILES}
    return table.assign(interval_days=np.median(intervals, axis=1), **sessions)


def _count_slots(agreed: pd.DataFrame, intervals: Floats) -> Integers:
    """Return the appointments from the decision to the last day, by agreement and interval."""
    first = _first_slot(agreed, intervals)
    end = _day(agreed["end"])[:, None]
    slots = np.where(first <= end, (end - first) // intervals + 1, 0)
    most: Integers = np.minimum(slots, _MOST_VISITS).astype(np.int64)
    return most


def _first_slot(agreed: pd.DataFrame, intervals: Floats) -> Floats:
    """Return the day of the next appointment: an interval after the last visit, or as soon as the term allows."""
    earliest = np.maximum(_day(agreed["start"]), _day(agreed["decided"]))[:, None].astype(float)
    last = _day(agreed["own_last"].fillna(pd.Timestamp(1900, 1, 1)))[:, None]
    first: Floats = np.maximum(last + intervals, earliest)
    return first


def _distribute(slots: Integers, kept: Floats, missed: Floats, stops: Floats, goes_on: Floats) -> Floats:
    """Return the chances of 0, 1, 2 ... visits: the mean over the intervals, each with its number of appointments.

    Of m appointments, the visits kept are beta-binomial; a course of K visits to come, K beta-geometric, ends
    there. So the visits are the lesser of the two: P(N >= n) = P(kept >= n) x P(K >= n), the first visit being
    certain to be wanted: an agreement was just approved.
    """
    most = int(slots.max(initial=0))
    n = np.arange(most + 1)[None, :]
    a, b = stops[:, None], goes_on[:, None]
    goes_past = np.exp(betaln(a, b + np.maximum(n - 1, 0)) - betaln(a, b))  # P(K >= n)
    total = np.zeros((len(slots), most + 1))
    for m in slots.T[:, :, None]:
        fits = n <= m
        some = np.where(fits, n, 0)
        logs = gammaln(m + 1) - gammaln(some + 1) - gammaln(m - some + 1)
        logs = logs + betaln(some + kept[:, None], m - some + missed[:, None]) - betaln(kept[:, None], missed[:, None])
        chance = np.where(fits, np.exp(logs), 0.0)
        total += np.cumsum(chance[:, ::-1], axis=1)[:, ::-1]  # P(kept >= n)
    at_least = total / slots.shape[1] * goes_past
    chances: Floats = at_least - np.append(at_least[:, 1:], np.zeros((len(slots), 1)), axis=1)
    return chances


def _schedule(table: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """Return the visits of each agreement up to P90, each on its day: those known, then those expected."""
    known = table[["case_id", *PAIR, "decided", "start", "end"]].merge(visits[[*PAIR, "service_date"]], on=PAIR)
    inside = known["service_date"].between(known["start"], known["end"]) & (known["service_date"] < known["decided"])
    known = known.loc[inside, ["case_id", "service_date"]]
    number = (table["visits_p90"] - table["known_visits"]).to_numpy()
    at = np.repeat(np.arange(len(table)), number)
    order = np.arange(len(at)) - np.repeat(np.cumsum(number) - number, number)
    interval = table["interval_days"].to_numpy()
    days = _first_slot(table, interval[:, None])[at, 0] + order * interval[at]
    days = np.minimum(np.floor(days), _day(table["end"])[at]).astype(np.int64)
    expected = pd.DataFrame(
        {
            "case_id": table["case_id"].to_numpy()[at],
            "service_date": days.astype("datetime64[D]").astype("datetime64[s]"),
        }
    )
    scheduled = pd.concat([known, expected.astype({"service_date": known["service_date"].dtype})])
    scheduled = scheduled.sort_values(["case_id", "service_date"], kind="stable", ignore_index=True)
    scheduled["number"] = scheduled.groupby("case_id").cumcount() + 1
    return scheduled


def _cost(exports: Exports, table: pd.DataFrame, scheduled: pd.DataFrame, lines: nw.LazyFrame[Any]) -> pd.DataFrame:
    """Return plan_paid and cost_share at the percentiles of visits, or why there are none."""
    priced = _price(exports, table, lines)
    reasons = priced.pop("not_costed")
    visits = scheduled.merge(priced, left_on="case_id", right_index=True, how="left", validate="m:1")
    visits["covered"] = (visits["number"] <= visits["sessions_authorized"]).fillna(True).astype(bool)
    beside = visits[visits["beside"] > 0]
    beside = beside.assign(covered=False, main=0, billed=beside["beside"], oon=beside["beside_oon"])
    used, daily = _list_used(exports, table)
    elsewhere = _expect_elsewhere(visits, table, daily)
    visits = pd.concat([elsewhere, visits.assign(is_own=True), beside.assign(is_own=True)], ignore_index=True)
    visits = visits.sort_values(["case_id", "number"], kind="stable")
    benefits = exports.frame("benefits")
    visits = visits.reset_index(drop=True)
    visits["benefits_row"], visits["plan_year"] = find_benefits(visits, benefits)
    unknown = visits.loc[visits["benefits_row"] < 0, "case_id"].unique()
    reasons = reasons.mask(reasons.index.isin(unknown), "no benefits for the member's network and plan year")
    visits = visits[visits["case_id"].map(reasons).isna()].reset_index(drop=True)
    names = [f"{m}_p{p}" for m in ("plan_paid", "cost_share") for p in PERCENTILES]
    found = pd.DataFrame({n: pd.Series(pd.NA, index=table.index, dtype=MONEY) for n in names})
    found["not_costed"] = table["case_id"].map(reasons).to_numpy()
    costed = found["not_costed"].isna()
    plan, share = (np.zeros((len(table), len(PERCENTILES)), dtype=np.int64) for _ in range(2))
    if len(visits):
        columns = {"billed": "billed", "in_network_allowed": "main", "out_of_network_allowed": "oon"}
        columns |= {"sca_allowed": "main"}
        amounts = {n: money(visits[c].to_numpy(dtype=np.int64)) for n, c in columns.items()}
        cases, at = as_cases(visits.assign(course_id=visits["case_id"], **amounts), benefits, Collection())
        first = visits.assign(case=at["case"].to_numpy()).drop_duplicates("case").sort_values("case")
        years = first.merge(used, on=["case_id", "plan_year"], how="left", validate="1:1")
        cases = replace(
            cases,
            in_network=_use(cases.in_network, years, "in_network"),
            out_of_network=_use(cases.out_of_network, years, "out_of_network"),
        )
        split = costs.compare_arrangements(cases)["sca"]
        is_own = visits["is_own"].to_numpy(dtype=bool)
        row = visits["case_id"].map(pd.Series(table.index, index=table["case_id"])).to_numpy()
        for i, p in enumerate(PERCENTILES):
            counts = (visits["number"].to_numpy() <= table[f"visits_p{p}"].to_numpy()[row]) & is_own
            np.add.at(plan[:, i], row[counts], split.plan_paid[at["case"], at["place"]][counts])
            np.add.at(share[:, i], row[counts], split.member_cost_share[at["case"], at["place"]][counts])
    for name, amounts_of in (("plan_paid", plan), ("cost_share", share)):
        for i, p in enumerate(PERCENTILES):
            found[f"{name}_p{p}"] = money(amounts_of[:, i]).where(costed)
    return found


def _price(exports: Exports, table: pd.DataFrame, lines: nw.LazyFrame[Any]) -> pd.DataFrame:
    """Return by case_id what a visit is billed and allowed, under the agreement and OON, and beside it [cents].

    The procedure agreed is one line a visit with the usual units of the course so far (1 without); it is billed
    as the course was so far or else as asked. What was billed for other procedures counts as a mean of its visits.
    """
    fees = exports.frame("fees")
    fees = fees[fees["locality"].isna()].set_index("procedure_code")["out_of_network_allowed"]
    before = to_pandas(
        lines.select(*PAIR, "service_date", "procedure_code", "units", "billed_amount", "allowed_amount", "is_denied")
    )
    before["service_date"] = pd.to_datetime(before["service_date"])
    mine = table[[*PAIR, "case_id", "decided", "procedure_code"]].rename(columns={"procedure_code": "agreed"})
    before = mine.merge(before, on=PAIR)
    before = before[before["service_date"] < before["decided"]]
    is_main = before["agreed"].isna() | (before["procedure_code"] == before["agreed"])
    before["units"] = before["units"].astype("float64")
    before["cents"] = cents(before["billed_amount"])
    fee = before["procedure_code"].map(fees)
    rated = np.floor(before["units"] * fee.astype("float64").fillna(0) * 100 + 0.5)
    before["oon"] = (
        before["allowed_amount"].astype("float64").mul(100).round().where(~before["is_denied"]).fillna(rated)
    )
    days = before.groupby("case_id")["service_date"].nunique()
    main = before[is_main].groupby("case_id").agg(units=("units", "median"), unit_billed=("cents", "median"))
    other = before[~is_main].groupby("case_id")[["cents", "oon"]].sum().div(days, axis=0)
    known = table.set_index("case_id")[
        ["agreed_rate", "requested_rate", "usual_charge", "procedure_code", "sessions_authorized"]
    ]
    known = known.join(main).join(other.rename(columns={"cents": "beside", "oon": "beside_oon"}))
    units = known["units"].fillna(1).to_numpy()
    rate = known["agreed_rate"].astype("float64").to_numpy() * 100
    asked = known["requested_rate"].fillna(known["usual_charge"]).fillna(known["agreed_rate"]).astype("float64") * 100
    billed = known["unit_billed"].fillna(asked * units)
    oon = known["procedure_code"].map(fees).astype("float64").fillna(0) * 100 * units
    reasons = pd.Series(pd.NA, index=known.index, dtype="string").mask(known["agreed_rate"].isna(), "no agreed rate")
    if "benefits" in exports.missing:
        reasons[:] = "no benefits in these exports"
    billed_cents = _half_up(billed)
    return pd.DataFrame(
        {
            "billed": billed_cents,
            "main": np.minimum(_half_up(rate * units), billed_cents),
            "oon": np.minimum(_half_up(oon), billed_cents),
            "beside": _half_up(known["beside"]),
            "beside_oon": np.minimum(_half_up(known["beside_oon"]), _half_up(known["beside"])),
            "sessions_authorized": known["sessions_authorized"],
            "network_id": _network(exports, table),
            "not_costed": reasons,
        },
        index=known.index,
    )


def _half_up(amounts: Any) -> Integers:
    """Return estimated cents rounded half up; blanks are nothing."""
    whole: Integers = np.floor(np.nan_to_num(np.asarray(amounts, dtype=float)) + 0.5).astype(np.int64)
    return whole


def _network(exports: Exports, table: pd.DataFrame) -> npt.NDArray[Any]:
    """Return the network of each member when the agreement is decided or, if later, begins."""
    days = table[["member_id"]].assign(day=table[["decided", "start"]].max(axis=1))
    networks: npt.NDArray[Any] = homes_on(exports, days)["network_id"].to_numpy(dtype=object)
    return networks


def _use(tier: costs.Tier, years: pd.DataFrame, name: str) -> costs.Tier:
    """Return a tier with what the member's claims before the decision had used of it in the plan year."""
    deductible, pocket = (cents(years[f"{c}_{name}"].fillna(0)) for c in ("used_allowed", "used_share"))
    return replace(
        tier,
        deductible_used=np.minimum(deductible, tier.deductible),
        out_of_pocket_used=np.minimum(pocket, tier.out_of_pocket_max),
    )


def _expect_elsewhere(visits: pd.DataFrame, table: pd.DataFrame, daily: pd.Series) -> pd.DataFrame:
    """Return before each expected visit what other in-network providers are allowed until then, at last year's pace."""
    decided = visits["case_id"].map(table.set_index("case_id")["decided"])
    before = visits.groupby("case_id")["service_date"].shift().fillna(decided)
    begin = np.maximum(before.to_numpy(), decided.to_numpy())
    days = np.clip((visits["service_date"].to_numpy() - begin) / np.timedelta64(1, "D"), 0, None)
    amount = _half_up(days * visits["case_id"].map(daily).fillna(0).to_numpy(dtype=float))
    some = visits.assign(main=amount, billed=amount, oon=0, covered=True, is_own=False)
    return some[amount > 0]


def _list_used(exports: Exports, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return what the member's claims before the decision had counted towards deductibles and maxima.

    By case_id and plan year, for each tier what was allowed and the share of the member. [USD] Then by case_id
    what other in-network providers were allowed a day over the year before, or since the claims begin. [cents]
    Visits within the dates until the decision are left out of the former: they are among those costed.
    """
    last, earliest = table["decided"].max().date(), (table["decided"].min() - pd.Timedelta(days=366)).date()
    terms = list_requests(exports, last).filter(nw.col("decision") == "approved")
    members = terms.select("member_id").unique()
    lines = visit_lines(exports, earliest, last).join(members, on="member_id", how="inner")
    under = (
        join_terms(lines, terms).filter("is_covered", "is_rated").select("claim_id", "line_number", under=nw.lit(True))
    )
    days = to_pandas(
        lines.join(under, on=["claim_id", "line_number"], how="left")
        .filter(nw.col("claim_status") == "paid", ~nw.col("paid_amount").is_null())
        .with_columns(
            is_in=~nw.col("is_out_of_network") | nw.col("under").fill_null(False),
            allowed=nw.coalesce(nw.col("allowed_amount"), nw.col("paid_amount") + nw.col("member_amount")),
        )
        .filter(~nw.col("allowed").is_null())
        .with_columns(share=nw.col("allowed") - nw.col("paid_amount"))
        .group_by(*PAIR, "network_id", "service_date", "is_in")
        .agg(
            used_allowed=nw.col("allowed").sum().cast(nw.Decimal(18, 2)),
            used_share=nw.col("share").sum().cast(nw.Decimal(18, 2)),
        )
    )
    begin = pd.Timestamp(to_pandas(exports.table("claims").select(day=nw.col("service_date").min()))["day"].iloc[0])
    days["service_date"] = pd.to_datetime(days["service_date"])
    _, days["plan_year"] = find_benefits(days, exports.frame("benefits"))
    mine = table[["case_id", "member_id", "provider_npi", "decided", "start"]].rename(columns={"provider_npi": "mine"})
    days = days.merge(mine, on="member_id", how="inner")
    days = days[days["service_date"] < days["decided"]]
    is_mine, is_in = days["provider_npi"] == days["mine"], days["is_in"].astype(bool)
    earlier = days[~(is_mine & (days["service_date"] >= days["start"]))]
    used = earlier[["case_id", "plan_year"]].drop_duplicates(ignore_index=True)
    tier = is_in.reindex(earlier.index)
    for name, rows in (("in_network", tier), ("out_of_network", ~tier)):
        sums = earlier[rows].groupby(["case_id", "plan_year"], as_index=False)[["used_allowed", "used_share"]].sum()
        sums = sums.rename(columns={c: f"{c}_{name}" for c in ("used_allowed", "used_share")})
        used = used.merge(sums, on=["case_id", "plan_year"], how="left", validate="1:1")
    amounts = [c for c in used if c.startswith("used_")]
    used[amounts] = used[amounts].astype(MONEY).fillna(0)
    used[amounts] = used[amounts].where(used[amounts] > 0, 0).astype(MONEY)
    lately = days["service_date"] >= days["decided"] - pd.Timedelta(days=365)
    other = days[~is_mine & is_in & lately].groupby("case_id")["used_allowed"].sum().astype("float64") * 100
    span = table.set_index("case_id")["decided"].sub(begin).dt.days.clip(1, 365)
    return used, (other / span.reindex(other.index)).clip(lower=0)


def _add_actual(exports: Exports, table: pd.DataFrame, lines: nw.LazyFrame[Any], as_of: date) -> pd.DataFrame:
    """Add what came of the agreements that are finished, and whether it lay within P10 to P90."""
    approved = list_requests(exports, as_of).filter(nw.col("decision") == "approved")
    left = nw.col("allowed_amount") - nw.col("paid_amount")
    share = nw.when(nw.col("is_denied")).then(nw.lit(0)).otherwise(nw.coalesce(left, nw.col("member_amount")))
    paid = nw.when(nw.col("is_denied")).then(nw.lit(0)).otherwise(nw.col("paid_amount"))
    sums = to_pandas(
        join_terms(lines, approved)
        .with_columns(paid=paid.cast(nw.Decimal(18, 2)), share=share.cast(nw.Decimal(18, 2)))
        .group_by("case_id")
        .agg(
            lines=nw.len(),
            paid_known=nw.col("paid").count(),
            share_known=nw.col("share").count(),
            plan_paid_actual=nw.col("paid").sum().cast(nw.Decimal(18, 2)),
            cost_share_actual=nw.col("share").sum().cast(nw.Decimal(18, 2)),
        )
    )
    found = table.merge(sums, on="case_id", how="left", validate="1:1")
    finished = (found["expiry_date"] <= pd.Timestamp(as_of)).to_numpy()
    found["is_finished"] = finished
    none = found["lines"].isna()
    for name, known in (("plan_paid", "paid_known"), ("cost_share", "share_known")):
        actual = found[f"{name}_actual"].mask(none, 0).astype(MONEY)  # no visits, no cost
        found[f"{name}_actual"] = actual.where(finished & (none | (found[known] == found["lines"])).fillna(False))
    used, limit = found["sessions_used"], found["sessions_authorized"]
    found["visits_actual"] = used.where(finished)
    found["sessions_actual"] = used.where(limit.isna() | (used <= limit), limit).where(finished)
    for name in MEASURES:
        found[f"{name}_within"] = _lies_within(found, name)
    return found


def _lies_within(table: pd.DataFrame, name: str) -> pd.Series:
    """Tell whether the actual figure lies from P10 to P90; NA where one of them is not known."""
    low, high, actual = (table[f"{name}_{end}"] for end in ("p10", "p90", "actual"))
    known = low.notna() & high.notna() & actual.notna()
    inside = ((actual >= low) & (actual <= high)).fillna(False).astype("boolean")
    return inside.where(known)


def _day(days: pd.Series) -> Integers:
    """Return timestamps as days since 1970."""
    numbers: Integers = days.to_numpy(dtype="datetime64[D]").astype(np.int64)
    return numbers
