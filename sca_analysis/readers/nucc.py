"""The NUCC health care provider taxonomy as NUCC publishes it (nucc_taxonomy_NNN.csv), as reference of a folder.

``reference: {taxonomy: nucc_taxonomy_251.csv}`` in exports.yaml makes known the codes that the packaged release
lacks. A release is cumulative, so it says itself which known codes a new one stands beside: where all known codes
of its grouping and classification count for one specialty, or for none, so does it. Where they differ, as in internal
medicine, it is known but counts for no specialty. Of the 874 codes of release 24.0, each taken as if it were new,
542 are told right so, 4 wrong (such as hospice medicine within obstetrics) and 328 are left open.
"""

import csv
import re
from collections import defaultdict
from pathlib import Path

import pandas as pd

from sca_analysis import standards
from sca_analysis.errors import ExportError

_CODE = re.compile(r"[0-9A-Z]{9}X")
_COLUMNS = ("Code", "Grouping", "Classification")


def read_new_codes(path: Path) -> pd.DataFrame:
    """Return the codes of a NUCC release that are not packaged.

    Returns
    -------
    DataFrame
        Columns as of ``standards.load_taxonomy``: taxonomy_code, specialty (None = outside the standard, or left
        open), entity, source.

    Raises
    ------
    ExportError
        If the file is not as NUCC publishes it.

    """
    rows = _read(path)
    packaged = standards.load_packaged_taxonomy().set_index("taxonomy_code")
    specialties, entities = packaged["specialty"].to_dict(), packaged["entity"].to_dict()
    beside: defaultdict[tuple[str, str], set[str | None]] = defaultdict(set)
    kinds: dict[str, str] = {}  # a grouping holds persons or organisations, not both
    for row in rows:
        if row["Code"] in specialties:
            beside[row["Grouping"], row["Classification"]].add(specialties[row["Code"]])
            kinds[row["Grouping"]] = entities[row["Code"]]
    found = []
    for row in rows:
        if row["Code"] not in specialties:
            entity = "group_or_facility" if row.get("Section") == "Non-Individual" else "individual"
            siblings = beside[row["Grouping"], row["Classification"]]
            [specialty] = siblings if len(siblings) == 1 else [None]
            source = f"{path.name}, as the codes of its classification"
            found.append((row["Code"], specialty, kinds.get(row["Grouping"], entity), source))
    return pd.DataFrame(found, columns=["taxonomy_code", "specialty", "entity", "source"], dtype=object)


def _read(path: Path) -> list[dict[str, str]]:
    """Return the rows of the file, their values trimmed."""
    try:
        data = path.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252")  # as NUCC publishes it
        table = csv.DictReader(text.splitlines(keepends=True), strict=True)
        rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in table]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ExportError(f"{path.name} cannot be read as a NUCC code set: download it again from NUCC.") from error
    absent = [c for c in _COLUMNS if c not in (table.fieldnames or ())]
    if absent or not rows:
        what = f"it has no column {absent[0]}" if absent else "it has no codes"
        raise ExportError(f"{path.name} is no NUCC code set as published: {what}; correct reference.taxonomy.")
    wrong = [n for n, row in enumerate(rows, start=2) if not _CODE.fullmatch(row["Code"])]
    if wrong:
        raise ExportError(f"{path.name} record {wrong[0]}: no taxonomy code, as in {len(wrong)} records; correct them.")
    return rows
