"""What a person types into a field, as exact numbers; nonsense is refused with one sentence.

In: text as people write it: "$1,234.50", "80%", "80". Out: Decimal or int. Raises ``ParameterError`` whose
message says what is wrong with the field and what to write instead.
"""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from sca_analysis.casefile import MOST_MONEY
from sca_analysis.errors import ParameterError

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?|\.[0-9]{1,12}")
#: Longest course that may be tried [visits]: three visits a week for three years, and so that charts stay legible.
MOST_VISITS = 500


def read_amount(text: str, name: str) -> Decimal:
    """Return dollars and cents from 0 to ``MOST_MONEY`` [USD]."""
    example = "write dollars and cents, for example 185.00"
    amount = _read(text, name, example, sign="$")
    if amount != amount.quantize(Decimal("0.01")):
        raise ParameterError(f"{name} has more than two decimals: {example}.")
    if amount > MOST_MONEY:
        raise ParameterError(f"{name} is above {MOST_MONEY:,}: {example}.")
    return amount.quantize(Decimal("0.01"))


def read_optional_amount(text: str, name: str) -> Decimal | None:
    """Return an amount, or None where the field is empty: there is none of it."""
    return read_amount(text, name) if text.strip() else None


def read_percent(text: str, name: str, most: int = 100) -> Decimal:
    """Return a percentage from 0 to ``most`` with at most two decimals [%]."""
    example = f"write a percentage from 0 to {most}, for example 80"
    percent = _read(text, name, example, sign="%")
    if percent > most:
        raise ParameterError(f"{name} is above {most}%: {example}.")
    if percent != percent.quantize(Decimal("0.01")):
        raise ParameterError(f"{name} has more than two decimals: {example}.")
    return percent


def read_optional_percent(text: str, name: str) -> Decimal | None:
    """Return a percentage, or None where the field is empty."""
    return read_percent(text, name) if text.strip() else None


def read_count(text: str, name: str, least: int = 1, most: int = MOST_VISITS) -> int:
    """Return a whole number within bounds."""
    example = f"write a whole number from {least} to {most}"
    count = _read(text, name, example)
    if count != int(count):
        raise ParameterError(f"{name} is not a whole number: {example}.")
    if not least <= count <= most:
        raise ParameterError(f"{name} is out of range: {example}.")
    return int(count)


def read_optional_count(text: str, name: str) -> int | None:
    """Return a whole number from 0, or None where the field is empty: there is no limit."""
    return read_count(text, name, least=0, most=100_000) if text.strip() else None


def read_day(text: str) -> date:
    """Return a day written as year-month-day."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ParameterError("the first visit is not a day: write year-month-day, for example 2026-01-05.") from None


def read_percentile(text: str, known: Sequence[int]) -> int:
    """Return one of the percentiles that are known."""
    if not known:
        raise ParameterError("no percentile of charges is known for this case: choose another basis.")
    listed = ", ".join(map(str, known))
    count = _read(text, "the percentile", f"write one of {listed}")
    if count not in known:
        raise ParameterError(f"this percentile is not known: write one of {listed}.")
    return int(count)


def _read(text: str, name: str, example: str, sign: str = "") -> Decimal:
    """Return a number that is not negative; ``sign`` may stand before or after it."""
    plain = text.strip().removeprefix(sign or " ").removesuffix(sign or " ").strip()
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", plain):
        plain = plain.replace(",", "")
    if not plain:
        raise ParameterError(f"{name} is empty: {example}.")
    if re.fullmatch(r"-\s*\$?[0-9.,]+", plain):
        raise ParameterError(f"{name} is negative: {example}.")
    if not _NUMBER.fullmatch(plain):
        raise ParameterError(f"{name} is not a number: {example}.")
    return Decimal(plain)
