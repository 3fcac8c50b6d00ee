"""What-if scenarios kept side by side. In: outcomes of ``what_if``; out: a table, CSV, and case files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from sca_analysis.costs import ARRANGEMENTS
from sca_analysis.errors import ParameterError
from sca_analysis.quotes import format_cents
from sca_analysis.what_if import PARTIES, Anchors, Outcome, as_percent_of_medicare

_LONGEST_NAME = 60  # characters of a scenario's name


@dataclass(frozen=True)
class Kept:
    """A scenario that a person kept under a name."""

    name: str
    content: Mapping[str, Any]  # as a case file has it
    outcome: Outcome
    percent_of_medicare: Decimal | None


def keep(kept: Sequence[Kept], name: str, content: Mapping[str, Any], outcome: Outcome, anchors: Anchors) -> list[Kept]:
    """Return the scenarios with one more.

    Raises
    ------
    ParameterError
        If the name is empty, too long, taken, or would be read as a formula by a spreadsheet.

    """
    name = " ".join(name.split()) or f"scenario {len(kept) + 1}"
    if len(name) > _LONGEST_NAME:
        raise ParameterError(f"the name has more than {_LONGEST_NAME} characters: shorten it.")
    if name[0] in "=+-@":
        raise ParameterError("the name begins like a formula, which a spreadsheet would run: begin with a letter.")
    if any(one.name == name for one in kept):
        raise ParameterError("a scenario of this name is kept already: give another name.")
    named = {**content, "name": name}
    return [*kept, Kept(name, named, outcome, as_percent_of_medicare(outcome, anchors))]


def as_table(kept: Sequence[Kept]) -> pd.DataFrame:
    """Return one row a scenario, all as text.

    Returns
    -------
    DataFrame
        scenario, fee, fee_unit, percent_of_medicare [%], visits, covered_visits, totals of each side under each
        arrangement [USD], break_even_plan, _member and _provider (in the fee's unit; blank: no rate does),
        zone_low and zone_high (blank: the bargaining zone is empty).

    """
    rows = []
    for one in kept:
        outcome, zone = one.outcome, one.outcome.zone or (None, None)
        row = {
            "scenario": one.name,
            "fee": f"{outcome.fee:.2f}",
            "fee_unit": "% of billed" if outcome.is_percent else "USD a unit",
            "percent_of_medicare": _text(one.percent_of_medicare),
            "visits": str(len(outcome.case.visits)),
            "covered_visits": str(outcome.covered),
        }
        for party in PARTIES:
            for arrangement in ARRANGEMENTS:
                row[f"{party}_{arrangement}"] = format_cents(outcome.totals[arrangement][party])
        row |= {f"break_even_{side}": _text(rate) for side, rate in outcome.break_even.items()}
        rows.append(row | {"zone_low": _text(zone[0]), "zone_high": _text(zone[1])})
    return pd.DataFrame(rows)


def as_csv(kept: Sequence[Kept]) -> str:
    """Return ``as_table`` as CSV."""
    text: str = as_table(kept).to_csv(index=False, lineterminator="\n")
    return text


def as_file(content: Mapping[str, Any]) -> str:
    """Return a case as a file (JSON) that ``sca quote`` reads."""
    return json.dumps(content, indent=1, default=str) + "\n"


def _text(figure: Decimal | None) -> str:
    return "" if figure is None else str(figure)
