"""What is annexed to a request: providers searched, charges and costs, citations.

In: one case with its search, its latest request and what was billed. Out: plain text for a letter. What the plan
alone knows is left out unless the letter is for the plan.
"""

from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from sca_analysis.folder import Plan
from sca_analysis.grounds import SHOWN
from sca_analysis.phrases import count, day, dollars, text, with_days
from sca_analysis.search import shorten

ARRANGEMENTS = {"in_network": "In network", "out_of_network": "Out of network", "sca": "Single case agreement"}
SIDES = ("plan_paid", "member_total", "provider_net")
#: Topics of citations.csv that belong to a ground; the others belong to every request.
_TOPICS = {"network gap": "gap", "network adequacy": "gap", "continuity": "continuity"}
_PARITY_SPECIALTIES = ("Psychiatry", "Clinical Psychology", "Clinical Social Work")
_KINDS = {
    "medicare-advantage": "Medicare Advantage",
    "marketplace": "marketplace",
    "medicaid": "Medicaid managed care",
    "employer": "employer",
}
_BEHAVIORAL = "10"  # NUCC: behavioral health and social service providers


@cache
def _read(name: str) -> pd.DataFrame:
    """Read a packaged table once, all text; callers copy it before they change it."""
    with files("sca_analysis").joinpath("reference", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype="str", keep_default_na=False)


def load_citations(kind: str | None = None) -> pd.DataFrame:
    """Return plan_kind, topic, citation, about and source of the rules that apply to a kind of plan; None: all.

    ``source`` says how each was confirmed, and when.
    """
    rows = _read("citations")
    return (rows if kind is None else rows[rows["plan_kind"] == kind]).reset_index(drop=True)


def name_taxonomy(code: object) -> str:
    """Return the display name that NUCC gives a code; "" where it has none."""
    rows = _read("specialty_names")
    found = rows[(rows["taxonomy_code"] == code) & rows["source"].str.endswith("display name")]["name"]
    return str(found.iloc[0]) if len(found) else ""


def describe_search(searched: pd.DataFrame, row: Mapping[str, Any], *, inside: bool) -> dict[str, Any]:
    """Return the providers searched: the nearest ten usable and the nearest ten others."""
    mine, what = searched[searched["case_id"] == row["case_id"]], f"{row['specialty']} provider"
    short, when = shorten(mine), day(row["asked_on"])
    if pd.isna(row["max_miles"]):
        summary = f"No search could be made for {when}: no standard for the specialty, or no known home."
    else:
        summary = (
            f"{count(row['searched'], what)} listed in the directory, on whatever terms, within {row['max_miles']:g} "
            f"miles (straight line) of the patient's home on {when}; of these {row['usable'] or 'none'} usable: in the "
            "patient's network, active and not closed to new patients on that day."
        )
        if len(short) < len(mine):
            summary += f" The nearest 10 usable and the nearest 10 others of {len(mine)} are listed."
    rows = [
        {
            "name": text(one["provider_name"]),
            "npi": str(one["npi"]),
            "taxonomy_name": name_taxonomy(one["taxonomy_code"]) or text(one["taxonomy_code"]),
            "miles": f"{one['miles']:.1f}",
            "languages": "" if pd.isna(one["languages"]) else str(one["languages"]).replace(";", ", "),
            "telehealth": "" if pd.isna(one["telehealth"]) else "yes" if one["telehealth"] else "no",
            "is_usable": bool(one["is_usable"]),
            "reason": with_days(str(one["why_not"])),
            "last_claim": _last_claim(one["last_visit_date"]) if inside else "",
            "is_requesting": bool(one["npi"] == row["provider_npi"]),
        }
        for one in short.to_dict("records")
    ]
    return {"summary": summary, "rows": rows}


def _last_claim(seen: Any) -> str:
    return "none" if pd.isna(seen) else day(seen)


def describe_charges(billed: pd.DataFrame, row: Mapping[str, Any], as_of: date, *, inside: bool) -> dict[str, Any]:
    """Return what a unit of each procedure costs: charged, usual and Medicare's; for the plan, its rates too."""
    columns = ["charge", "usual_charge", "medicare_rate"]
    columns += ["in_network_rate", "out_of_network_allowed"] if inside else []
    rows = [
        {"code": str(one["procedure_code"]), **{c: dollars(one[c]) for c in columns}}
        for one in billed.to_dict("records")
    ]
    total = f"{dollars(row['billed'])} billed for {count(row['visits'], 'visit')} in the 12 months to {day(as_of)}."
    return {"summary": total if row["visits"] else f"No visits in the 12 months to {day(as_of)}.", "rows": rows}


def describe_costs(row: Mapping[str, Any], asked: Mapping[str, Any], as_of: date) -> dict[str, Any]:
    """Return what each arrangement costs plan, member and provider (S9); for the plan alone."""
    low, high = row["rate_low"], row["rate_high"]
    costs: dict[str, Any] = {
        "rate_range": f"{dollars(low)} to {dollars(high)}" if pd.notna(low) and pd.notna(high) else "none",
        "rate_basis": text(row["rate_basis"]),
        "rows": [],
        "assumptions": [],
    }
    if pd.notna(row["not_costed"]):
        return {**costs, "summary": f"Not costed: {row['not_costed']}."}
    basis = {"agreed_rate": "the agreed rate", "usual_charge": "the usual charge"}.get(
        str(asked.get("sca_rate_basis")), "the rate that the cost table names"
    )
    rows = [
        {"arrangement": words, **{side: dollars(row[f"{side}_{name}"]) for side in SIDES}}
        for name, words in ARRANGEMENTS.items()
    ]
    return {
        **costs,
        "rows": rows,
        "summary": f"The {count(row['visits'], 'visit')} of the 12 months to {day(as_of)}, split anew under each "
        f"arrangement. What is at stake for the member: {dollars(row['at_stake'])} (OON less SCA).",
        "assumptions": [
            f"Single case agreement at {basis}, as if it had covered every visit where none was in force.",
            "Out of network at the claim's allowed amount or, where blank, that of the fees; the balance is billed.",
            "Deductibles and maxima count this course of treatment alone, so member shares are upper bounds early in "
            "a plan year.",
            "What the provider collects of what the member owes: as given for the run, all of it unless given.",
        ],
    }


def cite(plan: Plan, row: Mapping[str, Any], asked: Mapping[str, Any], *, inside: bool) -> dict[str, Any]:
    """Return the citations for the kind of plan; a provider's letter has none for grounds that it does not claim."""
    rows = load_citations(plan.kind)
    behavioral = row["specialty"] in _PARITY_SPECIALTIES or str(asked.get("taxonomy_code")).startswith(_BEHAVIORAL)
    claimed = [
        (behavioral if topic == "parity" else inside or row.get(_TOPICS.get(topic, ""), SHOWN) == SHOWN)
        for topic in rows["topic"]
    ]
    notes = ["These are citations, not legal advice.", "Rules of the states vary and are not listed here."]
    if plan.kind is None:
        notes.insert(0, "The kind of plan is not known: rules for every kind are listed, each for its own kind only.")
    if plan.kind == "employer":
        notes.append("No federal rule on network gaps of employer plans is cited; the plan document may have one.")
    return {
        "citations": rows.loc[claimed, ["plan_kind", "topic", "citation", "about"]]
        .replace({"plan_kind": _KINDS})
        .to_dict("records"),
        "citation_notes": notes,
        "plan_kind": "" if plan.kind is None else _KINDS[plan.kind],
    }
