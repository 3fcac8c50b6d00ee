"""What a request letter says: one case as plain text, for a template to lay out.

In: the cases of a day, a case number, the plan. Out: a nested dict of text, flags, lists and dicts. For a provider it
holds nothing that the plan alone knows (rates, allowed amounts, payments, other patients' claims), so that no template
can show it; for the plan it holds all.

The variables of a template. Amounts and dates are text; "________" is to be filled in by hand.

audience            provider or plan
title, date         of the letter
reference           the case number
plan_name           the addressee
plan_kind           kind of plan in words; empty where it is not known
history             what became of the latest request; empty where none was made
blank               ________
is_complete         false: a draft, which must not be sent
patient             member_id; name and birth_date (blanks)
provider            name, npi, taxonomy_code, taxonomy_name (NUCC), specialty, license, tin, w9 (yes, no or to be
                    confirmed)
terms               procedure, rate and rate_basis, sessions and sessions_basis, first_day, last_day and length_basis,
                    place, billing, renewal; each basis says where its term comes from
procedures          list of code, visits, units (median a visit), rate (of a unit, asked for), basis
treatment           list of sentences on visits so far (S3)
grounds             list of name, statement (S1 …), finding, sentences (list of text, source); for a provider only
                    grounds shown, for the plan all
other_evidence      list of statement, text, source beside the grounds; for a provider empty
search              summary; rows, a list of name, npi, taxonomy_name, miles, languages, telehealth, is_usable, reason,
                    is_requesting (the provider of the request) and last_claim (for a provider empty)
charges             summary; rows, a list of code, charge, usual_charge, medicare_rate [USD a unit]; for the plan also
                    in_network_rate, out_of_network_allowed
costs               for the plan: summary; rows, a list of arrangement, plan_paid, member_total, provider_net [USD];
                    assumptions (list), rate_range, rate_basis; for a provider none
citations           list of plan_kind, topic, citation, about
citation_notes      list of sentences that must stand with the citations
checklist           list of what is still to be entered or filled in
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import pandas as pd

from sca_analysis import annexes
from sca_analysis.cases import CaseList
from sca_analysis.folder import Plan
from sca_analysis.grounds import GROUNDS, SHOWN
from sca_analysis.phrases import BLANK, count, day, dollars, says_yes, text, with_days
from sca_analysis.tables import FACTS
from sca_analysis.terms import PROCEDURE, ask_for, set_terms, with_main

Audience = Literal["provider", "plan"]

_STATEMENTS = {"gap": "S1", "continuity": "S5", "affordability": "S4", "setback": "S6", "individual_need": "S7"}
_NAMES = {
    "gap": "No usable in-network provider",
    "continuity": "Continuity of care",
    "affordability": "Out-of-network care cannot be afforded",
    "setback": "Starting over would set the patient back",
    "individual_need": "Individual need for this treatment",
}
#: Columns of ``tables.CASES`` that the plan alone knows, or that what it alone knows could be told from.
INTERNAL = (
    *(f"{side}_{arrangement}" for side in annexes.SIDES for arrangement in annexes.ARRANGEMENTS),
    *("at_stake", "in_network_rate", "out_of_network_allowed", "rate_low", "rate_high"),
)
_KNOWN = ("billed", "billed_before", "charge", "usual_charge", "medicare_rate")


def describe(
    case_list: CaseList,
    case_id: str,
    plan: Plan,
    audience: Audience = "provider",
    procedures: pd.DataFrame | None = None,
    provider_name: str | None = None,
) -> dict[str, Any]:
    """Return the variables of a request letter, as the head of this module lists them.

    Parameters
    ----------
    case_list : CaseList
    case_id : str
    plan : Plan
        Its name is the addressee's, its kind chooses the citations.
    audience : {"provider", "plan"}
    procedures : DataFrame, optional
        As `terms.list_procedures`; without it, the one procedure of the case.
    provider_name : str, optional
        Where the directory has none.

    Raises
    ------
    ParameterError
        If there is no such case.

    """
    row = {str(k): v for k, v in case_list.find(case_id).items()}
    asked = {}
    if case_id in case_list.requests.index:
        asked = {str(k): v for k, v in case_list.requests.loc[case_id].items()}
    facts = case_list.entered[case_list.entered["case_id"] == case_id].set_index("fact")
    entered = {str(f): {str(k): v for k, v in fact.items()} for f, fact in facts.to_dict("index").items()}
    evidence = case_list.evidence[case_list.evidence["case_id"] == case_id]
    inside = audience == "plan"
    main = asked.get("procedure_code") if row["state"] != "not_asked" else None
    main = main if main is not None and pd.notna(main) else row["procedure_code"]
    billed = with_main(pd.DataFrame(columns=PROCEDURE) if procedures is None else procedures, row, main)
    terms = set_terms(case_list.as_of, row, asked, entered, billed, main)
    name = asked.get("provider_name")
    name = name if text(name) != BLANK else provider_name
    again = row["state"] in ("agreed", "used_up", "ended")
    return {
        "audience": audience,
        "title": f"Request {'to renew' if again else 'for'} a single case agreement",
        "date": day(case_list.as_of),
        "reference": case_id,
        "plan_name": plan.name,
        "history": _tell_history(row, asked),
        "blank": BLANK,
        "is_complete": bool(row["is_complete"]),
        "patient": {"member_id": text(row["member_id"]), "name": BLANK, "birth_date": BLANK},
        "provider": _describe_provider(row, asked.get("taxonomy_code"), entered, name),
        "procedures": [ask_for(one, terms) for one in billed.to_dict("records")],
        "terms": terms,
        "treatment": _tell_treatment(row, case_list.as_of),
        "grounds": [
            {
                "name": _NAMES[ground],
                "statement": _STATEMENTS[ground],
                "finding": str(row[ground]),
                "sentences": _list_sentences(evidence, row, _STATEMENTS[ground], inside=inside),
            }
            for ground in GROUNDS
            if inside or row[ground] == SHOWN
        ],
        "other_evidence": _list_others(evidence) if inside else [],
        "search": annexes.describe_search(case_list.searched, row, inside=inside),
        "charges": annexes.describe_charges(billed, row, case_list.as_of, inside=inside),
        "costs": annexes.describe_costs(row, asked, case_list.as_of) if inside else None,
        **annexes.cite(plan, row, asked, inside=inside),
        "checklist": _list_missing(row, entered, name, inside=inside),
    }


def _tell_history(row: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Return what became of the latest request; "" where none was made."""
    asked_on, expiry = day(row["asked_on"]), day(asked.get("expiry_date"))
    return {
        "pending": f"This request was first made on {asked_on} and has not been decided.",
        "denied": f"A request of {asked_on} was denied; we ask for a new decision.",
        "withdrawn": f"A request of {asked_on} was withdrawn; this is a new one.",
        "agreed": f"The agreement in force ends on {expiry}; we ask that it be renewed.",
        "used_up": "The sessions of the agreement in force are used up; we ask that it be renewed.",
        "ended": f"The last agreement ended on {expiry}; we ask that it be renewed.",
    }.get(str(row["state"]), "")


