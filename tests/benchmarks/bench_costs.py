"""Exact costs of 100,000 cases of 52 visits against the plain loop: `uv run python tests/benchmarks/bench_costs.py`.

Both in one run; the loop runs on fewer cases, its results are compared first, and its time is scaled. Then a what-if
scenario of 100,000 courses, those of a sample many times over, beside pricing each visit of them anew.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from record import record

from sca_analysis import break_even, costs
from sca_analysis.exports import Exports
from sca_analysis.portfolio import Portfolio, load_portfolio, pay_at
from sca_analysis.sample import write_sample

CASES, VISITS, LOOPED, REPEATS = 100_000, 52, 2_000, 5
MEMBERS = 60_000  # of the sample whose courses are repeated
RNG = np.random.Generator(np.random.PCG64(1))


def make_tier(n: int) -> costs.Tier:
    """Make up the benefits of ``n`` cases, one in four with a copay."""
    zero = np.zeros(n, dtype=np.int64)
    return costs.Tier(
        deductible=RNG.integers(0, 300_000, n),
        coinsurance=RNG.integers(0, 500_000, n),
        copay=RNG.integers(1_000, 6_000, n),
        has_copay=RNG.random(n) < 0.25,
        deductible_applies=RNG.random(n) < 0.9,
        out_of_pocket_max=RNG.integers(200_000, 900_000, n),
        deductible_used=zero,
        out_of_pocket_used=zero,
    )


def make_cases(n: int) -> costs.Cases:
    """Make up ``n`` courses of up to ``VISITS`` visits, some over two plan years."""
    shape = (n, VISITS)
    billed = np.repeat(RNG.integers(15_000, 30_000, n)[:, None], VISITS, axis=1)
    visit = np.arange(VISITS) < RNG.integers(1, VISITS + 1, n)[:, None]
    year = 2025 + (np.arange(VISITS) >= RNG.integers(10, 60, n)[:, None]).astype(np.int64)
    units = np.full(shape, costs.THOUSAND, dtype=np.int64)
    return costs.Cases(
        visit=visit,
        plan_year=year,
        covered=np.arange(VISITS) < RNG.integers(1, VISITS + 20, n)[:, None],
        units=units,
        billed=billed,
        in_network_allowed=billed * 6 // 10,
        out_of_network_allowed=billed * 7 // 10,
        sca_allowed=billed * 9 // 10,
        in_network=make_tier(n),
        out_of_network=make_tier(n),
        has_out_of_network=RNG.random(n) < 0.8,
        cost_share_collected=np.full(n, 900_000),
        balance_bill_collected=np.full(n, 500_000),
        charge=billed[:, 0].copy(),
    )


def loop_member_cost_share(cases: costs.Cases, number: int) -> int:
    """Return the cost share in-network of one case by the rules read off one after the other. [cents]."""
    tier = cases.in_network
    deductible = int(tier.deductible[number]) if tier.deductible_applies[number] else 0
    left, pocket, total, year = deductible, int(tier.out_of_pocket_max[number]), 0, None
    for visit in range(VISITS):
        if not cases.visit[number, visit]:
            break
        if year is not None and cases.plan_year[number, visit] != year:
            left, pocket = deductible, int(tier.out_of_pocket_max[number])
        year = cases.plan_year[number, visit]
        allowed = int(cases.in_network_allowed[number, visit])
        part = min(allowed, left)
        rest = allowed - part
        if tier.has_copay[number]:
            share = min(int(tier.copay[number]), rest)
        else:
            share = (rest * int(tier.coinsurance[number]) + costs.MILLION // 2) // costs.MILLION
        share = min(part + share, pocket)
        left, pocket, total = left - part, pocket - share, total + share
    return total


def timed(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median of the times of several runs. [s]."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return median(times)


def make_portfolio() -> tuple[Portfolio, Portfolio, int]:
    """Return the courses of a sample, and the same so many times over that they are ``CASES`` or more."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "exports", MEMBERS, 1)
        exports = Exports.open(Path(folder) / "exports")
        one = load_portfolio(exports, exports.last_day, open_days=None)
    n, times = len(one.courses), -(-CASES // len(one.courses))
    many = replace(
        one,
        courses=pd.concat([one.courses] * times, ignore_index=True),
        chunks=[replace(c, course=c.course + k * n) for k in range(times) for c in one.chunks],
        today=np.tile(one.today, (times, 1)),
        assumed=np.tile(one.assumed, (times, 1)),
        fixed=np.tile(one.fixed, (times, 1)),
    )
    return one, many, times


def compete_scenarios(rows: list[tuple[str, float, float, float | None]]) -> None:
    """Time each basis of a scenario, each time at another percentage, once its totals are those of the sample."""
    one, many, times = make_portfolio()
    print(f"{len(many.courses):,} courses, those of a sample of {MEMBERS:,} members {times} times")
    for basis in ("percent_of_medicare", "percent_of_usual_charge", "way_to_usual_charge"):
        small, large = (pay_at(p, basis, Decimal(80)) for p in (one, many))
        if (small["plan_paid_what_if"] * times).tolist() != large["plan_paid_what_if"].tolist():
            raise SystemExit("the totals are not those of the sample")
        percents = iter(range(10, 100))
        seconds = timed(lambda basis=basis, percents=percents: pay_at(many, basis, Decimal(next(percents))), 21)
        rows.append((f"scenario: {basis}", seconds, seconds / rows[0][1], None))
        print(
            f"{'scenario: ' + basis:<45} {seconds:7.3f} s   all three arrangements / this: {rows[1][1] / seconds:5.1f}"
        )


if __name__ == "__main__":
    cases = make_cases(CASES)
    allowed = np.where(cases.visit, cases.in_network_allowed, 0)
    _, share = costs.adjudicate(cases.in_network, allowed, cases.plan_year)
    looped = [loop_member_cost_share(cases, i) for i in range(LOOPED)]
    if share[:LOOPED].sum(axis=1).tolist() != looped:
        raise SystemExit("the two do not agree")
    loop = timed(lambda: [loop_member_cost_share(cases, i) for i in range(LOOPED)], 3) * CASES / LOOPED
    print(f"{CASES:,} cases of up to {VISITS} visits; medians of {REPEATS} runs; the loop scaled from {LOOPED:,} cases")
    rows = []
    for name, run in (
        ("one tier (adjudicate)", lambda: costs.adjudicate(cases.in_network, allowed, cases.plan_year)),
        ("three arrangements (compare_arrangements)", lambda: costs.compare_arrangements(cases)),
        ("break-even rates", lambda: break_even.break_even_rates(cases)),
    ):
        seconds = timed(run)
        rows.append((name, seconds, seconds / (rows[0][1] if rows else seconds), None))
        print(f"{name:<45} {seconds:7.3f} s   plain loop of one tier / this: {loop / seconds:6.1f}")
    print(f"{'plain loop, one tier':<45} {loop:7.3f} s")
    rows.append((f"plain loop, one tier (scaled from {LOOPED:,} cases)", loop, loop / rows[0][1], None))
    compete_scenarios(rows)
    record(f"costs of {CASES:,} cases of up to {VISITS} visits", rows)
