"""On what grounds a case deserves an SCA: S1 to S10, each with its evidence.

In: one case as ``history`` and ``search`` know it, its costs, and the facts that people entered. Out: a finding for
each ground (shown, in doubt, not shown, to be entered, not known) and the sentences of evidence. What cannot be seen
in exports is asked for, never assumed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd

from sca_analysis.phrases import says_yes
from sca_analysis.search import name_obstacles

SHOWN, DOUBT, NOT_SHOWN, ENTER, UNKNOWN = "shown", "in doubt", "not shown", "to be entered", "not known"
FINDINGS = (SHOWN, DOUBT, ENTER, UNKNOWN, NOT_SHOWN)
GROUNDS = ("gap", "continuity", "affordability", "setback", "individual_need")

#: Share of a household's income from which what a member pays a year counts as more than can be afforded.
#: [the Commonwealth Fund's measure of underinsurance: 10% of income; it takes 5% below 200% of the poverty line,
#: which exports cannot tell]
AFFORDABLE = Decimal("0.10")
#: Days without a visit after which a treatment is no longer taken to be under way. [assumption: a quarter]
UNDER_WAY = 90
#: Days after the coverage began within which a first visit may go on with a treatment begun before. [assumption]
SOON_AFTER = 60
#: Days of a transition period. [42 USC 300gg-113 and 29 USC 1185g, after the end of a provider's contract; 42 CFR
#: 422.112(b)(8), after a change to a Medicare Advantage plan; other plans have other rules]
TRANSITION = 90
#: From here on a course counts as long. [assumption: half a year, and more visits than a transition of about ten]
LONG_MONTHS, LONG_VISITS = 6, 11
#: Papers of the provider without which a request is not complete (S8).
PAPERS = ("billing_commitment", "license", "tin", "w9")


@dataclass(frozen=True)
class Facts:
    """What is known of one case: a row of `history.gather` with costs, and what stands beside it.

    ``row`` has the columns of ``tables.CASES`` that are facts, those of `history.gather` and `count_searched`;
    ``usable`` gives the rows of ``tables.SEARCHED`` that are usable; ``entered`` rows of ``tables.ENTERED`` by fact;
    ``has_oon_benefits`` is None where no benefits are known.
    """

    row: Mapping[str, Any]
    usable: Callable[[], pd.DataFrame]
    entered: Mapping[str, Mapping[str, Any]]
    has_oon_benefits: bool | None
    as_of: date

    def said(self, fact: str) -> str | None:
        """Return what was entered for a fact; None where nothing was."""
        return str(self.entered[fact]["value"]) if fact in self.entered else None

    def says(self, fact: str) -> bool | None:
        """Return a yes or no that was entered; None where nothing was."""
        return says_yes(self.entered, fact)

    def who(self, fact: str) -> str:
        """Return who entered a fact, and when."""
        return f"entered by {self.entered[fact]['entered_by']} on {self.entered[fact]['entered_on']:%Y-%m-%d}"


@dataclass
class Judged:
    """Findings of one case by ground, evidence (statement, sentence, source, is_internal), and what is missing."""

    findings: dict[str, str] = field(default_factory=dict)
    evidence: list[tuple[str, str, str, bool]] = field(default_factory=list)
    to_enter: list[str] = field(default_factory=list)

    def add(self, statement: str, sentence: str, source: str, *, is_internal: bool = False) -> None:
        """Add a sentence of evidence."""
        self.evidence.append((statement, sentence, source, is_internal))


def judge(facts: Facts) -> Judged:
    """Return the findings and the evidence of one case, S1, S3 to S8 and S10; S2 and S9 see `tell_money`."""
    judged = Judged()
    for ground, find in (
        ("gap", _find_gap),
        ("affordability", _find_affordability),
        ("continuity", _find_continuity),
        ("setback", _find_setback),
        ("individual_need", _find_need),
    ):
        judged.findings[ground] = find(facts, judged)
    _tell_start(facts, judged)
    _check_papers(facts, judged)
    _tell_agreement(facts, judged)
    return judged


def _find_gap(facts: Facts, judged: Judged) -> str:
    """S1: whether nobody was usable in range of the member's home on the request date."""
    row, day = facts.row, f"{facts.row['asked_on']:%Y-%m-%d}"
    if pd.isna(row["max_miles"]):
        why = "no standard for this specialty" if pd.notna(row["county_fips"]) else "the member's home is not known"
        judged.add("S1", f"No search on {day}: {why}.", "directory")
        return UNKNOWN
    text = (
        f"On {day}, {row['usable']} of {row['searched']} {row['specialty']} providers that the directory lists, on any "
        f"terms, within {row['max_miles']:g} miles of the member's home were usable"
    )
    text += f"; the others: {row['obstacles']}." if row["obstacles"] else "."
    judged.add("S1", text, "directory")
    if pd.notna(row["gap_status"]):
        judged.add(
            "S1",
            f"The county's row of the gap table for {row['specialty']} on {facts.as_of} is {row['gap_status']}.",
            "gap table",
            is_internal=True,
        )
    if not row["usable"]:
        if pd.notna(row["nearest_beyond"]):
            nearest = row["nearest_beyond"]
            judged.add("S1", f"The nearest open in-network listing is {nearest:.1f} miles away.", "directory")
        return SHOWN
    judged.add(
        "S1",
        f"{row['usable_seen']} of the {row['usable']} usable providers had a claim in the 12 months to {day}. One "
        "without may simply not have been needed; call before relying on a listing.",
        "claims",
        is_internal=True,
    )
    return DOUBT if not row["usable_seen"] or row["gap_status"] == "too_few" else NOT_SHOWN


