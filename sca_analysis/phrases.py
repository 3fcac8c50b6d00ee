"""How a letter writes what it says: amounts, dates, counts, blanks and who said so."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd

from sca_analysis.tables import YES

#: To be filled in by hand.
BLANK = "________"
#: The months as the suite writes them: strftime has them in the language of the machine.
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_ISO = re.compile(r"\b\d{4}-\d\d-\d\d\b")


def text(value: Any) -> str:
    """Return a value as text, a blank where there is none."""
    return BLANK if value is None or pd.isna(value) or not str(value).strip() else str(value)


def count(number: Any, what: str) -> str:
    """Return "1 visit", "2 visits"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def dollars(amount: Any) -> str:
    """Return an exact amount [USD] as $1,234.50; "not known" where there is none."""
    return "not known" if amount is None or pd.isna(amount) else f"${Decimal(str(amount)):,.2f}"


def day(when: Any) -> str:
    """Return a date as US letters write it, June 30, 2026; a blank where there is none."""
    if when is None or pd.isna(when):
        return BLANK
    stamp = pd.Timestamp(when)
    return f"{MONTHS[stamp.month - 1]} {stamp.day}, {stamp.year}"


def month(when: date) -> str:
    """Return the month of a day, June 2026."""
    return f"{MONTHS[when.month - 1]} {when.year}"


def with_days(sentence: str) -> str:
    """Write the dates of a sentence, 2026-06-30, as the letter does."""
    return _ISO.sub(lambda found: day(found[0]), sentence)


def who(fact: Mapping[str, Any]) -> str:
    """Return who entered a row of ``tables.ENTERED``, and when."""
    return f"entered by {fact['entered_by']} on {day(fact['entered_on'])}"


def says_yes(entered: Mapping[str, Mapping[str, Any]], fact: str) -> bool | None:
    """Return a yes or no that was entered; None where nothing was."""
    if fact not in entered:
        return None
    return str(entered[fact]["value"]).strip().lower() in YES
