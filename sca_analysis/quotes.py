"""A case in, its quote out: one course of treatment under the three arrangements.

Question answered: what do plan, member and provider pay or get, visit by visit, in-network, out of
network (OON) and under a single case agreement (SCA), and which rates suit all of them? In: a ``Case``
of ``casefile``. Out: a dictionary that is the answer of ``sca quote --json`` (``quote``) and a text for
the terminal (``as_table``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from sca_analysis import costs
from sca_analysis.break_even import NO_RATE, BreakEven, break_even_percents, break_even_rates
from sca_analysis.casefile import Accumulator, Case, TierBenefits, Visit, load_case, read_case
from sca_analysis.costs import ARRANGEMENTS, NO_LIMIT

__all__ = ["Case", "as_arrays", "as_table", "format_cents", "load_case", "quote", "read_case"]

_WORDS = {"in_network": "in-network", "out_of_network": "out of network", "sca": "agreement"}


def as_arrays(cases: Sequence[Case]) -> costs.Cases:
    """Return the arrays that ``costs`` computes with, one row a case, in the order given."""
    most = max(len(case.visits) for case in cases)
    visit = np.array([[i < len(case.visits) for i in range(most)] for case in cases])
    units = _by_visit(cases, lambda _, v: v.thousandths)
    days = (_by_visit(cases, lambda _, v: v.date.toordinal()) - date(1970, 1, 1).toordinal()).astype("datetime64[D]")
    billed = costs.multiply(_by_visit(cases, lambda c, v: v.at(c.billed_per_unit)), units)

    def allow(rate_of: Callable[[Case, Visit], int]) -> costs.Integers:
        return costs.allow(billed, _by_visit(cases, rate_of), units)

    return costs.Cases(
        visit=visit,
        plan_year=costs.plan_years(days, _column([c.benefits.plan_year_start for c in cases])[:, None]),
        covered=_cover(cases, visit, days),
        units=units,
        billed=billed,
        in_network_allowed=allow(lambda c, v: v.at(c.in_network_rate)),
        out_of_network_allowed=allow(lambda c, v: v.at(c.out_of_network_allowed if c.benefits.out_of_network else 0)),
        sca_allowed=allow(_agreed_rate),
        in_network=_tier([(c.benefits.in_network, c.accumulators.in_network) for c in cases]),
        out_of_network=_tier([(c.benefits.out_of_network, c.accumulators.out_of_network) for c in cases]),
        has_out_of_network=np.array([case.benefits.out_of_network is not None for case in cases]),
        cost_share_collected=_column([case.collection_rate.cost_share for case in cases]),
        balance_bill_collected=_column([case.collection_rate.balance_bill for case in cases]),
        charge=_column([max(v.at(c.billed_per_unit) for v in c.visits) for c in cases]),
    )


def quote(case: Case) -> dict[str, Any]:
    """Split every visit under the three arrangements and find the break-even rates.

    Returns
    -------
    dict
        ``arrangements`` (by name: ``visits`` and ``totals``) and ``break_even_rate`` (``plan``,
        ``member``, ``provider``; None where no rate does). Money is text with two decimals [USD].
        Where rates depend on the procedure, ``break_even_rate`` is None as a whole and
        ``break_even_percent_of_billed`` has the three instead [%]. Where an agreement has a decision
        date, ``retroactive`` has what its re-adjudicated ``visits`` change, see ``_readjudicate``.

    """
    cases = as_arrays([case])
    splits = costs.compare_arrangements(cases)
    covered = [bool(c) for c in cases.covered[0]]
    arrangements = {}
    for name, split in splits.items():
        visits = []
        for number, visit in enumerate(case.visits):
            oon = name == "out_of_network" or (name == "sca" and not covered[number])
            tier = case.benefits.out_of_network if oon else case.benefits.in_network
            row = _describe_visit(visit)
            for field, amounts in _amounts(split):
                row[field] = format_cents(int(amounts[0, number]))
            if tier is not None and not tier.deductible_applies:
                row["deductible"] = "0"  # not "0.00": that is how the worked examples tell it
            if name == "sca":
                row["covered_by_agreement"] = covered[number]
            visits.append(row)
        totals = {field: format_cents(int(amounts.sum())) for field, amounts in _amounts(split)}
        totals["member_total"] = format_cents(int(split.member_total[0]))
        totals["provider_net"] = format_cents(int(split.provider_net[0]))
        arrangements[name] = {"visits": visits, "totals": totals}
    result: dict[str, Any] = {"arrangements": arrangements}
    if case.is_rated_by_procedure:
        percents = break_even_percents(cases, splits["out_of_network"])
        result |= {"break_even_rate": None, "break_even_percent_of_billed": _describe_break_even(percents)}
    else:
        rates = break_even_rates(cases, splits["out_of_network"])
        result["break_even_rate"] = _describe_break_even(rates)
    if any(terms.decision_date for terms in case.terms):
        result["retroactive"] = _readjudicate(case, cases, splits)
    return result


def format_cents(cents: int) -> str:
    """Return an amount as dollars with two decimals: 12345 is "123.45"."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def _describe_visit(visit: Visit) -> dict[str, Any]:
    """Return what identifies a visit in the quote."""
    row: dict[str, Any] = {
        "date": visit.date.isoformat(),
        "units": float(visit.units) if isinstance(visit.units, Decimal) else visit.units,
    }
    if visit.procedure_code is not None:
        row["procedure_code"] = visit.procedure_code
    if visit.telehealth:
        row["telehealth"] = True
    return row


