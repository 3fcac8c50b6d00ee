"""Which standard is in force: specialties, maximum distances, county types, taxonomy roll-up.

The packaged tables hold facts of 42 CFR 422.116, CMS's yearly reference file, rules of a few states
and the NUCC code set, each row with its source. A plan under other rules (CMS's for marketplaces
under 45 CFR 156.230, another state's) hands in its own rows as ``overrides``: the standard is data,
not code.
"""

from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import pandas as pd

from sca_analysis.errors import ExportError, ParameterError

#: 42 CFR 422.116(c), densest first.
COUNTY_TYPES = ("Large Metro", "Metro", "Micro", "Rural", "CEAC")

#: 42 CFR 422.116(b): (1) provider specialties, (2) facility types.
Kind = Literal["provider", "facility"]

MEDICARE_ADVANTAGE = "medicare-advantage"

#: Names of the packaged standards, and what each is. What a rule says beyond distance, time and share
#: (a choice of two, "time or distance", waivers) is in the source of its rows, not in their numbers.
STANDARDS = {
    MEDICARE_ADVANTAGE: "Medicare Advantage, 42 CFR 422.116: all specialties and facility types, every county type",
    "minnesota": "Minnesota, Minn. Stat. 62K.10: 30 miles and minutes for primary and mental health care, else 60",
    "montana": "Montana, Mont. Admin. R. 6.6.8819: primary care and a hospital within a 30 mile radius",
    "nevada": "Nevada, NAC 687B.768: nine specialties and hospitals by county type",
    "new-jersey": "New Jersey, N.J.A.C. 11:24A-4.10, 11:24-6.2, 6.3: primary care, medical specialists, facilities",
    "new-mexico": "New Mexico, 13.10.22.8 NMAC: primary care by the size of the population area",
}

_PACKAGED: dict[Kind, str] = {"provider": "standards", "facility": "facility_standards"}
_EXACT = ("required_share", "providers_per_1000", "telehealth_credit")
_OVERRIDE_SOURCE = "standards or counties file of the exports folder"
_LEARNT: dict[str, tuple[Any, ...]] = {}  # rows of newer NUCC codes, by code; only added to


def load_standards(
    overrides: pd.DataFrame | None = None,
    *,
    replace: bool = False,
    kind: Kind = "provider",
    name: str = MEDICARE_ADVANTAGE,
) -> pd.DataFrame:
    """Return the network adequacy standard in force.

    Parameters
    ----------
    overrides : DataFrame, optional
        Rows of ``tables.STANDARDS``: each takes the place of the packaged row with the same
        specialty and county type, or is added.
    replace : bool
        Whether ``overrides`` is the whole standard, so that no packaged row stays.
    kind : {"provider", "facility"}
        Specialties of 42 CFR 422.116(b)(1), or facility types of (b)(2): of those only acute inpatient
        hospitals have a ratio, and it counts beds.
    name : str
        Which of ``STANDARDS`` is packaged underneath. A state's covers the specialties its rule names, under
        the names of 42 CFR 422.116(b), and no others.

    Returns
    -------
    DataFrame
        One row per specialty and county type, packaged rows first. Distances [miles] and times
        [minutes] as floats (NaN = not set), shares and providers per 1,000 members as Decimal (None = not set).

    Raises
    ------
    ExportError
        If a county type is none of ``COUNTY_TYPES`` or a row of ``overrides`` repeats.
    ParameterError
        If no packaged standard has that name, or that one has no rows of ``kind`` and there are no overrides.

    """
    packaged = _packaged(name, kind)
    if packaged.empty and overrides is None:
        raise ParameterError(f"The standard {name} has no rows of kind {kind}; hand in your own or name another.")
    spelling = _read(_PACKAGED[kind])["specialty"]
    rows = _merge(packaged, overrides, ["specialty", "county_type"], spelling, replace=replace)
    for column in ("max_miles", "max_minutes"):
        rows[column] = pd.to_numeric(rows[column].replace("", None)).astype("float64")
    for column in _EXACT:
        rows[column] = pd.Series([_decimal(v) for v in rows[column]], rows.index, dtype=object)
    return rows


