"""The rules of each kind of column, as SQL: how text becomes a value, and when a row is set aside.

In: the declarations of ``tables``. Out: SQL expressions over ``t_<column>``, the trimmed text of
a cell, and ``<column>``, its value. ``check`` runs them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Source, name, quote
from sca_analysis.tables import ENTERED, FACTS, NO, YES, Column, Kind, Table

SQL_TYPES: dict[Kind, str] = dict.fromkeys(Kind, "VARCHAR") | {
    Kind.DATE: "DATE",
    Kind.MONEY: "DECIMAL(18,2)",
    Kind.RATE: "DECIMAL(9,6)",
    Kind.NUMBER: "DECIMAL(18,3)",
    Kind.COUNT: "BIGINT",
    Kind.FLAG: "BOOLEAN",
    Kind.LATITUDE: "DOUBLE",
    Kind.LONGITUDE: "DOUBLE",
}

#: Words for an empty cell, in lower case. [as exports of pandas, R, SAS and Excel write them]
BLANKS = ("", "null", "none", "na", "n/a", "#n/a", "nan", "nat", "\\n")
EARLIEST_YEAR = 1900
LATEST_YEAR = 9999
#: The most that a cell may hold, far above any real one: what is reckoned from these amounts cannot overflow. [USD]
LARGEST_AMOUNT = "9999999.99"
LARGEST = {"units": 100_000, "sessions_authorized": 1_000_000, "sessions_wanted": 1_000_000}
_UNSIGNED = r"\$?((\d{1,3}(,\d{3})+|\d+)(\.\d*)?|\.\d+)"
_GROUPED = rf"-?{_UNSIGNED}|\$-{_UNSIGNED[3:]}|\({_UNSIGNED}\)"

MEANINGS = {
    "missing": "a required cell is blank",
    "not_a_date": "no date; give date_format in exports.yaml if the dates are not YYYY-MM-DD",
    "date_out_of_range": f"before the year {EARLIEST_YEAR} or after {LATEST_YEAR}",
    "date_in_future": "later than the period that the export covers",
    "not_an_amount": "no amount in dollars",
    "not_a_number": "no number, or out of range",
    "too_large": f"above any real one: dollars above {float(LARGEST_AMOUNT):,}, units above {LARGEST['units']:,} or "
    f"sessions above {LARGEST['sessions_authorized']:,}",
    "not_yes_no": "neither yes nor no; translate it under values in exports.yaml",
    "not_a_month_day": "no MM-DD",
    "unknown_value": "not one of the values that the column may hold; translate it under values in exports.yaml",
    "npi_shape": "not ten digits that begin with 1 or 2 (45 CFR 162.406)",
    "npi_check_digit": "the check digit is wrong (ISO Luhn over prefix 80840, 45 CFR 162.406)",
    "taxonomy_shape": "not nine letters or digits and X (NUCC)",
    "zip_shape": "not a ZIP code of five or nine digits",
    "fips_shape": "not a county FIPS code of five digits",
    "negative_amount": "below zero, but no reversal",
    "negative_number": "below zero, where nothing can be",
    "value_does_not_fit": "not in the form of the fact that it is entered for, or above any real amount",
    "ends_before_start": "the last day lies before the first",
    "duplicate_row": "the same row again",
    "duplicate_key": "another row has the same key but other values; the first in file order counts",
    "not_selected": "not among the rows that exports.yaml keeps",
    "allowed_above_billed": "the allowed amount is above the billed amount",
    "units_not_positive": "units are zero or below",
    "zip_repaired": "leading zeros restored, or cut to five digits",
    "npi_repaired": "a trailing .0 removed",
    "amount_rounded": "more than two decimals, rounded half up",
    "amount_cleaned": "currency sign, thousands separators or brackets removed",
    "reversal_inferred": "negative amount without a status, beside another version of the line: taken as a reversal",
    "superseded": "an earlier version of a claim line; kept, not added up",
}

#: Why a record is no row at all: found by a reader, before any rule.
RECORD_MEANINGS = {
    "too_few_fields": "the record has fewer fields than the header",
    "too_many_fields": "the record has more fields than the header",
    "broken_quotes": "a quoted value that does not end, or goes on after its quote",
    "bytes_not_in_encoding": "bytes that the file's encoding does not have; give encoding in exports.yaml",
    "nul_byte": "a NUL byte, which no text has",
    "record_too_long": "longer than any record of a real export",
    "malformed_record": "no record of the format",
    "nested_too_deep": "nested deeper than any record of a real export",
    "repeated_key": "a name stands twice in one JSON object, so that one of two values would be lost",
    "truncated": "the file breaks off here, or is damaged such that nothing after can be read",
    "bundle": "Transparency in Coverage: a price of several services together",
    "capitation": "Transparency in Coverage: a price a member, not a service",
    "percentage": "Transparency in Coverage: a share of billed charges, so no amount",
    "per_diem": "Transparency in Coverage: a price a day, not a unit",
    "code_type": "Transparency in Coverage: a code of another set than CPT and HCPCS, such as MS-DRG or revenue codes",
    "procedure_code_shape": "not five characters as CPT and HCPCS codes are",
    "expired": "Transparency in Coverage: expired on the day of the file, or on in_force_on of exports.yaml",
    "zero_amount": "Transparency in Coverage: a price of nothing, which stands for no price",
    "no_provider": "Transparency in Coverage: a price of no provider",
    "providers_elsewhere": "Transparency in Coverage: the providers are in another file, which is not fetched",
    "unknown_provider_group": "Transparency in Coverage: a reference to providers that the file does not hold",
    "no_plan": "QHP: lists no plan, and a blank network would match every plan",
    "segment_too_long": "X12: a segment longer than any real one; what it swallowed is not known",
    "unknown_segment": "X12: a segment that the guide does not have, so that what it belongs to cannot be relied on",
    "malformed_segment": "X12: a segment that does not say whose it is, or whose amount is none",
    "no_service_line": "X12: a claim or line without a service segment",
    "claim_header_lost": "X12: lines whose claim segment (CLM, CLP) is missing",
    "line_number_repeated": "X12: a line number that does not rise within its claim",
    "other_transaction": "X12: a transaction of another kind, set aside as one",
    "repeated_name": "FHIR: a name twice in one object",
    "no_resource_type": "FHIR: JSON without a resourceType",
    "no_resource": "FHIR: an entry of a Bundle without a resource",
    "not_a_claim": "FHIR: an explanation of benefit that is no claim, such as a preauthorisation",
    "not_adjudicated": "FHIR: queued or in error",
    "amounts_disagree": "FHIR: one amount given twice and not alike",
    "not_in_usd": "FHIR: amounts in another currency",
    "no_network": "FHIR: a listing that names no network, which would match every network",
    "inactive": "FHIR: not active, and nothing says since when",
    "too_many_listings": "FHIR: more places, networks and specialties than any real role has",
    "not_payable": "Medicare fees: a status that Medicare does not pay under the fee schedule",
    "modifier_row": "Medicare fees: the row of a modifier (26, TC, 53); the one without is the reference",
    "carrier_priced": "Medicare fees: priced by the contractor, so without relative values",
    "not_paid_in_facility": "Medicare fees: not priced in a facility",
    "rvus_do_not_add_up": "Medicare fees: the parts do not add up to the total of the row",
    "footnote": "Medicare fees: a note after the rows",
}

#: Rules that a source may turn into a warning: the value is kept as it stands.
RELAXABLE = (
    "missing",
    "npi_shape",
    "npi_check_digit",
    "taxonomy_shape",
    "zip_shape",
    "fips_shape",
    "negative_amount",
    "date_in_future",
    "ends_before_start",
    "units_not_positive",
)


@dataclass(frozen=True)
class Rule:
    """One rule over a table: ``broken`` is SQL that is true for a row that breaks it."""

    name: str
    column: str
    broken: str
    level: str = "set_aside"

    @property
    def reason(self) -> str:
        """The rule and its column, as counted in ``sca check``."""
        return f"{self.name}:{self.column}" if self.column else self.name


def rules_for(table: Table, columns: Sequence[str], source: Source, period_end: date) -> tuple[list[Rule], list[Rule]]:
    """Return the rules that set a row aside, in order, and those that only make a finding.

    Parameters
    ----------
    table : Table
    columns : sequence of str
        The canonical columns that the file provides.
    source : Source
        Its ``rules`` turn a rule into a warning.
    period_end : date
        Dates of past events cannot lie after it.

    Raises
    ------
    ExportError
        If ``source.rules`` names a rule that does not exist or cannot be relaxed.

    """
    _refuse_unknown_rules(table, source)
    strict: list[Rule] = []
    notes: list[Rule] = []
    present = [c for c in table.columns if c.name in columns]
    ordered = [r for c in present for r in _column_rules(c, period_end)] + row_rules(table, set(columns))
    for rule in ordered:
        level = source.rules.get(rule.reason, source.rules.get(rule.name, rule.level))
        if level == "set_aside":
            strict.append(rule)
        else:
            notes.append(Rule(rule.name, rule.column, rule.broken, "warning" if level == "warn" else level))
    return strict, notes


def text_of(column: Column, sql: str) -> str:
    """SQL for the trimmed text of a cell, NULL where it is blank."""
    trimmed = f"trim({sql}, ' \t\r\n\u00a0\ufeff')"
    # trimming and comparing every cell is slow: what begins and ends with a visible character is trimmed,
    # and what is longer than the words for blank, or begins with a digit, sign or bracket, is none of them
    seen = f"ascii({sql}) BETWEEN 33 AND 126 AND ascii(right({sql}, 1)) BETWEEN 33 AND 126"
    seen += f" AND (strlen({sql}) > {max(map(len, BLANKS))} OR ascii({sql}) BETWEEN 40 AND 57)"
    # a provider may be called Null or None: names are blank only when nothing is written
    blank = f"{trimmed} = ''" if column.kind is Kind.TEXT else f"lower({trimmed}) IN {_in_list(BLANKS)}"
    return f"CASE WHEN {seen} THEN {sql} WHEN {blank} THEN NULL ELSE {trimmed} END"


def value_of(column: Column, date_format: str | list[str] | None, text: str = "") -> str:
    """SQL for the typed value of a cell, NULL where the text does not fit the kind; ``text`` is SQL for its text."""
    t = text or name("t_" + column.name)
    match column.kind:
        case Kind.DATE if date_format:
            formats = [date_format] if isinstance(date_format, str) else date_format
            return f"CAST(try_strptime({t}, [{', '.join(map(quote, formats))}]) AS DATE)"
        case Kind.DATE:
            return (
                f"CASE WHEN regexp_full_match({t}, '\\d{{8}}') THEN CAST(try_strptime({t}, '%Y%m%d') AS DATE) "
                f"WHEN ascii({t}) BETWEEN 48 AND 57 THEN try_cast({t} AS DATE) END"
            )
        case Kind.MONEY:
            cleaned = f"try_cast(regexp_replace({t}, '[^0-9.]', '', 'g') AS DECIMAL(18,2))"
            sign = f"CASE WHEN regexp_matches({t}, '[-(]') THEN -1 ELSE 1 END"
            grouped = f"CASE WHEN regexp_full_match({t}, {quote(_GROUPED)}) THEN {cleaned} * {sign} END"
            return f"CAST(coalesce({_number(t, 'DECIMAL(18,2)')}, {grouped}) AS DECIMAL(18,2))"
        case Kind.RATE:
            rate = _number(t, "DECIMAL(9,6)")
            return f"CASE WHEN {rate} BETWEEN 0 AND 1 THEN {rate} END"
        case Kind.NUMBER:
            return _number(t, "DECIMAL(18,3)")
        case Kind.COUNT:
            number = _number(t, "DECIMAL(18,3)")
            return f"CASE WHEN {number} = floor({number}) THEN CAST({number} AS BIGINT) END"
        case Kind.LATITUDE | Kind.LONGITUDE:
            most = 90 if column.kind is Kind.LATITUDE else 180
            degrees = _number(t, "DOUBLE")
            return f"CASE WHEN {degrees} BETWEEN -{most} AND {most} THEN {degrees} END"
        case Kind.FLAG:
            return f"CASE WHEN lower({t}) IN {_in_list(YES)} THEN true WHEN lower({t}) IN {_in_list(NO)} THEN false END"
        case Kind.MONTH_DAY:
            # 2001 has no 29 February, which no plan year can begin with
            day = f"CASE WHEN regexp_full_match({t}, '\\d{{1,2}}-\\d{{1,2}}') THEN try_cast('2001-' || {t} AS DATE) END"
            return f"strftime({day}, '%m-%d')"
        case Kind.NPI:
            return f"CASE WHEN regexp_full_match({t}, '\\d{{10}}\\.0') THEN left({t}, 10) ELSE {t} END"
        case Kind.TAXONOMY:
            return f"upper({t})"
        case Kind.ZIP:
            return (
                f"CASE WHEN regexp_full_match({t}, '\\d{{5}}(-?\\d{{4}})?') THEN left({t}, 5) "
                f"WHEN regexp_full_match({t}, '\\d{{3,5}}(\\.0)?') THEN lpad(split_part({t}, '.', 1), 5, '0') "
                f"WHEN regexp_full_match({t}, '\\d{{7,8}}') THEN left(lpad({t}, 9, '0'), 5) "
                f"WHEN regexp_full_match({t}, '\\d{{3,4}}-\\d{{4}}') "
                f"THEN lpad(split_part({t}, '-', 1), 5, '0') ELSE {t} END"
            )
        case Kind.FIPS:
            return f"CASE WHEN regexp_full_match({t}, '\\d{{4}}') THEN '0' || {t} ELSE {t} END"
        case _ if column.allowed:
            return f"lower({t})"
        case _:
            return t


def _number(text: str, kind: str) -> str:
    """SQL for a number; DuckDB would also take 1_000, which no export writes for a thousand."""
    return f"CASE WHEN NOT contains({text}, '_') THEN try_cast({text} AS {kind}) END"


def staged(column: Column, present: bool) -> str:
    """SQL for the column as staged: absent columns are NULL, blank cells take the default."""
    kind = SQL_TYPES[column.kind]
    value = f"CAST({name(column.name)} AS {kind})" if present else f"CAST(NULL AS {kind})"
    return value if column.default is None else f"coalesce({value}, CAST({quote(column.default)} AS {kind}))"


def class_of(text: str) -> str:
    """SQL that says what kind of value a cell holds without saying the value."""
    t = name(text)
    return (
        f"CASE WHEN {t} IS NULL THEN 'blank' "
        f"WHEN regexp_full_match({t}, '\\d+') THEN length({t}) || ' digits' "
        f"WHEN regexp_full_match({t}, '[-+]?[\\d.,]+[eE][-+]?\\d+') THEN 'number in scientific notation' "
        f"WHEN regexp_full_match({t}, '-[\\d.,]+|\\([\\d.,]+\\)') THEN 'negative number' "
        f"WHEN regexp_full_match({t}, '[$]?[\\d.,]+') THEN 'number' "
        f"WHEN regexp_matches({t}, '^\\d{{1,4}}[-/.]\\w{{1,3}}[-/.]\\d{{1,4}}') THEN 'date-like text' "
        f"ELSE 'text of ' || length({t}) || ' characters' END"
    )


def _column_rules(column: Column, period_end: date) -> list[Rule]:
    """The rules that follow from what one column holds."""
    t, v, one = name("t_" + column.name), name(column.name), column.name
    wrong = f"{t} IS NOT NULL AND {v} IS NULL"
    rules = [Rule("missing", one, f"{t} IS NULL")] if column.required else []
    match column.kind:
        case Kind.DATE:
            rules += [
                Rule("not_a_date", one, wrong),
                Rule("date_out_of_range", one, f"year({v}) NOT BETWEEN {EARLIEST_YEAR} AND {LATEST_YEAR}"),
            ]
            if column.past:
                rules.append(Rule("date_in_future", one, f"{v} > DATE '{period_end}'"))
        case Kind.MONEY:
            rules += [
                Rule("not_an_amount", one, wrong),
                Rule("amount_rounded", one, f"regexp_matches({t}, '\\.\\d\\d\\d*[1-9]\\d*')", "repaired"),
                Rule("amount_cleaned", one, f"{v} IS NOT NULL AND regexp_matches({t}, '[$,(]')", "repaired"),
            ]
        case Kind.RATE | Kind.NUMBER | Kind.COUNT | Kind.LATITUDE | Kind.LONGITUDE:
            rules.append(Rule("not_a_number", one, wrong))
            if column.unit in ("miles", "minutes"):
                rules.append(Rule("negative_number", one, f"{v} < 0"))
        case Kind.FLAG:
            rules.append(Rule("not_yes_no", one, wrong))
        case Kind.MONTH_DAY:
            rules.append(Rule("not_a_month_day", one, wrong))
        case Kind.NPI:
            rules += [
                Rule("npi_shape", one, f"NOT regexp_full_match({v}, '[12]\\d{{9}}')"),
                Rule("npi_check_digit", one, _luhn_fails(v)),
                Rule("npi_repaired", one, f"{v} <> {t}", "repaired"),
            ]
        case Kind.TAXONOMY:
            rules.append(Rule("taxonomy_shape", one, f"NOT regexp_full_match({v}, '[0-9A-Z]{{9}}X')"))
        case Kind.ZIP:
            rules += [
                Rule("zip_shape", one, f"NOT regexp_full_match({v}, '\\d{{5}}')"),
                Rule("zip_repaired", one, f"left({t}, 5) <> {v}", "repaired"),
            ]
        case Kind.FIPS:
            rules.append(Rule("fips_shape", one, f"NOT regexp_full_match({v}, '\\d{{5}}')"))
        case _:
            pass
    if most := largest(column):
        rules.append(Rule("too_large", one, f"abs({v}) > {most}"))
    if column.allowed:
        rules.append(Rule("unknown_value", one, f"{v} NOT IN {_in_list(column.allowed)}"))
    return rules


def largest(column: Column) -> str:
    """SQL for the most that a cell of a column may hold, blank where there is no such bound."""
    return LARGEST_AMOUNT if column.kind is Kind.MONEY else str(LARGEST.get(column.name, ""))


def row_rules(table: Table, present: set[str]) -> list[Rule]:
    """Return the rules between columns of one row; negative amounts last, so that only they are left to infer."""
    rules = [
        Rule("ends_before_start", last, f"{last} < effective_date")
        for last in ("termination_date", "expiry_date")
        if {last, "effective_date"} <= present
    ]
    if {"allowed_amount", "billed_amount"} <= present:
        above = "allowed_amount > billed_amount AND billed_amount >= 0"
        rules.append(Rule("allowed_above_billed", "allowed_amount", above, "warning"))
    if table is ENTERED and {"fact", "value"} <= present:
        forms = [f"fact = {quote(fact.name)} AND ({_form_of(fact)}) IS NOT TRUE" for fact in FACTS]
        rules.append(Rule("value_does_not_fit", "value", " OR ".join(f"({form})" for form in forms)))
    if "units" in present:
        rules.append(Rule("units_not_positive", "units", "units <= 0", "warning"))
    reversal = " AND claim_status IS DISTINCT FROM 'reversed'" if "claim_status" in present else ""
    return rules + [
        Rule("negative_amount", c.name, f"{name(c.name)} < 0{reversal}")
        for c in table.columns
        if c.kind is Kind.MONEY and c.name in present
    ]


def _form_of(fact: Column) -> str:
    """SQL that is true where a fact is entered in its form: that of its kind, and no amount out of range."""
    value = value_of(replace(fact, name="value"), None)
    match fact.kind:
        case Kind.MONEY | Kind.COUNT:
            return f"({value}) BETWEEN 0 AND {largest(fact)}"
        case Kind.TAXONOMY:
            return f"regexp_full_match({value}, '[0-9A-Z]{{9}}X')"
        case _:
            return f"({value}) IS NOT NULL"


def _luhn_fails(value: str) -> str:
    """SQL that is true where ten digits fail the Luhn check over 80840 and themselves.

    The prefix adds 24 to the sum (45 CFR 162.406; ISO/IEC 7812). Every second digit from the
    right, the check digit left out, counts double, and a two-digit double counts its digits.
    So two digits xy, read as one number p, add y + 2x, and 1 more from x = 5 on; all modulo 10.
    """
    return f"regexp_full_match({value}, '\\d{{10}}') AND {luhn_sum(f'try_cast({value} AS BIGINT)')} % 10 <> 0"


def luhn_sum(number: str) -> str:
    """SQL for the Luhn sum over 80840 and the ten digits of a number: an NPI's is a multiple of ten."""
    pairs = [f"({number} // {100**place} % 100)" for place in range(5)]
    return f"({' + '.join(['24', *(f'{p} + 2 * ({p} // 10) + {p} // 50' for p in pairs)])})"


def _refuse_unknown_rules(table: Table, source: Source) -> None:
    for given in source.rules:
        rule, _, column = given.partition(":")
        if rule not in RELAXABLE or (column and column not in table.names):
            raise ExportError(
                f"exports.yaml: {table.name}: rules: {given!r} cannot be set; use one of {', '.join(RELAXABLE)}, "
                f"or one with its column, such as missing:{table.columns[-1].name}."
            )
        if rule == "missing" and (not column or column in table.key or table.column(column).kind is Kind.DATE):
            raise ExportError(
                f"exports.yaml: {table.name}: rules: {given!r} cannot be relaxed: no row can be told from another, "
                "or placed in time, without it; name one column that is neither key nor date."
            )


def _in_list(values: Sequence[str]) -> str:
    return f"({', '.join(map(quote, values))})"
