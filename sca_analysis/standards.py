"""Which standard is in force: specialties, maximum distances, county types, taxonomy roll-up.

The packaged tables hold facts of 42 CFR 422.116, CMS's yearly reference file and the NUCC code
set, each row with its source. A plan under other rules (45 CFR 156.230, a state's) hands in its
own rows as ``overrides``: the standard is data, not code.
"""

import math
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import pandas as pd

from sca_analysis.errors import ExportError

#: 42 CFR 422.116(c), densest first.
COUNTY_TYPES = ("Large Metro", "Metro", "Micro", "Rural", "CEAC")

_EXACT = ("required_share", "providers_per_1000", "telehealth_credit")
_OVERRIDE_SOURCE = "standards or counties file of the exports folder"


def load_standards(
    overrides: pd.DataFrame | None = None,
    *,
    replace: bool = False,
    kind: Literal["provider", "facility"] = "provider",
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

    Returns
    -------
    DataFrame
        One row per specialty and county type, packaged rows first. Distances [miles] and times
        [minutes] as floats, shares and providers per 1,000 members as Decimal (None = not set).

    Raises
    ------
    ExportError
        If a county type is none of ``COUNTY_TYPES`` or a row of ``overrides`` repeats.

    """
    packaged = _read("standards" if kind == "provider" else "facility_standards")
    rows = _merge(packaged, overrides, ["specialty", "county_type"], replace=replace)
    for column in ("max_miles", "max_minutes"):
        rows[column] = pd.to_numeric(rows[column].replace("", None)).astype("float64")
    for column in _EXACT:
        rows[column] = pd.Series([_decimal(v) for v in rows[column]], rows.index, dtype=object)
    return rows


def load_counties(overrides: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return county_fips, county_name, state, county_type and source of every county.

    Rows of ``overrides`` take the place of the packaged row of the same county, or are added;
    errors are those of `load_standards`. Guam and the Western District of American Samoa are
    absent: CMS designates their villages, and not all alike.
    """
    return _merge(_read("counties"), overrides, ["county_fips"])


def load_county_names() -> pd.DataFrame:
    """Return county_name, state, county_fips and source of CMS's rows that are no county of ours by name.

    A name may stand for several counties, and several names for parts of one.
    """
    return _read("county_names").copy()


def load_taxonomy() -> pd.DataFrame:
    """Return taxonomy_code, specialty (NA = outside the standard), entity and source of every NUCC code.

    ``entity`` is individual or group_or_facility; an organisation is never counted as a person.
    """
    rows = _read("taxonomy").copy()
    rows["specialty"] = rows["specialty"].replace("", None)
    return rows


def specialty_of(codes: pd.Series) -> pd.Series:
    """Return the specialty that each NUCC taxonomy code counts for; NA if blank, unknown or outside."""
    specialty = load_taxonomy().set_index("taxonomy_code")["specialty"]
    return codes.astype("string").str.strip().str.upper().map(specialty).astype("string")


def required_providers(members: int, per_1000: Decimal | None) -> int | None:
    """Return the least whole number of providers for ``members``; None where none is set.

    Exact: floats would ask for an eighth provider where 7.000000000000001 comes of 7.
    """
    if per_1000 is None:
        return None
    return math.ceil(Fraction(members) * Fraction(per_1000) / 1000)


@cache
def _read(name: str) -> pd.DataFrame:
    """Read a packaged table once, all text; callers copy it before they change it."""
    with files("sca_analysis").joinpath("reference", f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype="str", keep_default_na=False)


def _merge(
    packaged: pd.DataFrame, overrides: pd.DataFrame | None, key: list[str], *, replace: bool = False
) -> pd.DataFrame:
    """Lay ``overrides`` over ``packaged``, with the spelling of the packaged names."""
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
        spelling = {s.casefold(): s for s in packaged["specialty"]}
        rows["specialty"] = [spelling.get(s.casefold(), s) for s in given]
    if bad := int(rows.duplicated(key).sum()):
        raise ExportError(f"{bad} override rows repeat an earlier {' and '.join(key)}; keep one of each.")
    if replace:
        return rows.reset_index(drop=True)
    return pd.concat([packaged.astype(object), rows]).drop_duplicates(key, keep="last", ignore_index=True)


def _decimal(value: Any) -> Decimal | None:
    """Return ``value`` as an exact decimal by way of its text, None if blank."""
    return None if pd.isna(value) or value == "" else Decimal(str(value))  # pd.NA == "" is no bool