def _find_affordability(facts: Facts, judged: Judged) -> str:
    """S4: no OON benefits, or more than the household can afford."""
    row = facts.row
    if facts.has_oon_benefits is False:
        judged.add("S4", "The plan has no out-of-network benefits: the member owes all that is billed.", "benefits")
        return SHOWN
    owed = row["member_total_out_of_network"]
    if pd.isna(owed):
        judged.add("S4", f"What the member owes OON is not known: {row['not_costed']}.", "claims, benefits")
        return UNKNOWN
    judged.add(
        "S4",
        f"In the 12 months to {facts.as_of}, {row['visits']} visits cost the member ${owed:,.2f} OON (cost share and "
        f"balance bill) and would have cost ${row['member_total_sca']:,.2f} under an SCA.",
        "claims, benefits",
        is_internal=True,
    )
    if (said := facts.said("income")) is None:
        judged.to_enter.append("income")
        return ENTER
    income = Decimal(said.replace("$", "").replace(",", ""))
    if income <= 0:
        judged.add("S4", "The household has no income.", facts.who("income"))
        return SHOWN if owed > 0 else NOT_SHOWN
    share = owed / income
    judged.add(
        "S4",
        f"That is {share:.1%} of the household's income of ${income:,.2f} a year; {AFFORDABLE:.0%} or more counts as "
        "more than can be afforded (Commonwealth Fund, underinsurance).",
        facts.who("income"),
        is_internal=True,
    )
    return SHOWN if share >= AFFORDABLE else NOT_SHOWN


def _find_continuity(facts: Facts, judged: Judged) -> str:
    """S5: whether the treatment began before the coverage, or the end of the contract, and goes on."""
    row = facts.row
    first, last, source = row["first_visit_date"], row["last_visit_date"], "claims"
    if facts.said("treatment_began"):
        entered = pd.Timestamp(_as_day(facts.said("treatment_began")))
        if pd.isna(first) or entered < first:
            first, source = entered, facts.who("treatment_began")
    if pd.isna(first):
        judged.add("S5", f"No visit with this provider is in the claims up to {facts.as_of}.", "claims")
        judged.to_enter.append("treatment_began")
        return ENTER
    if pd.notna(last):
        judged.add(
            "S5",
            f"{row['visits_ever']} visits with this provider are in the claims, {row['first_visit_date']:%Y-%m-%d} to "
            f"{last:%Y-%m-%d} ({_months(row['first_visit_date'], last)} months).",
            "claims",
        )
    changes = []
    since = row["covered_since"]
    if pd.notna(since) and first < since:
        before = f", in network {row['network_before']} before" if pd.notna(row["network_before"]) else ""
        changes.append((since, f"coverage in this network began on {since:%Y-%m-%d}{before}", "members"))
    left = row["left_network_on"]
    if pd.notna(left) and first <= left:
        changes.append(
            (
                left + pd.Timedelta(days=1),
                f"the provider was listed in the member's network until {left:%Y-%m-%d}",
                "directory",
            )
        )
    for _, words, where in changes:
        judged.add("S5", f"Treatment began on {first:%Y-%m-%d}; {words}.", f"{source}, {where}")
    if changes:
        until = max(pd.Timestamp(facts.as_of), row["asked_on"])
        if pd.notna(last) and (until - last).days > UNDER_WAY:
            judged.add("S5", f"The last visit lies {(until - last).days} days back: not under way.", "claims")
            return NOT_SHOWN
        end = max(day for day, *_ in changes) + pd.Timedelta(days=TRANSITION - 1)
        judged.add(
            "S5", f"{TRANSITION} days from the change, a usual transition period, end on {end:%Y-%m-%d}.", "members"
        )
        return SHOWN
    if pd.isna(since):
        judged.add("S5", "Since when the member is covered is not known.", "members")
        return UNKNOWN
    if 0 <= (first - since).days <= SOON_AFTER and not facts.said("treatment_began"):
        judged.add(
            "S5",
            f"The first visit came {(first - since).days} days after the coverage began: earlier treatment would not "
            "be in these claims.",
            "claims, members",
        )
        judged.to_enter.append("treatment_began")
        return ENTER
    return NOT_SHOWN