def _describe_break_even(found: BreakEven) -> dict[str, str | None]:
    """Return the three figures, cents or hundredths of a percent, as text with two decimals."""
    sides = (("plan", found.plan), ("member", found.member), ("provider", found.provider))
    return {side: None if figure[0] == NO_RATE else format_cents(int(figure[0])) for side, figure in sides}


def _readjudicate(case: Case, cases: costs.Cases, splits: Mapping[str, costs.Split]) -> dict[str, Any]:
    """Return what changes when visits before the decision, billed OON, are put under the agreement.

    Counted are covered visits before the day of the decision. The amounts are those of all visits
    between effective date and decision: one past the sessions stays OON, but the deductible that the
    covered ones had met there is to be met again. Negative where the agreement costs less or gives less.
    """
    terms = [case.find_terms(visit) for visit in case.visits]
    decided = [t.decision_date if t else None for t in terms]
    before = np.array([[d is not None and v.date < d for v, d in zip(case.visits, decided, strict=True)]])
    oon, sca = (costs.select_visits(cases, splits[name], before) for name in ("out_of_network", "sca"))
    return {
        "visits": int((before & cases.covered).sum()),
        "plan_paid_change": format_cents(int(sca.plan_paid.sum() - oon.plan_paid.sum())),
        "member_refund": format_cents(int(oon.member_total[0] - sca.member_total[0])),
    }


def _amounts(split: costs.Split) -> list[tuple[str, costs.Integers]]:
    """Return the amounts by visit with their names, in the order of the worked examples."""
    names = ("billed", "allowed", "deductible", "member_cost_share", "plan_paid", "balance_bill")
    return [(name, getattr(split, name)) for name in names]


def _column(values: Sequence[int]) -> costs.Integers:
    return np.array(values, dtype=np.int64)


def _by_visit(cases: Sequence[Case], value_of: Callable[[Case, Visit], int]) -> costs.Integers:
    """Return a value of each visit, padded to the longest; a pad of 1 is a harmless date, rate or number of units."""
    most = max(len(case.visits) for case in cases)
    rows = [[value_of(case, visit) for visit in case.visits] for case in cases]
    return np.array([row + [1] * (most - len(row)) for row in rows], dtype=np.int64)


def _agreed_rate(case: Case, visit: Visit) -> int:
    """Return the agreed rate of a unit [cents]; zero outside the agreements' dates, where it is not read."""
    terms = case.find_terms(visit)
    return 0 if terms is None else visit.at(terms.rate_for(visit))


