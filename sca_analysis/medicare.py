"""What Medicare pays for a service in a locality, and a rate as a percent of that.

In: relative values, locality indices and conversion factor as CMS publishes them, all exact decimals.
Out: dollars a unit, whole cents; percents with one decimal. The regulation is cited in `locality_rate`.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from sca_analysis.errors import ParameterError

_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)  # more digits than any product of CMS's values has


@dataclass(frozen=True)
class Gpci:
    """The three geographic practice cost indices of a locality; 1 is the national average."""

    work: Decimal
    practice_expense: Decimal
    malpractice: Decimal


NATIONAL = Gpci(Decimal(1), Decimal(1), Decimal(1))


def locality_rate(
    work: Decimal, practice_expense: Decimal, malpractice: Decimal, gpci: Gpci, conversion_factor: Decimal
) -> Decimal:
    """Return the fee schedule amount a unit [USD], rounded half up to cents at the end only.

    (work x work GPCI + practice expense x PE GPCI + malpractice x MP GPCI) x conversion factor: 42 CFR
    414.20(a), with relative values [RVU] of 414.22, the adjustment of 414.26 and the factor [USD/RVU] of
    414.28 and 414.30. It is the amount of participating suppliers, before any reduction of 414.20(b).

    Raises
    ------
    ParameterError
        If a value is below zero or no finite number.

    """
    parts = (work, practice_expense, malpractice, gpci.work, gpci.practice_expense, gpci.malpractice)
    if not all(v.is_finite() and v >= 0 for v in (*parts, conversion_factor)):
        raise ParameterError("a relative value, GPCI or conversion factor is below zero or no number; correct it.")
    with localcontext(_EXACT):
        adjusted = work * gpci.work + practice_expense * gpci.practice_expense + malpractice * gpci.malpractice
        return (adjusted * conversion_factor).quantize(Decimal("0.01"))


def percent_of_medicare(rate: Decimal | None, medicare_rate: Decimal | None) -> Decimal | None:
    """Return ``rate`` as a percent of ``medicare_rate`` (both USD a unit), half up to 0.1; None without either."""
    if rate is None or not medicare_rate:
        return None
    with localcontext(_EXACT):
        return (100 * rate / medicare_rate).quantize(Decimal("0.1"))
