"""What may be shown of patients: pseudonyms with a key, years and states for days and places, no small counts.

Rows of one patient follow the Safe Harbor method (45 CFR 164.514(b)(2)): no member or claim numbers, no dates but
years, no place smaller than a state but the first three digits of a ZIP code, ages over 89 as one. A pseudonym is
made from the number and a secret key, since a code must not be derived from the patient alone (164.514(c)).
Counts of 1 to 10 people are withheld, as CMS asks of those who publish from its data, and with them the next
smallest where a total would give them away.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sca_analysis.pseudonyms import pseudonyms
from sca_analysis.tables import Column, Kind, Table

#: Counts of members below this are not shown in anything meant to be shared. [CMS cell size
#: suppression policy: cells of 1 to 10 are withheld]
SMALL_CELL = 11
OTHERS = "other specialties"
#: First three digits of ZIP codes whose areas had 20,000 people or fewer in the Census of 2000. [HHS, Guidance
#: Regarding Methods for De-identification of Protected Health Information, 2012]
FEW_LIVE_IN = frozenset(
    [
        "036",
        "059",
        "063",
        "102",
        "203",
        "556",
        "692",
        "790",
        "821",
        "823",
        "830",
        "831",
        "878",
        "879",
        "884",
        "890",
        "893",
    ]
)
_OLDEST = 90  # this age and all above are one (164.514(b)(2)(i)(C))
_CASES = ("case_id", "course_id", "renewal_of", "renewed_by")


def shorten_zips(zips: pd.Series) -> pd.Series:
    """Return the first three digits of ZIP codes; 000 where 20,000 people or fewer live (`FEW_LIVE_IN`)."""
    short = zips.astype("string").str[:3]
    return short.where(~short.isin(FEW_LIVE_IN) | short.isna(), "000")


def group_oldest(birth_years: pd.Series, year: int) -> pd.Series:
    """Return years of birth; of all who are 90 or may turn 90 in ``year``, the one of those who do."""
    return birth_years.astype("Int64").clip(lower=year - _OLDEST)


def deidentify(frame: pd.DataFrame, table: Table, key: bytes, year: int) -> pd.DataFrame:
    """Return a table whose rows are of one patient each, as it may be shared: the same columns, less in them.

    Parameters
    ----------
    frame : DataFrame
        Columns of ``table``, not all of them need be there. A column that is not declared is left out.
    table : Table
        One of ``tables.RESULTS`` or ``tables.EXPORTS``.
    key : bytes
        As ``pseudonyms.find_key`` returns it.
    year : int
        Year of the as-of date, from which ages are reckoned.

    Returns
    -------
    DataFrame
        Numbers of cases and members, and NPIs, are pseudonyms; dates are years; counties are the two digits of
        their state; ZIP codes have three digits; what could tell who it is (``Column.tells_who``) is blank.

    """
    declared = [table.column(name) for name in frame if name in table.names]
    return pd.DataFrame({c.name: _generalise(frame[c.name], c, key, year) for c in declared}, index=frame.index)


def _generalise(values: pd.Series, column: Column, key: bytes, year: int) -> pd.Series:
    nothing = pd.Series(pd.NA, index=values.index, dtype="string")
    if column.tells_who or column.kind in (Kind.LATITUDE, Kind.LONGITUDE):
        return nothing
    if column.name in _CASES:
        return pseudonyms(values, "case", key)
    if column.name == "member_id":
        return pseudonyms(values, "member", key)
    if column.name == "birth_year":
        return group_oldest(values, year)
    match column.kind:
        case Kind.NPI:
            return pseudonyms(values, "provider", key)
        case Kind.DATE:
            return pd.to_datetime(values).dt.year.astype("Int64")
        case Kind.FIPS:
            return values.astype("string").str[:2]
        case Kind.ZIP:
            return shorten_zips(values)
    return nothing if column.identifies_member else values


def lump(specialties: pd.Series, members: pd.Series, fewest: int = SMALL_CELL) -> pd.Series:
    """Return specialties, those with few members as one; with it the next smallest, until it has enough members.

    Parameters
    ----------
    specialties, members : Series
        Specialty and member of each row.
    fewest : int

    """
    counts = members.groupby(specialties).nunique().sort_values(kind="stable")
    few = list(counts.index[counts < fewest])
    for name in counts.index[len(few) :]:
        if not few or members[specialties.isin(few)].nunique() >= fewest:
            break
        few.append(name)
    return specialties.where(~specialties.isin(few), OTHERS)


def find_few(
    frame: pd.DataFrame,
    count: str,
    totals: Sequence[Sequence[str]] = ((),),
    of: str | None = None,
    fewest: int = SMALL_CELL,
    also: pd.Series | None = None,
) -> pd.Series:
    """Return which rows are withheld: those of few people, and those that would give these away.

    Parameters
    ----------
    frame : DataFrame
    count : str
        Column of a count of people, where blank counts as none; or of the people themselves, as sets, where the same
        may be in more than one row.
    totals : sequence of sequences of str
        What is added up elsewhere: for each group of these columns (none: all rows) a total may be known, so that
        what is withheld in it must be two rows or more, of ``fewest`` people or more together.
    of : str, optional
        Column of the people that those counted are of: so few others are withheld too.
    fewest : int
    also : Series of bool, optional
        Rows that are withheld for another reason.

    Returns
    -------
    Series of bool

    """
    people = frame[count] if len(frame) and isinstance(frame[count].iloc[0], frozenset) else None
    sizes = frame[count] if people is None else people.map(len)
    counts = sizes.astype("Float64").fillna(0).astype("float64")
    few = counts.between(1, fewest - 1)
    if also is not None:
        few |= also
    if of:
        rest = frame[of].astype("Float64").fillna(0).astype("float64") - counts
        few |= rest.between(1, fewest - 1)
    groups = [
        rows
        for by in totals
        for rows in (frame.groupby(list(by), dropna=False).indices.values() if by else [np.arange(len(frame))])
    ]
    while True:
        was = few.sum()
        for rows in (frame.index[places] for places in groups):
            hidden = few[rows]
            if not hidden.any() or (hidden.sum() > 1 and _together(counts, people, rows[hidden]) >= fewest):
                continue
            shown = counts[rows][~hidden]
            if (shown > 0).any():
                few[shown[shown > 0].idxmin()] = True
        if few.sum() == was:
            return few


def _together(counts: pd.Series, people: pd.Series | None, rows: pd.Index) -> float:
    """Return how many people are behind rows: by number if no one can be in two, else each once."""
    return float(counts[rows].sum()) if people is None else len(frozenset().union(*people[rows]))


def blank(frame: pd.DataFrame, few: pd.Series, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table with some columns blank in some rows."""
    shown = frame.astype({c: "Int64" for c in columns if pd.api.types.is_integer_dtype(frame[c])})
    return shown.assign(**{c: shown[c].where(~few) for c in columns})