def _find_setback(facts: Facts, judged: Judged) -> str:
    """S6: whether starting over would set the patient back, which only a person can say."""
    if (says := facts.says("setback")) is None:
        judged.to_enter.append("setback")
        return ENTER
    reason = facts.said("setback_reason")
    words = "Starting over would set the patient back" if says else "Starting over would not set the patient back"
    judged.add("S6", f"{words}{f': {reason}' if reason else ''}.", facts.who("setback"))
    return SHOWN if says else NOT_SHOWN


def _find_need(facts: Facts, judged: Judged) -> str:
    """S7: specialised or long treatment that nobody usable is known to offer."""
    row, usable, findings = facts.row, int(facts.row["usable"]), []
    if pd.notna(row["first_visit_date"]):
        months = _months(row["first_visit_date"], row["last_visit_date"])
        judged.add(
            "S7",
            f"Course length: {row['visits_ever']} visits in {months} months, {row['visits']} of them OON in the 12 "
            f"months to {facts.as_of}.",
            "claims",
        )
        if months >= LONG_MONTHS and row["visits_ever"] >= LONG_VISITS:
            findings.append(DOUBT)  # a long course is no proof of a special need
    if language := facts.said("language"):
        told = facts.usable()["languages"].dropna()
        able = int(told.str.casefold().str.split(r"\s*;\s*").map(lambda some: language.casefold() in some).sum())
        judged.add(
            "S7",
            f"Language needed: {language}. {able} of {usable} usable providers list it; {usable - len(told)} "
            "list no languages.",
            f"{facts.who('language')}; directory",
        )
        findings.append(NOT_SHOWN if able else SHOWN if len(told) == usable else DOUBT)
    if code := facts.said("sub_specialty"):
        able = int((facts.usable()["taxonomy_code"] == code.upper()).sum())
        judged.add(
            "S7",
            f"Sub-specialty needed: {code.upper()}. {able} of {usable} usable providers are listed with it.",
            f"{facts.who('sub_specialty')}; directory",
        )
        findings.append(NOT_SHOWN if able else SHOWN)
    for fact in ("modality", "age_group"):
        if said := facts.said(fact):
            who_can = "directories do not say who offers it: ask"
            judged.add("S7", f"{fact.replace('_', ' ').capitalize()} needed: {said}; {who_can}.", facts.who(fact))
            findings.append(DOUBT if usable else SHOWN)
    if not any(facts.said(fact) for fact in ("language", "sub_specialty", "modality", "age_group")):
        judged.to_enter.append("individual need")
        code = row["taxonomy_code"]
        if usable and pd.notna(code) and not row["usable_alike"]:
            judged.add(
                "S7",
                f"The provider's code, {code}, is listed for none of the {usable} usable providers.",
                "claims, directory",
            )
            findings.append(DOUBT)
        return DOUBT if findings else ENTER
    return next(finding for finding in (SHOWN, DOUBT, NOT_SHOWN) if finding in findings)