def _tell_treatment(row: Mapping[str, Any], as_of: date) -> list[str]:
    """Return when the treatment began and what came before the request (S3)."""
    if pd.isna(row["first_visit_date"]):
        return [f"No visit with this provider is in the plan's claims up to {day(as_of)}."]
    billed = f", {dollars(row['billed'])} billed" if row["visits"] else ""
    told = [
        f"First visit {day(row['first_visit_date'])}, latest visit {day(row['last_visit_date'])}; "
        f"{count(row['visits'], 'out-of-network visit')} in the 12 months to {day(as_of)}{billed}."
    ]
    if row["visits_before"]:
        when = f"the request of {day(row['asked_on'])}" if row["state"] != "not_asked" else day(as_of)
        told.append(
            f"{count(row['visits_before'], 'out-of-network visit')}, {dollars(row['billed_before'])} billed, came "
            f"before {when}. They stay out of network unless an agreement is made retroactive."
        )
    return told


def _describe_provider(
    row: Mapping[str, Any], code: Any, entered: Mapping[str, Mapping[str, Any]], name: Any
) -> dict[str, str]:
    w9 = says_yes(entered, "w9")
    return {
        "name": text(name),
        "npi": text(row["provider_npi"]),
        "taxonomy_code": text(code),
        "taxonomy_name": annexes.name_taxonomy(code),
        "specialty": text(row["specialty"]),
        "license": str(entered["license"]["value"]) if "license" in entered else BLANK,
        "tin": str(entered["tin"]["value"]) if "tin" in entered else BLANK,
        "w9": "to be confirmed" if w9 is None else "yes" if w9 else "no",
    }


