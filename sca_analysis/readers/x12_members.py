"""X12 837 as ``members``: the patients whom its claims name, one row a member.

The unit is the claim (CLM): a row stands for all claims of one ``member_id``, which is made as ``x12_claims`` makes
it, so that claims and members agree. ``zip`` (N4) and ``birth_year`` (DMG02) are those of the newest transaction
that says them, and in it of the last claim. A claim without the patient's identifier is a row of its own. Of a
member in several files the row of the newest file counts; those of the others are set aside as duplicates.

What an 837 cannot say stays blank: network, county and days of coverage, so that everyone counts as covered
always, and people without claims are left out. Set aside by the place of their CLM: ``malformed_segment`` and
what ``x12`` lists, where the damage stands before the lines of the claim.
"""

from functools import partial
from pathlib import Path

import duckdb

from sca_analysis.readers import x12_claims
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.readers.x12 import Guide, walk
from sca_analysis.readers.x12_claims import FORMAT, Claim, HierarchyState
from sca_analysis.readers.x12_rows import is_date, open_rows, raw_of, refuse_options
from sca_analysis.tables import CLAIMS, MEMBERS, Table

COLUMNS = ("member_id", "zip", "birth_year", "day")


def read_837(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map an 837 onto ``claims``, or its patients onto ``members``; see ``x12_claims`` and the module.

    Raises
    ------
    ExportError
        If the file is no X12 837, or exports.yaml asks for what is not here.

    """
    if table.name == CLAIMS.name:
        return x12_claims.read_claims(con, path, table, source, work)
    refuse_options(table, source, FORMAT, (CLAIMS, MEMBERS))
    with open_rows(work, COLUMNS) as (rows, write):
        state = HierarchyState(write, on_claim=_write)
        walk(path, source.encoding, _guide(state), state)
    scan = f"read_parquet({quote(str(rows))})"
    newest = "arg_max({0}, (day, place)) FILTER ({0} <> '')"
    known = (
        f"SELECT member_id, {newest.format('zip')} AS zip, {newest.format('birth_year')} AS birth_year, "
        f"min(place) AS place, count(*) AS claims, max(day) AS day FROM {scan} WHERE member_id <> '' GROUP BY member_id"
    )
    unknown = f"SELECT member_id, zip, birth_year, place, 1 AS claims, day FROM {scan} WHERE member_id = ''"
    relation = f"(SELECT * FROM ({known} UNION ALL {unknown}) ORDER BY place)"
    counted = {"stands_for": name("claims"), "reference": name("day")}
    return raw_of(path, table, source, FORMAT, relation, state, COLUMNS[:3], **counted)


def _guide(state: HierarchyState) -> Guide:
    handlers = x12_claims.handlers_of(state) | dict.fromkeys(("LX", "SV1", "SV2", "SV3"), partial(_line, state))
    return Guide("837", "HC", handlers, x12_claims.PASSED, partial(_lose, state), partial(x12_claims.end, state))


def _line(state: HierarchyState, e: list[str], place: int) -> None:
    if state.claim:
        state.claim.lines += 1


def _lose(state: HierarchyState, reason: str, place: int) -> None:
    """Note that a segment was lost; in the lines of a claim it does not matter who the patient is."""
    if not (state.claim and state.claim.lines) or reason == "segment_too_long":
        x12_claims.lose(state, reason, place)


def _write(state: HierarchyState, claim: Claim) -> None:
    """Write the patient of a claim."""
    state.units += 1
    patient = state.patient or state.subscriber
    day = state.date if is_date(state.date) else state.group_date
    if claim.spoilt:
        state.malformed.append(Malformed(claim.place, claim.spoilt))
    else:
        year = patient.born[:4] if is_date(patient.born) else ""
        state.write((patient.id, patient.more, year, day, claim.place))