def load_counties(overrides: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return county_fips, county_name, state, county_type, ssa_code and source of every county.

    ``ssa_code`` (five digits, text) is CMS's code of the county in its reference file: of the two of Los
    Angeles that with more beneficiaries, NA for two districts of American Samoa, of which CMS lists the
    villages. Islands that share a row of CMS share its code.

    Rows of ``overrides`` take the place of the packaged row of the same county, or are added; a code they
    leave blank stays the packaged one. Errors are those of `load_standards`. Guam and the Western District
    of American Samoa are absent: CMS designates their villages, and not all alike.
    """
    packaged = _read("counties")
    rows = _merge(packaged, overrides, ["county_fips"])
    codes = rows["county_fips"].map(packaged.set_index("county_fips")["ssa_code"])
    given = rows["ssa_code"].astype("string").replace("", pd.NA)
    rows["ssa_code"] = given.fillna(codes.astype("string").replace("", pd.NA))
    return rows


def load_county_names() -> pd.DataFrame:
    """Return county_name, state, county_fips and source of CMS's rows that are no county of ours by name.

    A name may stand for several counties, and several names for parts of one.
    """
    return _read("county_names").copy()


def load_taxonomy() -> pd.DataFrame:
    """Return taxonomy_code, specialty (NA = outside the standard), entity and source of every NUCC code.

    ``entity`` is individual or group_or_facility; an organisation is never counted as a person. With the codes
    of `learn_taxonomy`.
    """
    packaged = load_packaged_taxonomy()
    return pd.concat([packaged, pd.DataFrame(_LEARNT.values(), columns=packaged.columns)], ignore_index=True)


def load_packaged_taxonomy() -> pd.DataFrame:
    """Return the packaged rows of `load_taxonomy`."""
    rows = _read("taxonomy").copy()
    rows["specialty"] = rows["specialty"].replace("", None)
    return rows


def learn_taxonomy(rows: pd.DataFrame) -> None:
    """Make codes of a newer NUCC release known, in this process, to all that asks about taxonomy codes.

    Parameters
    ----------
    rows : DataFrame
        Columns of `load_taxonomy`. A packaged code stays as it is; of a code given again the later row counts.

    """
    packaged = set(_read("taxonomy")["taxonomy_code"])
    _LEARNT.update({row[0]: row for row in rows.itertuples(index=False, name=None) if row[0] not in packaged})


def load_facility_taxonomy() -> pd.DataFrame:
    """Return taxonomy_code, specialty (facility type of 42 CFR 422.116(b)(2)) and source.

    Only codes that identify a facility of the type by themselves, and therapists, whom CMS counts as
    facilities (notes on 049 to 051 and 068 of its reference file). A hospital that also has, say, an
    infusion department or outpatient surgery says so with no code: a count by these codes is a lower bound.
    """
    return _read("facility_taxonomy").copy()


def facility_types_without_code() -> tuple[str, ...]:
    """Return the facility types of 42 CFR 422.116(b)(2) that no NUCC code identifies.

    A directory cannot show these: that none is found by code is no gap.
    """
    types = _read("facility_standards")["specialty"].drop_duplicates()
    return tuple(types[~types.isin(_read("facility_taxonomy")["specialty"])])


def load_hsd_codes() -> pd.DataFrame:
    """Return code (three characters, text), specialty, kind and source of CMS's HSD tables.

    The parts of primary care (001 to 006) and their sum (S03) all bear the specialty Primary Care.
    """
    return _read("hsd_codes").copy()


def load_drive_speeds() -> pd.DataFrame:
    """Return the assumed speed and detour by county type, with their ranges and source.

    One row per county type, in the order of ``COUNTY_TYPES``: miles_per_hour_low, miles_per_hour and
    miles_per_hour_high [miles of road an hour], detour_low, detour and detour_high [miles of road per
    straight-line mile], floats. Minutes = straight-line miles x detour / miles_per_hour x 60. None of it
    was measured on a road: each row's source says what it rests on.
    """
    rows = _read("drive_speeds").copy()
    for column in rows.columns.drop(["county_type", "source"]):
        rows[column] = rows[column].astype("float64")
    return rows


def specialty_of(codes: pd.Series, kind: Kind = "provider") -> pd.Series:
    """Return the specialty, or facility type, that each NUCC code counts for; NA if blank, unknown or outside."""
    table = load_taxonomy() if kind == "provider" else load_facility_taxonomy()
    return _tidy(codes).map(table.set_index("taxonomy_code")["specialty"]).astype("string")


def unknown_codes(codes: pd.Series) -> pd.DataFrame:
    """Return taxonomy_code and rows (how many) of the codes, not blank, that are not of the NUCC set.

    Most rows first, then by code. Case and spaces around a code do not count.
    """
    given = _tidy(codes).replace("", pd.NA).dropna()
    unknown = given[~given.isin(load_taxonomy()["taxonomy_code"])].rename("taxonomy_code")
    counted = unknown.groupby(unknown).size().rename("rows").reset_index()
    return counted.sort_values(["rows", "taxonomy_code"], ascending=[False, True], ignore_index=True)


def required_providers(members: int, per_1000: Decimal | None) -> int | None:
    """Return the least whole number of providers for ``members``; None where none is set.

    Exact: floats would ask for an eighth provider where 7.000000000000001 comes of 7.
    """
    if per_1000 is None:
        return None
    part, whole = per_1000.as_integer_ratio()
    return -(-members * part // (1000 * whole))


@cache
def _read(name: str) -> pd.DataFrame:
    """Read a packaged table once, all text; callers copy it before they change it."""
    with files("sca_analysis").joinpath("reference", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype="str", keep_default_na=False)


def _packaged(name: str, kind: Kind) -> pd.DataFrame:
    """Return the packaged rows of one standard and kind, all text."""
    if name not in STANDARDS:
        raise ParameterError(f"No standard of that name is packaged; name one of {', '.join(STANDARDS)}.")
    if name == MEDICARE_ADVANTAGE:
        return _read(_PACKAGED[kind])
    rows = _read("state_standards")
    rows = rows[(rows["standard"] == name) & (rows["kind"] == kind)]
    return rows.drop(columns=["standard", "kind"]).reset_index(drop=True)


def _tidy(codes: pd.Series) -> pd.Series:
    """Return taxonomy codes as text, upper case, without spaces around them."""
    return codes.astype("string").str.strip().str.upper()


def _merge(
    packaged: pd.DataFrame,
    overrides: pd.DataFrame | None,
    key: list[str],
    names: Iterable[str] = (),
    *,
    replace: bool = False,
) -> pd.DataFrame:
    """Lay ``overrides`` over ``packaged``, specialties spelt as in ``names``."""
    if overrides is None:
        return packaged.copy()
    rows = overrides.reindex(columns=packaged.columns).astype(object)
    rows["source"] = rows["source"].where(rows["source"].notna(), _OVERRIDE_SOURCE)
    known = pd.Series(COUNTY_TYPES, [t.casefold() for t in COUNTY_TYPES])
    rows["county_type"] = rows["county_type"].astype("str").str.strip().str.casefold().map(known)
    if bad := int(rows["county_type"].isna().sum()):
        raise ExportError(
            f"county_type of {bad} override rows is not one of {', '.join(COUNTY_TYPES)}; correct the file."
        )
    if "specialty" in key:
        given = rows["specialty"].astype("str").str.split().str.join(" ")
        spelling = {s.casefold(): s for s in names}
        rows["specialty"] = [spelling.get(s.casefold(), s) for s in given]
    if bad := int(rows.duplicated(key).sum()):
        raise ExportError(f"{bad} override rows repeat an earlier {' and '.join(key)}; keep one of each.")
    if replace:
        return rows.reset_index(drop=True)
    return pd.concat([packaged.astype(object), rows]).drop_duplicates(key, keep="last", ignore_index=True)


def _decimal(value: Any) -> Decimal | None:
    """Return ``value`` as an exact decimal by way of its text, None if blank."""
    return None if pd.isna(value) or value == "" else Decimal(str(value))  # pd.NA == "" is no bool