def _cover(cases: Sequence[Case], visit: costs.Flags, days: costs.Dates) -> costs.Flags:
    """Tell which visits an agreement covers; each has its own sessions, as their dates do not overlap."""
    covered = np.zeros_like(visit)
    for number in range(max(len(case.terms) for case in cases)):
        terms = [case.terms[number] if number < len(case.terms) else None for case in cases]
        effective, expiry = (
            np.array([getattr(t, name, None) for t in terms], dtype="datetime64[D]")
            for name in ("effective_date", "expiry_date")
        )
        sessions = [
            0 if t is None else NO_LIMIT if t.sessions_authorized is None else t.sessions_authorized for t in terms
        ]
        covered |= costs.cover_visits(visit, days, effective, expiry, _column(sessions))
    return covered


def _tier(parts: Sequence[tuple[TierBenefits | None, Accumulator]]) -> costs.Tier:
    """Return the tier of all cases; zeros where a plan has none, which are not read."""
    nothing = TierBenefits.model_construct(deductible=0, coinsurance=0)
    tiers = [tier or nothing for tier, _ in parts]
    return costs.Tier(
        deductible=_column([t.deductible or 0 for t in tiers]),
        coinsurance=_column([t.coinsurance or 0 for t in tiers]),
        copay=_column([t.copay or 0 for t in tiers]),
        has_copay=np.array([t.copay is not None for t in tiers]),
        deductible_applies=np.array([t.deductible_applies for t in tiers]),
        out_of_pocket_max=_limits([t.out_of_pocket_max for t in tiers]),
        deductible_used=_column([used.deductible for _, used in parts]),
        out_of_pocket_used=_column([used.out_of_pocket for _, used in parts]),
        copay_and_coinsurance=np.array([t.copay_and_coinsurance for t in tiers]),
        family=_family([(tier, used) for tier, (_, used) in zip(tiers, parts, strict=True)]),
    )


def _family(parts: Sequence[tuple[TierBenefits, Accumulator]]) -> costs.Family | None:
    """Return what families share in a tier; no limits where a plan has none, None where all have none."""
    families = [tier.family for tier, _ in parts]
    if not any(families):
        return None
    used = [used for _, used in parts]
    deductible = [u.deductible if u.family_deductible_used is None else u.family_deductible_used for u in used]
    pocket = [u.out_of_pocket if u.family_out_of_pocket_used is None else u.family_out_of_pocket_used for u in used]
    return costs.Family(
        deductible=_limits([f.deductible if f else None for f in families]),
        out_of_pocket_max=_limits([f.out_of_pocket_max if f else None for f in families]),
        is_aggregate=np.array([f is not None and f.kind == "aggregate" for f in families]),
        deductible_used=_column(deductible),
        out_of_pocket_used=_column(pocket),
    )


def _limits(values: Sequence[int | None]) -> costs.Integers:
    return _column([NO_LIMIT if value is None else value for value in values])


