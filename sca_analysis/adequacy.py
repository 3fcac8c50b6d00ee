"""Everything that is said of a network's adequacy on a day: what notebook, report and command show.

In: an exports folder, a day and the criteria. Out: ``Adequacy``, whose tables are made when they are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from sca_analysis import (
    candidates,
    cells,
    compliance,
    demand,
    exception_file,
    hsd,
    listings,
    parity,
    remedies,
    servicing,
)
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports, read_table, to_pandas
from sca_analysis.gaps import Gaps, tabulate
from sca_analysis.network import Criteria, Network, choose_criteria, read_network
from sca_analysis.reach import list_places
from sca_analysis.standards import MEDICARE_ADVANTAGE, Kind, unknown_codes
from sca_analysis.tables import TRAVEL_TIMES
from sca_analysis.travel import DriveTimes, ask_osrm, estimated


@dataclass(frozen=True)
class Adequacy:
    """A network on a day, its gap table, and what lies beside it.

    Attributes
    ----------
    exports : Exports
    network : Network
    gaps : Gaps
    kind : {"provider", "facility"}
        Specialties or facility types.

    """

    exports: Exports
    network: Network
    gaps: Gaps
    kind: Kind = "provider"

    @cached_property
    def compliance(self) -> pd.DataFrame:
        """Cells met and failed: columns of ``tables.COMPLIANCE``."""
        return compliance.summarize_compliance(self.gaps.table)

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """The gap table as listed, as accepting and as seen, as ``compliance.compare_evidence``."""
        return compliance.compare_evidence(self.network, self.gaps)

    @cached_property
    def drives(self) -> pd.DataFrame:
        """The gap table by miles and by estimated minutes too, as ``compliance.compare_drive_times``."""
        return compliance.compare_drive_times(self.network, self.gaps)

    @cached_property
    def credited(self) -> pd.DataFrame:
        """The gap table without and with the telehealth credit, as ``compliance.set_beside``."""
        credited = tabulate(compliance.credit_telehealth(self.network))
        return compliance.set_beside({"without_credit": self.gaps, "with_credit": credited})

    @cached_property
    def listings(self) -> pd.DataFrame:
        """Each listing beside its claims: columns of ``tables.LISTINGS``."""
        return listings.judge_listings(self.exports, self.network)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """What is doubtful in the directory: columns of ``tables.LISTING_FINDINGS``."""
        return listings.find_faults(self.exports, self.network, self.listings)

    @cached_property
    def finding_counts(self) -> pd.DataFrame:
        """How many providers each kind of doubt concerns, as ``listings.count_faults``."""
        return listings.count_faults(self.findings, len(self.network.names))

    @cached_property
    def demand(self) -> pd.DataFrame:
        """Use by specialty and county: columns of ``tables.DEMAND``."""
        return demand.measure_demand(self.exports, self.network.as_of)

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The failing cells by patients affected and money, as ``demand.rank_gaps``."""
        return demand.rank_gaps(self.gaps.table, self.demand)

    @cached_property
    def parity(self) -> pd.DataFrame:
        """OON use of mental health against medical and surgical care: columns of ``tables.PARITY``."""
        return parity.measure_parity(self.exports, self.network.as_of)

    @cached_property
    def care(self) -> pd.DataFrame:
        """Who was seen by whom in the twelve months, as ``servicing.find_care``: rows on members, internal."""
        return servicing.find_care(self.exports, self.network.as_of, self.kind)

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """Providers that are not in the network and might be, as ``candidates.list_candidates``."""
        return candidates.list_candidates(self.exports, self.network.as_of, self.kind)

    @cached_property
    def fix(self) -> pd.DataFrame:
        """The fewest providers seen in claims whose contracting closes each gap: columns of ``tables.FIX``."""
        return remedies.close_gaps(self.network, self.candidates, self.gaps.table)

    @cached_property
    def servicing(self) -> pd.DataFrame:
        """Whom each provider serves and what is lost if it leaves: columns of ``tables.SERVICING``."""
        return servicing.serve(self.network, self.care)

    @cached_property
    def exceptions(self) -> pd.DataFrame:
        """Providers nearby of each failing cell that are not contracted: columns of ``tables.EXCEPTIONS``."""
        return exception_file.list_exceptions(self.network, self.candidates, self.gaps.table, self.care)

    def _of(self, kind: Kind) -> Network:
        """Return the network of a kind: its own, or read again under the standard of Medicare Advantage."""
        if kind == self.kind:
            return self.network
        criteria = choose_criteria(self.exports, MEDICARE_ADVANTAGE, kind)
        return read_network(self.exports, self.network.as_of, criteria, kind=kind)

    @property
    def notes(self) -> list[str]:
        """What the gap table leaves out or assumes, one sentence each; counts of members are exact: internal."""
        gaps, criteria = self.gaps, self.network.criteria
        notes = [criteria.note] if criteria.note else []
        if gaps.members_not_placed:
            notes.append(f"{gaps.members_not_placed} of {gaps.members} members could not be placed in a county.")
        if gaps.pairs_estimated:
            notes.append(
                f"{gaps.pairs_estimated:,} of {gaps.pairs:,} pairs of home and provider have no driving time given: "
                "theirs is estimated."
            )
        unknown = unknown_codes(to_pandas(self.exports.table("directory").select("taxonomy_code"))["taxonomy_code"])
        if len(unknown):
            codes = ", ".join(f"{r.taxonomy_code} ({r.rows})" for r in unknown.head(10).itertuples())
            notes.append(f"Taxonomy codes of the directory that NUCC does not have, with their rows: {codes}.")
        return notes

    def members_behind(self, cell: str) -> pd.DataFrame:
        """Return the members of a county, nearest provider and whether it is in range: internal.

        Parameters
        ----------
        cell : str
            County and specialty, as ``23029:Psychiatry``.

        Raises
        ------
        ParameterError
            If the gap table has no such row.

        """
        fips, _, specialty = cell.partition(":")
        table = self.gaps.table
        row = table[
            (table["county_fips"] == fips.strip()) & (table["specialty"].str.casefold() == specialty.strip().casefold())
        ]
        if row.empty:
            raise ParameterError(
                f"{cell!r} is no row of the gap table: write county FIPS and specialty, such as 23029:Psychiatry."
            )
        return servicing.members_behind(self.exports, self.network, fips.strip(), row["specialty"].iloc[0])

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name. They hold small counts: for the plan itself, not for sharing."""
        return {
            "gaps": self.gaps.table,
            "compliance": self.compliance,
            "evidence": self.evidence,
            "drive_times": self.drives,
            "telehealth_credit": self.credited,
            "gaps_by_demand": self.ranked,
            "demand": self.demand,
            "parity": self.parity,
            "listings": self.listings,
            "listing_findings": self.findings,
            "fix": self.fix,
            "servicing": self.servicing,
            "exceptions": self.exceptions,
            "hsd_providers": hsd.provider_table(self.exports, self._of("provider")),
            "hsd_facilities": hsd.facility_table(self.exports, self._of("facility")),
        }


def measure_adequacy(
    exports: Exports,
    as_of: date,
    criteria: Criteria | None = None,
    *,
    drive_times: str | None = None,
    kind: Kind = "provider",
) -> Adequacy:
    """Return what is said of the adequacy of an exports folder's network on a day.

    Parameters
    ----------
    exports : Exports
    as_of : date
    criteria : Criteria, optional
        As ``network.choose_criteria``, which is asked if not given.
    drive_times : str, optional
        ``estimate``; a file of ``tables.TRAVEL_TIMES``; or the address of an OSRM server of the user's. Without,
        the exports' own ``travel_times`` or, without those either, miles alone decide.
    kind : {"provider", "facility"}
        Specialties or facility types.

    """
    network = read_network(exports, as_of, criteria, kind=kind)
    if drive_times:
        network = network.driven(find_drive_times(network, drive_times))
    return Adequacy(exports, network, tabulate(network), kind)


def change_network(adequacy: Adequacy, leaving: Sequence[str] = (), joining: Sequence[str] = ()) -> pd.DataFrame:
    """Return every row of the gap table that changes if providers leave or join: columns of ``tables.CHANGES``.

    Parameters
    ----------
    adequacy : Adequacy
    leaving, joining : sequence of str
        NPIs: of providers listed in the network, and of candidates with a known place.

    Raises
    ------
    ParameterError
        If one is not listed, or is no candidate.

    """
    network = adequacy.network
    listed = set(network.rows["npi"])
    for npi in leaving:
        if npi not in listed:
            raise ParameterError(f"{npi} is not listed in the network on {network.as_of}: it cannot leave it.")
    if joining:
        known = adequacy.candidates
        placed = set(known.loc[known["has_place"], "npi"])
        for npi in joining:
            if npi not in placed:
                raise ParameterError(
                    f"{npi} cannot join: it is in the network, not seen in claims, directory or registry, or has no "
                    "known place."
                )
        network = cells.join(network, known[known["npi"].isin(joining)])
    return remedies.compare(adequacy.gaps, tabulate(network.without(leaving)))


def list_points(adequacy: Adequacy, specialty: str) -> pd.DataFrame:
    """Return where providers of a specialty are: latitude, longitude [degrees], providers and kind.

    ``kind`` is usable, not_seen (usable, without a claim in the twelve months), closed, or out_of_network (seen
    in claims, with a known place); a provider with several rows at a point counts once, by the first of these.
    """
    rows = adequacy.network.rows
    is_meant = (rows["specialty"] == specialty) & rows["latitude"].notna()
    rows = rows[is_meant & adequacy.network.is_for_members(rows)]
    kind = np.select([rows["is_closed"], rows["is_seen"]], ["closed", "usable"], "not_seen")
    others = adequacy.candidates
    is_meant = (others["specialty"] == specialty) & others["has_place"] & (others["source"] == "claims")
    points = pd.concat([rows.assign(kind=kind), others[is_meant].assign(kind="out_of_network")])
    order = pd.Categorical(points["kind"], ["usable", "not_seen", "closed", "out_of_network"], ordered=True)
    where = ["latitude", "longitude"]
    first = points.assign(order=order).sort_values("order").drop_duplicates(["npi", *where])
    return first.groupby([*where, "kind"], as_index=False).agg(providers=("npi", "nunique"))


def find_drive_times(network: Network, given: str) -> DriveTimes:
    """Return the drive times that a word, a file or a server's address means; see `measure_adequacy`.

    Raises
    ------
    ExportError
        If the file or the server's answer cannot be used.

    """
    if given == "estimate":
        return estimated()
    if given.startswith(("http://", "https://")):
        return ask_osrm(given, list_places(network))
    path = Path(given)
    return DriveTimes(f"driving minutes of {path.name}", minutes=read_table(path, TRAVEL_TIMES))