def withhold_few(frame: pd.DataFrame, count: str, beside: Sequence[str], of: str | None = None) -> pd.DataFrame:
    """Blank a count of people below ``SMALL_CELL`` (0 stays), and the columns that would give it away.

    Parameters
    ----------
    frame : DataFrame
    count : str
        Column of the count.
    beside : sequence of str
        Columns that are blanked with it.
    of : str, optional
        Column of the people that those counted are of: so few others are withheld too.

    """
    return blank(frame, find_few(frame, count, totals=(), of=of), [count, *beside])


def withhold_small_cells(gaps: pd.DataFrame, counties: Sequence[str] = ()) -> pd.DataFrame:
    """Blank the figures that tell of fewer than ``SMALL_CELL`` members; the status stays.

    That is so for all figures of a county with so few, and for the share within the distance, and
    the reason, which says it in members, where so few live on one side of it.

    Parameters
    ----------
    gaps : DataFrame
        Columns of ``tables.GAPS``.
    counties : sequence of str
        FIPS of counties that are withheld too, since a total would give the others away.

    """
    within = (gaps["share_within"] * gaps["members"]).round()
    is_few = [part.between(1, SMALL_CELL - 1) for part in (gaps["members"], within, gaps["members"] - within)]
    shown = gaps.astype({"members": "Int64", "share_within": "Float64", "nearest_miles": "Float64"})
    shown.loc[is_few[0], ["members", "nearest_miles", "required_providers"]] = pd.NA
    withheld = is_few[0] | is_few[1] | is_few[2]
    shown.loc[withheld, "share_within"] = pd.NA
    shown.loc[withheld, "reason"] = f"fewer than {SMALL_CELL} members on one side of the distance: figures withheld"
    shown.loc[is_few[0], "reason"] = f"fewer than {SMALL_CELL} members: figures withheld"
    if counties:
        beside = gaps["county_fips"].isin(counties) & ~is_few[0]
        shown.loc[beside, ["members", "nearest_miles", "required_providers", "share_within"]] = pd.NA
        shown.loc[beside, "reason"] = f"figures withheld: they would tell of another county's fewer than {SMALL_CELL}"
    return shown


