"""``nppes``: CMS's registry of providers, the monthly or weekly NPPES dissemination file (329 or 330 columns).

- directory: active providers at their practice location from the day of enumeration, with the primary taxonomy
  (the code whose switch is Y, else the first). NPPES knows no network, so every row counts for every network:
  use it beside a plan's directory with care, or as ``providers``. Deactivated NPIs are set aside.
- providers: the same, with ``deactivation_date``; CMS blanks all else of a deactivated NPI, so that it is set aside
  for want of a ZIP unless ``rules: {"missing:zip": warn}``.

An NPI that was reactivated on or after its deactivation is active. Organisations stand under their legal business
name. The file is read by DuckDB alone, column by column as needed, so that its 9 GB stream through.
"""

from functools import partial

from sca_analysis.readers.presets import Layout, read_preset, recognise

_CODES = [f"[Healthcare Provider Taxonomy Code_{n}]" for n in range(1, 16)]
_PRIMARY = " ".join(
    f"WHEN [Healthcare Provider Primary Taxonomy Switch_{n}] = 'Y' THEN {code}" for n, code in enumerate(_CODES, 1)
)
_TAXONOMY = f"coalesce(CASE {_PRIMARY} END, {', '.join(_CODES)})"
_NAME = (
    "coalesce([Provider Organization Name (Legal Business Name)], nullif(concat_ws(' ', [Provider First Name], "
    "[Provider Middle Name], [Provider Last Name (Legal Name)], [Provider Name Suffix Text], "
    "[Provider Credential Text]), ''))"
)
_DAY = "try_strptime({}, '%m/%d/%Y')"
_REACTIVATED = f"coalesce({_DAY.format('[NPI Reactivation Date]')} >= {_DAY.format('[NPI Deactivation Date]')}, false)"
_ZIP = "[Provider Business Practice Location Address Postal Code]"
_MARKS = (
    "NPI",
    "Entity Type Code",
    "Replacement NPI",
    "Provider Business Practice Location Address Postal Code",
    "NPI Deactivation Date",
    "Healthcare Provider Taxonomy Code_1",
)

LAYOUTS = (
    Layout(
        "directory",
        _MARKS,
        {
            "npi": "[NPI]",
            "provider_name": _NAME,
            "taxonomy_code": _TAXONOMY,
            "zip": _ZIP,
            "effective_date": "[Provider Enumeration Date]",
        },
        date_format=("%m/%d/%Y",),
        where=f"[NPI Deactivation Date] IS NULL OR {_REACTIVATED}",
        selector="NPI Deactivation Date",
    ),
    Layout(
        "providers",
        _MARKS,
        {
            "npi": "[NPI]",
            "provider_name": _NAME,
            "taxonomy_code": _TAXONOMY,
            "zip": _ZIP,
            "deactivation_date": f"CASE WHEN NOT {_REACTIVATED} THEN [NPI Deactivation Date] END",
        },
        date_format=("%m/%d/%Y",),
    ),
)

read_nppes = partial(read_preset, format_name="nppes", layouts=LAYOUTS)
recognise_nppes = partial(recognise, layouts=LAYOUTS)