def _tell_start(facts: Facts, judged: Judged) -> None:
    """S3: whether the treatment began before the SCA was asked for, and what was billed until then."""
    row = facts.row
    asked = f"the request of {row['asked_on']:%Y-%m-%d}" if row["state"] != "not_asked" else f"{facts.as_of}"
    if row["visits_before"]:
        text = f"{row['visits_before']} OON visits, ${row['billed_before']:,.2f} billed, came before {asked}"
        is_open = row["state"] in ("pending", "not_asked")
        text += ": ask for a retroactive agreement, or they stay OON." if is_open else "."
        judged.add("S3", text, "claims")
    else:
        judged.add("S3", f"No OON visit with this provider came before {asked}.", "claims")


def _check_papers(facts: Facts, judged: Judged) -> None:
    """S8: whether the provider has committed to billing the insurer, and which papers are at hand."""
    row = facts.row
    judged.add("S8", f"NPI {row['provider_npi']}, taxonomy code {row['taxonomy_code']}.", "claims")
    for paper in PAPERS:
        if (said := facts.said(paper)) is None:
            judged.to_enter.append(paper)
        elif paper in ("billing_commitment", "w9"):
            words = {"billing_commitment": "Billing commitment", "w9": "W-9"}[paper]
            judged.add("S8", f"{words}: {'yes' if facts.says(paper) else 'no'}.", facts.who(paper))
            if not facts.says(paper):
                judged.to_enter.append(paper)
        else:
            judged.add("S8", f"{'Licence' if paper == 'license' else 'TIN'}: {said}.", facts.who(paper))
    if pd.isna(row.get("requested_rate")) and facts.said("rate_asked") is None:
        judged.to_enter.append("rate_asked")


def _tell_agreement(facts: Facts, judged: Judged) -> None:
    """S10: what came of the latest agreement."""
    row = facts.row
    if row["state"] not in ("agreed", "used_up", "ended"):
        return
    ends = f"until {row['expiry_date']:%Y-%m-%d}" if pd.notna(row["expiry_date"]) else "without an end"
    of = f" of {row['sessions_authorized']}" if pd.notna(row["sessions_authorized"]) else ""
    text = f"The agreement ran {ends}" if row["state"] == "ended" else f"An agreement is in force {ends}"
    judged.add("S10", f"{text}: {row['sessions_used']}{of} sessions used up to {facts.as_of}.", "requests, claims")
    if row["visits_after_expiry"]:
        judged.add("S10", f"{row['visits_after_expiry']} OON visits came after its last day.", "requests, claims")
    for lines, amount, words in (
        ("lines_balance_billed", "balance_billed", "were balance billed"),
        ("lines_allowed_above", "allowed_above", "were allowed above the agreed rate"),
    ):
        if pd.notna(row[lines]) and row[lines]:
            judged.add(
                "S10",
                f"{row[lines]} lines under it {words}, by ${row[amount]:,.2f} in all.",
                "requests, claims",
                is_internal=True,
            )


def tell_money(row: Mapping[str, Any], judged: Judged) -> None:
    """Add what a session may cost (S2) and what each arrangement costs whom (S9): a row of ``tables.CASES``."""
    public = {"usual_charge": "the usual charge", "charge": "the median charge of this provider"}
    said = [f"{words} ${row[c]:,.2f}" for c, words in public.items() if pd.notna(row[c])]
    if pd.notna(row["medicare_rate"]):
        said.append(f"Medicare's rate ${row['medicare_rate']:,.2f}")
    if said:
        judged.add("S2", f"A unit of {row['procedure_code']}: {', '.join(said)}.", "fees, claims")
    inside = {"in_network_rate": "the in-network rate", "out_of_network_allowed": "the OON allowed amount"}
    said = [f"{words} ${row[c]:,.2f}" for c, words in inside.items() if pd.notna(row[c])]
    if pd.notna(row["rate_low"]):
        said.append(f"range suggested ${row['rate_low']:,.2f} to ${row['rate_high']:,.2f} ({row['rate_basis']})")
    if pd.notna(row["rate_high"]) and pd.notna(row["requested_rate"]) and row["requested_rate"] > row["rate_high"]:
        said.append(f"the rate asked for, ${row['requested_rate']:,.2f}, lies above it")
    if said:
        judged.add("S2", f"For the plan: {', '.join(said)}.", "fees", is_internal=True)
    if pd.notna(row["not_costed"]):
        judged.add("S9", f"Costs are not known: {row['not_costed']}.", "claims, benefits, fees", is_internal=True)
        return
    basis = "the agreed rate" if row["sca_rate_basis"] == "agreed_rate" else "the usual charge, the ceiling in a gap"
    for party, words in (("plan_paid", "The plan"), ("member_total", "The member"), ("provider_net", "The provider")):
        verb = "would get" if party == "provider_net" else "would pay" if party == "plan_paid" else "would owe"
        judged.add(
            "S9",
            f"{words} {verb} ${row[f'{party}_in_network']:,.2f} at the in-network rate, "
            f"${row[f'{party}_out_of_network']:,.2f} OON and ${row[f'{party}_sca']:,.2f} under an SCA at {basis}, for "
            f"{row['visits']} visits in the 12 months.",
            "claims, benefits, fees",
            is_internal=True,
        )


