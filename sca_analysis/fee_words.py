"""What the what-if notebook says: sentences and tables as HTML. In: outcomes of ``what_if`` and ``portfolio``."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape

import pandas as pd

from sca_analysis.costs import ARRANGEMENTS
from sca_analysis.fee_charts import say_mark
from sca_analysis.kept import Kept
from sca_analysis.portfolio import BASES
from sca_analysis.quotes import format_cents
from sca_analysis.what_if import DRAWS, PARTIES, SPREAD_WORDS, Anchors, Outcome, as_percent_of_medicare

_SIDES = {"plan_paid": "Plan pays", "member_total": "Member pays", "provider_net": "Provider receives"}
_HEADS = {"in_network": "in-network", "out_of_network": "OON", "sca": "agreement"}
_CHANGES = {"plan_paid": "plan_change", "member_total": "member_change", "provider_net": "provider_change"}
# a pair of dollar signs would be read as mathematics
_DOLLAR = "&#36;"


def describe_outcome(outcome: Outcome, anchors: Anchors) -> str:
    """Return the finding in sentences: the fee, what changes for each side, cover, and where the deal lies."""
    oon, sca = outcome.totals["out_of_network"], outcome.totals["sca"]
    percent = as_percent_of_medicare(outcome, anchors)
    of_medicare = "" if percent is None else f" ({percent}% of Medicare)"
    parts = [
        f"the plan pays {_show(sca['plan_paid'])}, {_compare(sca['plan_paid'] - oon['plan_paid'])}",
        f"the member {_show(sca['member_total'])}, {_compare(sca['member_total'] - oon['member_total'])}",
        f"the provider receives {_show(sca['provider_net'])}, {_compare(sca['provider_net'] - oon['provider_net'])}",
    ]
    visits = len(outcome.case.visits)
    rest = "" if outcome.covered == visits else "; the others are out of network"
    sentences = [
        f"<b>At {show_fee(outcome, outcome.fee)}{of_medicare}</b> {'; '.join(parts)}.",
        f"The agreement covers {outcome.covered} of {visits} visits{rest}.",
        describe_zone(outcome),
    ]
    return f'<p class="sca-finding">{" ".join(sentences)}</p>'


def describe_marks(outcome: Outcome) -> str:
    """Return at which visits deductibles and maxima are reached, and what the range rests on."""
    marks = [mark for mark in outcome.marks if mark.arrangement != "in_network"]
    found = "".join(f"<li>{say_mark(mark)}</li>" for mark in marks) or "<li>no deductible or maximum is reached</li>"
    return f'<ul class="sca-note">{found}<li>P10 to P90 (whiskers, table): {DRAWS:,} draws; {SPREAD_WORDS}</li></ul>'


def describe_zone(outcome: Outcome) -> str:
    """Return where the deal lies or, where no rate suits plan and provider, what would open the zone."""
    if (zone := outcome.zone) is not None:
        low, high = (show_fee(outcome, rate) for rate in zone)
        return f"<b>Bargaining zone: {low} (provider) to {high} (plan).</b>"
    return (
        "<b>Bargaining zone: empty.</b> No rate serves both plan and provider as well as out of network does. What "
        "would open it: in a gap the plan's alternative is not out of network at its allowed amount, but its duty to "
        "give access. Compare with the in-network rate and the usual charge below."
    )


def show_fee(outcome: Outcome, rate: Decimal) -> str:
    """Return a fee with its unit."""
    return f"{rate:,.2f}% of the charges" if outcome.is_percent else f"{_DOLLAR}{rate:,.2f} a unit"


def tabulate_totals(outcome: Outcome, ranges: Mapping[str, Sequence[Decimal]] | None) -> str:
    """Return the totals of each side, and the range of what changes."""
    rows = []
    for party in PARTIES:
        totals = [outcome.totals[arrangement][party] for arrangement in ARRANGEMENTS]
        change = totals[2] - totals[1]
        band = ["…"] * 3 if ranges is None else [f"{figure:,.2f}" for figure in ranges[_CHANGES[party]]]
        rows.append((_SIDES[party], *map(_plain, totals), _plain(change, sign=True), *band))
    caption = "Totals of the course [USD]; P10, P50 and P90 of the agreement less OON, see the note below the charts"
    heads = ("side", *(_HEADS[a] for a in ARRANGEMENTS), "agreement less OON", "P10", "P50", "P90")
    return _table(caption, heads, rows)


def tabulate_rates(outcome: Outcome) -> str:
    """Return what an agreement at other rates would come to."""
    unit = "% of the charges" if outcome.is_percent else "USD a unit"
    rows = [
        (at.rate_of, f"{at.rate:,.2f}", _plain(at.plan_paid), _plain(at.member_total), _plain(at.provider_net))
        for at in sorted(outcome.rates, key=lambda at: at.rate)
    ]
    heads = ("agreement at", f"rate [{unit}]", "plan pays", "member pays", "provider receives")
    return _table("What the same course would come to at other rates [USD]", heads, rows)


def tabulate_kept(kept: Sequence[Kept], links: Sequence[str]) -> str:
    """Return the scenarios kept, side by side; ``links`` are HTML, one for the file of each."""
    if not kept:
        return '<p class="sca-note">No scenario is kept yet.</p>'
    rows = []
    for one in kept:
        outcome, zone = one.outcome, one.outcome.zone
        totals = [_plain(outcome.totals["sca"][party]) for party in PARTIES]
        changes = [
            _plain(outcome.totals["sca"][party] - outcome.totals["out_of_network"][party], sign=True)
            for party in PARTIES
        ]
        medicare = "not known" if one.percent_of_medicare is None else f"{one.percent_of_medicare}%"
        found = "empty" if zone is None else f"{zone[0]:,.2f} to {zone[1]:,.2f}"
        visits = f"{outcome.covered} of {len(outcome.case.visits)}"
        fee = f"{outcome.fee:,.2f}{'%' if outcome.is_percent else ''}"
        both = [text for pair in zip(totals, changes, strict=True) for text in pair]
        rows.append((one.name, fee, medicare, visits, *both, found))
    heads = ["scenario", "fee", "of Medicare", "visits covered"]
    heads += [text for side in _SIDES.values() for text in (side.lower(), "less OON")]
    heads += ["bargaining zone", "file"]
    caption = f"{len(kept)} scenarios kept; under the agreement, and that less OON [USD]"
    return _table(caption, heads, rows, links)


def describe_effect(effect: pd.DataFrame, basis: str, percent: Decimal) -> str:
    """Return what paying all agreements at a basis does, in sentences."""
    if effect.empty:
        return '<p class="sca-finding">No open course can be priced at this basis.</p>'
    row = effect[effect["specialty"] == "all"].iloc[0]
    parts = []
    for party, words in (
        ("plan_paid", "the plan pays"),
        ("member_total", "members"),
        ("provider_net", "providers receive"),
    ):
        total, change = int(row[f"{party}_what_if"]), int(row[f"{party}_what_if"] - row[f"{party}_out_of_network"])
        low, high = (_show(int(row[f"{party}_{end}"]), sign=True) for end in ("low", "high"))
        parts.append(f"{words} {_show(total)}, {_compare(change)} (P10 to P90: {low} to {high})")
    against = int(row["plan_paid_what_if"] - row["plan_paid_assumed"])
    return (
        f'<p class="sca-finding"><b>At {percent}{BASES[basis]}</b>, over {row["courses"]:,} open courses with '
        f"{row['visits']:,} visits: {'; '.join(parts)}. Against the rates agreed or assumed the plan pays "
        f"{_show(abs(against))} {'less' if against < 0 else 'more'}.</p>"
    )


def tabulate_effect(effect: pd.DataFrame) -> str:
    """Return the effect by specialty, with the range of what changes for the plan."""
    rows = []
    for row in effect.to_dict("records"):
        cells = [row["specialty"], f"{row['courses']:,}", f"{row['visits']:,}"]
        for party in PARTIES:
            what_if = int(row[f"{party}_what_if"])
            cells += [
                _whole(what_if),
                _whole(what_if - int(row[f"{party}_out_of_network"]), sign=True),
                _whole(what_if - int(row[f"{party}_assumed"]), sign=True),
            ]
        cells.append(
            f"{_whole(int(row['plan_paid_low']), sign=True)} to {_whole(int(row['plan_paid_high']), sign=True)}"
        )
        rows.append(cells)
    heads = ["specialty", "courses", "visits"]
    for words in ("plan pays", "members pay", "providers receive"):
        heads += [words, "less OON", "less agreed or assumed"]
    heads.append("plan less OON, P10 to P90")
    return _table("By specialty, twelve months [USD, whole dollars]", heads, rows)


def describe_left_out(left: pd.DataFrame) -> str:
    """Return what is not priced, and why; courses are never left out without a word."""
    if left.empty:
        return '<p class="sca-note">No course is left out.</p>'
    parts = [
        f"{row.courses:,} courses ({_DOLLAR}{row.billed:,.2f} billed): {escape(row.reason)}"
        for row in left.itertuples()
    ]
    return f'<p class="sca-note">Left out: {"; ".join(parts)}.</p>'


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], links: Sequence[str] = ()) -> str:
    """Return an HTML table; the first cell of a row is its heading, the last a link where there are any."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        link = f"<td>{links[number]}</td>" if links else ""
        body.append(f'<tr><th scope="row">{escape(row[0])}</th>{cells}{link}</tr>')
    whole = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f"<table><caption>{escape(caption)}</caption>{whole}</table>"


def _plain(cents: int, sign: bool = False) -> str:
    text = format_cents(abs(cents))
    whole, rest = text.split(".")
    return f"{'-' if cents < 0 else '+' if sign and cents else ''}{int(whole):,}.{rest}"


def _whole(cents: int, sign: bool = False) -> str:
    dollars = (abs(cents) + 50) // 100
    return f"{'-' if cents < 0 and dollars else '+' if sign and dollars else ''}{dollars:,}"


def _show(cents: int, sign: bool = False) -> str:
    text = _plain(cents, sign)
    return f"{text[0]}{_DOLLAR}{text[1:]}" if text[0] in "+-" else f"{_DOLLAR}{text}"


def _compare(cents: int) -> str:
    return "as OON" if cents == 0 else f"{_show(abs(cents))} {'less' if cents < 0 else 'more'} than OON"
