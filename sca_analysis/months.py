"""Months as they are written: 2026-06, or a range 2026-01..2026-06."""

import re
from calendar import monthrange
from datetime import date

from sca_analysis.errors import ParameterError

MOST_MONTHS = 240  # of one range: twenty years; more is a slip of the pen
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def parse_month(month: str) -> date:
    """Return the last day of a month written YYYY-MM.

    Raises
    ------
    ParameterError
        If it is not.

    """
    if not _MONTH.fullmatch(month) or month < "1900":
        raise ParameterError(f"{month!r} is no month: write it as YYYY-MM, for example 2026-06.")
    year, number = map(int, month.split("-"))
    return date(year, number, monthrange(year, number)[1])


def parse_months(text: str) -> list[str]:
    """Return the months of ``2026-06`` or of a range ``2026-01..2026-06``, both ends included.

    Raises
    ------
    ParameterError
        If it is neither, the range runs backwards, or it has more than 240 months.

    """
    first, dots, last = text.partition("..")
    if not dots:
        parse_month(text)
        return [text]
    start, end = (parse_month(month) for month in (first, last))
    numbers = range(start.year * 12 + start.month - 1, end.year * 12 + end.month)
    if not numbers:
        raise ParameterError(f"the range {text} runs backwards: write the earlier month first.")
    if len(numbers) > MOST_MONTHS:
        raise ParameterError(f"the range {text} has {len(numbers)} months: {MOST_MONTHS} at most in one range.")
    return [f"{n // 12:04}-{n % 12 + 1:02}" for n in numbers]