def is_few(members: pd.Series, fewest: int = SMALL_CELL) -> bool:
    """Return whether rows, given as the member of each, are of one member or more but of fewer than ``fewest``."""
    return bool(0 < members.nunique() < fewest)


def has_few_side(counted: "pd.Series[bool]", members: pd.Series, fewest: int = SMALL_CELL) -> bool:
    """Return whether the rows counted are of few members, as `is_few`, or those that are not."""
    chosen = counted.to_numpy(dtype=bool)
    return is_few(members[chosen], fewest) or is_few(members[~chosen], fewest)


def any_few(counts: Sequence[pd.Series], fewest: int = SMALL_CELL) -> "pd.Series[bool]":
    """Return in which rows one of several counts of people is few; blank counts as none."""
    few = pd.concat([n.between(1, fewest - 1) for n in counts], axis=1)
    return few.fillna(False).any(axis=1).astype(bool)


def say_count(count: int, fewest: int = SMALL_CELL) -> str:
    """Return a count of people in words that are fit to be shared; ``fewest`` 0: as it is."""
    return f"fewer than {fewest}" if 0 < count < fewest else f"{count:,}"


def say_rows(members: pd.Series, fewest: int = SMALL_CELL) -> str:
    """Return a number of rows, given as the member of each, in words from which no few members can be told."""
    if not is_few(members, fewest):
        return f"{len(members):,}"
    return say_count(len(members), fewest) if len(members) < fewest else f"some (of fewer than {fewest} members)"


def say_some(counted: "pd.Series[bool]", members: pd.Series, fewest: int = SMALL_CELL) -> str:
    """Return how many rows are counted; those of few members, or that leave rows of few, in words.

    Parameters
    ----------
    counted : Series of bool
    members : Series
        The member of each row.
    fewest : int
        Smallest count of members told; 0: all are.

    """
    mine, others = members[counted.to_numpy(dtype=bool)], members[~counted.to_numpy(dtype=bool)]
    if is_few(others, fewest) and not is_few(mine, fewest) and len(mine):
        return f"all but {say_rows(others, fewest)}"
    return say_rows(mine, fewest)


def say_part(counted: "pd.Series[bool]", members: pd.Series, fewest: int = SMALL_CELL) -> str:
    """Return "13 of 40" as `say_some` and `say_rows` have it."""
    return f"{say_some(counted, members, fewest)} of {say_rows(members, fewest)}"


def say_each(labels: pd.Series, members: pd.Series, fewest: int = SMALL_CELL) -> str:
    """Return "15 approved, 5 denied" of rows by label, most first; those withheld are said to be.

    Parameters
    ----------
    labels, members : Series
        Label and member of each row; the number of all rows is told elsewhere.
    fewest : int

    """
    counts = tally(labels.to_frame("label"), members, ["label"]).sort_values("rows", ascending=False, kind="stable")
    few = find_few(counts, "people", fewest=fewest)
    parts = [f"{r.rows:,} {r.label}" for r in counts[~few].itertuples()]
    if few.any():
        parts.append(f"numbers withheld, since few: {', '.join(map(str, counts.loc[few, 'label']))}")
    return ", ".join(parts)


def tally(frame: pd.DataFrame, members: pd.Series, by: Sequence[str]) -> pd.DataFrame:
    """Return rows and people by group, in the order in which groups first come.

    Returns
    -------
    DataFrame
        The columns of ``by``, ``rows``, and ``people``: the members as a frozenset, as `find_few` takes them.

    """
    groups = frame.assign(_member=members.to_numpy()).groupby(list(by), sort=False, observed=True)["_member"]
    return groups.agg(rows="size", people=frozenset).reset_index()


def sentence(words: str) -> str:
    """Return words with a capital first letter."""
    return words[:1].upper() + words[1:]