def find_internal(row: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> set[str]:
    """Return the figures of a case that the plan alone knows, as text with two decimals and commas.

    A figure that is also known to the provider (what was billed, usual charges, Medicare's rate) is not among them.
    """
    public = {dollars(row[c]) for c in _KNOWN} | {dollars(v) for v in (known or {}).values()}
    hidden = {dollars(row[c]) for c in INTERNAL if pd.notna(row[c]) and row[c] != 0}
    return {figure.lstrip("$") for figure in hidden - public}


def _may_share(row: Mapping[str, Any], statement: str, sentence: str, source: str, *, is_internal: bool) -> bool:
    """Tell whether a provider may see a sentence of evidence.

    Beside what is marked: no claims of other patients (those of the providers searched), no amount or share from
    which the plan's OON allowed amount could be told (what members owe), and no internal figure.
    """
    if is_internal or (statement == "S1" and "claims" in source):
        return False
    if statement == "S4" and re.search(r"[$%]", sentence):
        return False
    return not any(re.search(rf"(?<![\d,.]){re.escape(f)}(?!\d)", sentence) for f in find_internal(row))


def _list_sentences(
    evidence: pd.DataFrame, row: Mapping[str, Any], statement: str, *, inside: bool
) -> list[dict[str, str]]:
    """Return the sentences of one statement with their sources; for a provider, those that may be shared."""
    mine = evidence[evidence["statement"] == statement]
    rows = zip(mine["evidence"], mine["source"], mine["is_internal"], strict=True)
    told = [
        {"text": with_days(sentence), "source": with_days(source)}
        for sentence, source, hidden in rows
        if inside or _may_share(row, statement, sentence, source, is_internal=bool(hidden))
    ]
    if told or mine.empty:
        return told
    return [{"text": "The plan holds the figures; they rest on its allowed amounts.", "source": "benefits, claims"}]


def _list_others(evidence: pd.DataFrame) -> list[dict[str, str]]:
    others = evidence[~evidence["statement"].isin(list(_STATEMENTS.values()))]
    return [
        {"statement": s, "text": with_days(e), "source": with_days(w)}
        for s, e, w in zip(others["statement"], others["evidence"], others["source"], strict=True)
    ]


def _list_missing(
    row: Mapping[str, Any], entered: Mapping[str, Mapping[str, Any]], name: Any, *, inside: bool
) -> list[str]:
    """Return what a person has still to enter or, in the letter that is sent, to fill in by hand."""
    words = {fact.name: fact.meaning for fact in FACTS}
    words["individual need"] = "sub-specialty, modality, language or age group that the patient needs, if any"
    facts = [*_split(row["to_enter"]), *(f for f in ("sessions_wanted", "place") if f not in entered)]
    missing = [f"Enter {fact}: {words.get(fact, 'see the data dictionary')}" for fact in facts]
    if text(name) == BLANK:
        missing.append("Fill in the provider's name, as directory and registry have none for this NPI")
    if not inside:
        missing += ["Fill in the patient's name and date of birth, and the plan's address", "Sign and date"]
    return missing


def _split(joined: Any) -> list[str]:
    return [] if pd.isna(joined) else [part for part in str(joined).split("; ") if part]