def count_searched(cases: pd.DataFrame, searched: pd.DataFrame) -> pd.DataFrame:
    """Return what a search found for each case.

    Parameters
    ----------
    cases : DataFrame
        case_id and taxonomy_code (of the OON provider).
    searched : DataFrame
        Columns of ``tables.SEARCHED``.

    Returns
    -------
    DataFrame
        By the index of ``cases``: searched and usable (providers in range, on any terms, and usable), usable_seen
        (of those, with a claim in the twelve months), usable_alike (of those, listed with the code of the OON
        provider), nearest_usable_miles, nearest_beyond [miles], and obstacles: why the others do not count, in words.

    """
    rows = searched.merge(cases[["case_id", "taxonomy_code"]], on="case_id", suffixes=("", "_sought"))
    is_beyond = rows["why_not"].str.startswith("beyond").astype(bool)
    is_alike = (rows["taxonomy_code"] == rows["taxonomy_code_sought"]).fillna(False)
    usable = rows["is_usable"].astype(bool)
    counts = {
        "searched": rows[~is_beyond],
        "usable": rows[usable],
        "usable_seen": rows[usable & rows["last_visit_date"].notna()],
        "usable_alike": rows[usable & is_alike],
    }
    ids = cases["case_id"]
    found = {c: ids.map(part.groupby("case_id").size()).fillna(0).astype("int64") for c, part in counts.items()}
    others = rows[~usable & ~is_beyond]
    kinds = others.assign(kind=name_obstacles(others["why_not"]))
    tally = kinds.groupby(["case_id", "kind"]).size().reset_index(name="n")
    tally = tally.sort_values(["case_id", "n", "kind"], ascending=[True, False, True])
    words = (tally["n"].astype(str) + " " + tally["kind"]).groupby(tally["case_id"]).agg(", ".join)
    return pd.DataFrame(found).assign(
        nearest_usable_miles=ids.map(rows[usable].groupby("case_id")["miles"].min()).astype("Float64"),
        nearest_beyond=ids.map(rows[is_beyond].groupby("case_id")["miles"].min()).astype("Float64"),
        obstacles=ids.map(words.astype("string")).astype("string").fillna(""),
    )


def is_complete(judged: Judged) -> bool:
    """Tell whether a ground is shown and the provider's papers are at hand, its commitment to bill among them."""
    return SHOWN in judged.findings.values() and not set(PAPERS) & set(judged.to_enter)


def _months(first: pd.Timestamp, last: pd.Timestamp) -> int:
    """Return the whole months between two days."""
    months = (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)
    return int(max(months, 0))


def _as_day(text: str | None) -> str | None:
    """Return a date as ``check`` accepts it, with its hyphens."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if text and len(text) == 8 and text.isdigit() else text


def list_evidence(judged: Mapping[str, Judged]) -> Iterator[tuple[str, str, int, str, str, bool]]:
    """Yield the rows of ``tables.EVIDENCE``: statement by statement, in order."""
    for case_id, one in judged.items():
        count: dict[str, int] = {}
        for statement, sentence, source, is_internal in sorted(one.evidence, key=lambda e: int(e[0][1:])):
            count[statement] = count.get(statement, 0) + 1
            yield case_id, statement, count[statement], sentence, source, is_internal
