"""CMS's HSD tables (health service delivery) of a network: which contracted providers count for which county.

In: the exports and a ``Network``. Out: the provider and the facility table in the columns of CMS's upload, one row a
county, specialty, provider and place. A provider stands in every county of which at least one member is within the
standard's distance (42 CFR 422.116(a)(2)(i)), wherever the provider is.

The columns are those of the MA Provider and MA Facility tables of CMS's "Health Service Delivery Table Upload
Instructions" (CMS-10636, OMB 0938-1346; CMS-10237, OMB 0938-0935) and of the table templates for Medicare-Medicaid
Plans. Of those texts the parts on columns could not be read here: names and order follow public lists of them, so
compare with the template that HPMS offers for the year before an upload.
"""

from collections.abc import Iterator

import pandas as pd

from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.network import Network
from sca_analysis.reach import find_pairs, group_homes, list_rows
from sca_analysis.standards import Kind, load_counties, load_hsd_codes

_PLACE = ("Provider Street Address", "Provider City", "Provider State Code", "Provider Zip Code")
_COUNTY, _NPI = "SSA State/County Code", "National Provider Identifier (NPI) Number"

#: Columns A, B, C … of the MA Provider table.
PROVIDER_COLUMNS = (
    _COUNTY,
    "Name of Physician or Mid-Level Practitioner",
    _NPI,
    "Specialty",
    "Specialty Code",
    "Contract Type",
    *_PLACE,
    "Medical Group Affiliation",
    "Model Contract Amendment",
)
#: Columns A, B, C … of the MA Facility table.
FACILITY_COLUMNS = (
    _COUNTY,
    "Facility or Service Type",
    "Specialty Code",
    _NPI,
    "# of Staffed, Medicare-Certified Beds",
    "Facility Name",
    *_PLACE,
    "Model Contract Amendment",
)
_HELD = {
    _COUNTY,
    _NPI,
    "Name of Physician or Mid-Level Practitioner",
    "Facility Name",
    "Specialty",
    "Facility or Service Type",
    "Specialty Code",
    "Provider Zip Code",
}
# CMS's code of each part of primary care (S03 is their sum and no code of a row), by the beginning of NUCC codes:
# the longest that fits. No code says primary care of a physician assistant (005). Pediatrics has no part of its own
# there; general practice is the nearest.
_PRIMARY_CARE = {
    "207QG0300X": "004",
    "207RG0300X": "004",
    "207Q": "002",
    "207R": "003",
    "208D": "001",
    "2080": "001",
    "363L": "006",
}


def provider_table(exports: Exports, network: Network) -> pd.DataFrame:
    """Return the MA Provider table of a network.

    Parameters
    ----------
    exports : Exports
    network : Network
        Of kind ``provider``: its criteria name specialties of 42 CFR 422.116(b)(1).

    Returns
    -------
    DataFrame
        ``PROVIDER_COLUMNS``, all text, sorted by county, specialty code, NPI and ZIP. A provider at two ZIP codes
        has a row for each that is in range; one who is closed to new patients is contracted all the same. The
        columns of ``blank_columns()`` are blank: exports do not hold them. The county code is blank where CMS's
        reference file has none, the specialty code where the standard's specialty is none of CMS's.

    Raises
    ------
    ParameterError
        If the network is of kind ``facility``.

    """
    table = _table(exports, network, "provider")
    named = {"Name of Physician or Mid-Level Practitioner": "provider_name", "Specialty": "specialty"}
    return _lay_out(table, PROVIDER_COLUMNS, named)


def facility_table(exports: Exports, network: Network) -> pd.DataFrame:
    """Return the MA Facility table of a network of kind ``facility``; see `provider_table`.

    Only types that NUCC codes identify can appear (``standards.facility_types_without_code`` lists the others).
    The directory numbers no beds, which CMS counts for acute inpatient hospitals (42 CFR 422.116(e)).
    """
    table = _table(exports, network, "facility")
    return _lay_out(
        table, FACILITY_COLUMNS, {"Facility Name": "provider_name", "Facility or Service Type": "specialty"}
    )


def blank_columns(kind: Kind = "provider") -> tuple[str, ...]:
    """Return the columns of the table that exports do not hold, which have to be filled in before an upload."""
    columns = PROVIDER_COLUMNS if kind == "provider" else FACILITY_COLUMNS
    return tuple(c for c in columns if c not in _HELD)


def _table(exports: Exports, network: Network, kind: Kind) -> pd.DataFrame:
    """Return county, specialty, code, NPI, name and ZIP of the rows in range."""
    codes = load_hsd_codes()
    other = set(codes.loc[codes["kind"] != kind, "specialty"])
    if other & set(network.standard["specialty"]):
        raise ParameterError(f"The {kind} table needs a network of kind {kind}: read it with kind={kind!r}.")
    mine = codes[(codes["kind"] == kind) & (codes["specialty"] != "Primary Care")]
    code_of = mine.set_index("specialty")["code"]
    parts = [network.rows.loc[rows].assign(county_fips=fips, specialty=s) for fips, s, rows in _in_range(network)]
    found = pd.concat(parts, ignore_index=True) if parts else network.rows[:0]
    counties = load_counties(exports.overrides("counties")).set_index("county_fips")["ssa_code"]
    is_primary = (found["specialty"] == "Primary Care").fillna(False).astype(bool)
    code = found["specialty"].map(code_of).where(~is_primary, found["taxonomy_code"].map(_primary_care_code))
    table = pd.DataFrame(
        {
            "county": found["county_fips"].map(counties),
            "code": code,
            "specialty": found["specialty"],
            "npi": found["npi"],
            "zip": found["zip"],
            "provider_name": found["npi"].map(network.names),
        }
    )
    columns = ["county", "code", "npi", "zip"]
    return table.fillna("").astype("str").drop_duplicates([*columns, "specialty"]).sort_values(columns)


def _in_range(network: Network) -> Iterator[tuple[str, str, pd.Index]]:
    """Yield each county and specialty with the numbers of the directory rows in range of a member there."""
    listings = list_rows(network, network.standard["specialty"].unique())
    for county in group_homes(network):
        for line in county.lines:
            listing = listings[line["specialty"]]
            rows = find_pairs(county, listing, line, network.drive_times).row
            if len(rows):
                yield county.fips, line["specialty"], pd.Index(listing.rows[rows]).unique()


def _primary_care_code(taxonomy_code: object) -> str:
    """Return CMS's code of the part of primary care that a NUCC code belongs to; blank if none."""
    fits = [start for start in _PRIMARY_CARE if str(taxonomy_code).startswith(start)]
    return _PRIMARY_CARE[max(fits, key=len)] if fits else ""


def _lay_out(table: pd.DataFrame, columns: tuple[str, ...], named: dict[str, str]) -> pd.DataFrame:
    source = {_COUNTY: "county", _NPI: "npi", "Specialty Code": "code", "Provider Zip Code": "zip", **named}
    return pd.DataFrame({c: table[source[c]] if c in source else "" for c in columns}, dtype="str").reset_index(
        drop=True
    )