def as_table(result: Mapping[str, Any], case: Case | None = None) -> str:
    """Return a quote as text for the terminal.

    Parameters
    ----------
    result : mapping
        What ``quote`` returned. Money in [USD].
    case : Case, optional
        The case that was quoted: an empty bargaining zone is then explained with its figures.

    """
    arrangements = result["arrangements"]
    lines = [f"{'':<20}" + "".join(f"{_WORDS[name]:>16}" for name in ARRANGEMENTS)]
    for total in arrangements["sca"]["totals"]:
        amounts = (_grouped(arrangements[name]["totals"][total]) for name in ARRANGEMENTS)
        lines.append(f"{total.replace('_', ' '):<20}" + "".join(f"{amount:>16}" for amount in amounts))
    visits = arrangements["sca"]["visits"]
    covered = sum(visit["covered_by_agreement"] for visit in visits)
    rest = "" if covered == len(visits) else "; the others are out of network"
    lines += ["", f"The agreement covers {covered} of {len(visits)} visits{rest}."]

    if (back := result.get("retroactive")) is not None:
        lines += [
            f"Of these, {back['visits']} came before the decision. Once they are re-adjudicated, the plan pays in "
            f"addition {_grouped(back['plan_paid_change'])}, the member gets back {_grouped(back['member_refund'])}.",
        ]

    figures, percent, basis = _read_break_even(result)
    plan, member, provider = (f and f + percent for f in (figures[side] for side in ("plan", "member", "provider")))
    lines += [
        "",
        f"Break-even {'percentages' if percent else 'rates'} {basis.replace('a ', 'of a ')}, "
        "agreement against out of network:",
        f"  plan      {'pays no more up to ' + plan if plan else 'pays more at every rate'}",
        f"  member    {'pays no more up to ' + member if member else 'pays more at every rate'}",
        f"  provider  {'gets no less from ' + provider if provider else 'gets less at every rate'}",
        "",
    ]
    least, most = figures["provider"], figures["plan"]
    if least is not None and most is not None and Decimal(least) <= Decimal(most):
        return "\n".join([*lines, f"Bargaining zone: {provider} (provider) to {plan} (plan) {basis}."])
    lines += [
        "Bargaining zone: empty. No rate serves both plan and provider as well as out of network does.",
        "What would open it: in a gap the plan's alternative is not out of network at its allowed amount,",
        "but its duty to give access. Compare with the in-network rate and the usual charge.",
    ]
    if case is not None:
        lines += ["", "The plan pays in all:", *_alternatives(result, case)]
    return "\n".join(lines)


def _alternatives(result: Mapping[str, Any], case: Case) -> list[str]:
    """Return what the plan pays at the rates that it may be compared with."""
    paid = {name: result["arrangements"][name]["totals"]["plan_paid"] for name in ARRANGEMENTS}
    agreed = [rate for terms in case.terms for rate in (terms.rate, terms.telehealth_rate) if rate is not None]
    oon_rate = case.out_of_network_allowed if case.benefits.out_of_network else None
    rows = [
        ("out of network", "none" if oon_rate is None else _show_rates(oon_rate), paid["out_of_network"]),
        ("in-network rate", _show_rates(case.in_network_rate), paid["in_network"]),
        ("agreement, rate as given", _show_rates(*agreed), paid["sca"]),
    ]
    cases = as_arrays([case])

    def pay(allowed: costs.Integers) -> str:
        split = costs.compare_arrangements(replace(cases, sca_allowed=allowed))["sca"]
        return format_cents(int(split.plan_paid.sum()))

    figures, percent, _ = _read_break_even(result)
    if (least := figures["provider"]) is not None:
        figure = np.array(round(Decimal(least) * 100))
        allowed = (
            costs.take_percent(cases.billed, figure) if percent else costs.allow(cases.billed, figure, cases.units)
        )
        rows.append(("agreement, least the provider needs", _grouped(least) + percent, pay(allowed)))
    rows.append(("agreement, usual charge", _show_rates(case.billed_per_unit), pay(cases.billed)))
    return [f"  {words:<36}{rate:>12}{_grouped(total):>14}" for words, rate, total in rows]


def _read_break_even(result: Mapping[str, Any]) -> tuple[Mapping[str, str | None], str, str]:
    """Return the break-even figures of a quote, their sign and what they are of."""
    if result["break_even_rate"] is None:
        return result["break_even_percent_of_billed"], "%", "of what is billed"
    return result["break_even_rate"], "", "a unit"


def _show_rates(*rates: int | dict[str, int]) -> str:
    """Return the one rate of a unit, or that there are several."""
    first = rates[0]
    return _grouped(format_cents(first)) if isinstance(first, int) and rates.count(first) == len(rates) else "several"


def _grouped(amount: str) -> str:
    """Return "12345.00" as "12,345.00"."""
    return f"{Decimal(amount):,}"
