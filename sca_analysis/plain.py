"""Rows that are plainly good, told at a glance: nearly all of an export, which need none of the slower rules.

In: the declarations of ``tables``. Out: SQL over ``r_<column>``, the cell as the reader gave it, and over
``<column>``, its value. ``check`` gives every other row to ``rules``, which alone say what a bad one is: a plain row is
one that they would accept, with the same values and without a finding. A test holds the two to that.
"""

from collections.abc import Sequence
from datetime import date

from sca_analysis.readers.source import name, quote
from sca_analysis.rules import BLANKS, EARLIEST_YEAR, SQL_TYPES, Rule, largest, luhn_sum, value_of
from sca_analysis.tables import Column, Kind, Table

_WORDS = ", ".join(map(quote, (b for b in BLANKS if b)))
_LONGEST = max(map(len, BLANKS))
_INITIALS = ", ".join(sorted({str(ord(c)) for b in BLANKS if b for c in (b[0], b[0].upper())}))


def raw_name(column: Column) -> str:
    """SQL name of the cell as the reader gave it."""
    return name("r_" + column.name)


def glance(column: Column, date_format: str | list[str] | None) -> str:
    """SQL for the value of a plain cell, named; of any other cell it may be anything that is no error."""
    v = f"{_glance(column, date_format)} AS {name(column.name)}"
    # the sum over the digits needs the number many times: so it is made once
    return f"{v}, try_cast({raw_name(column)} AS BIGINT) AS {_number_name(column)}" if column.kind is Kind.NPI else v


def _number_name(column: Column) -> str:
    return name("n_" + column.name)


def _glance(column: Column, date_format: str | list[str] | None) -> str:
    r = raw_name(column)
    match column.kind:
        case Kind.DATE if not date_format:
            return f"try_cast({r} AS DATE)"
        case Kind.MONEY:
            return f"try_cast({r} AS DECIMAL(18,8))"
        case Kind.NPI | Kind.ZIP | Kind.TAXONOMY:
            return r
        case _ if column.allowed:
            return r
        case _:
            return value_of(column, date_format, r)


def final(column: Column) -> str:
    """SQL for the value at a glance in the column's own type."""
    v = name(column.name)
    return f"CAST({v} AS {SQL_TYPES[column.kind]})" if column.kind is Kind.MONEY else v


def is_plain(table: Table, present: Sequence[Column], row_rules: Sequence[Rule], period_end: date) -> str:
    """SQL that is true for a plain row, never NULL.

    Parameters
    ----------
    table : Table
    present : sequence of Column
        The columns that the file provides.
    row_rules : sequence of Rule
        The rules between columns: none may be broken.
    period_end : date
        Dates of past events cannot lie after it.

    """
    if absent := [c for c in table.columns if c.required and c not in present]:
        raise ValueError(f"required columns are absent: {[c.name for c in absent]}")
    if any('"t_' in rule.broken for rule in row_rules):
        return "false"  # a rule that reads the text, which only the rules have
    tests = []
    for column in present:
        good = _is_good(column, period_end)
        tests.append(good if column.required else f"({raw_name(column)} IS NULL OR {good})")
    tests += [f"coalesce(NOT ({rule.broken}), true)" for rule in row_rules]
    return f"coalesce({' AND '.join(tests)}, false)"  # once for all: what one test cannot tell, they cannot together


def _is_good(column: Column, period_end: date) -> str:
    """SQL that is true for a cell that is there and plain; NULL where it cannot tell."""
    r, v = raw_name(column), name(column.name)
    match column.kind:
        case Kind.DATE:
            end = f"AND {v} <= DATE '{period_end}'" if column.past else ""
            return f"{v} BETWEEN DATE '{EARLIEST_YEAR}-01-01' AND DATE '9999-12-31' {end} AND {_begins(r, 48, 57)}"
        case Kind.MONEY:
            # nine characters hold at most eight decimals, so that a third decimal shows
            is_amount = f"{v} BETWEEN 0 AND {largest(column)} AND {v} = CAST({v} AS DECIMAL(18,2))"
            return f"{is_amount} AND strlen({r}) <= 9 AND NOT contains({r}, '_')"
        case Kind.NPI:
            number = _number_name(column)
            shape = f"{number} // 1000000000 IN (1, 2) AND CAST({number} AS VARCHAR) = {r}"
            return f"{shape} AND {luhn_sum(number)} % 10 = 0"
        case Kind.TAXONOMY:
            return f"regexp_full_match({r}, '[0-9A-Z]{{9}}X')"
        case Kind.ZIP:
            return f"regexp_full_match({r}, '\\d{{5}}')"
        case _ if column.allowed:
            return f"{r} IN ({', '.join(map(quote, column.allowed))})"
        case Kind.CODE:
            return _is_text(r)
        case Kind.NUMBER | Kind.COUNT if column.unit not in ("miles", "minutes"):
            most = f"abs({v}) <= {largest(column)}" if largest(column) else f"{v} IS NOT NULL"
            return f"{most} AND {_begins(r, 40, 57)}"
        case _:  # too rare to be worth more than a look by the rules
            return "false"


def _begins(text: str, first: int, last: int) -> str:
    """SQL that is true where text begins with one of a range of ASCII characters."""
    return f"ascii({text}) BETWEEN {first} AND {last}"


def _is_text(text: str) -> str:
    """SQL that is true for text that begins and ends with a visible character, and is no word for blank."""
    may_be = f"strlen({text}) <= {_LONGEST} AND ascii({text}) IN ({_INITIALS})"
    no_word = f"CASE WHEN {may_be} THEN lower({text}) NOT IN ({_WORDS}) ELSE true END"
    return f"{_begins(text, 33, 126)} AND {_begins(f'reverse({text})', 33, 126)} AND {no_word}"
