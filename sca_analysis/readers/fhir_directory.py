"""FHIR Da Vinci PDex Plan-Net (R4) as the directory.

A PractitionerRole lists a practitioner, an OrganizationAffiliation its participating organisation: one
row for each of its locations, networks and specialties. What it refers to is looked up in all files
that the same glob of ``exports.yaml`` gives (``plan-net/*.ndjson``), or in the file itself. Every other
resource is a row that is not selected, by its ``resource_type``, so that each is accounted for.

- npi, provider_name: of the Practitioner or organisation. A role without a practitioner has no NPI.
- taxonomy_code: NUCC codes of ``specialty``, else of its HealthcareServices, else of the qualifications.
- zip, latitude, longitude, location_id: of ``location``, else of the locations of its HealthcareServices.
  The address of an organisation is none of a location: without one the row lacks its ZIP.
- network_id: the id that ``network-reference`` or ``network`` refers to. A practitioner's participation may also be
  through the role at an organisation (plannet-PractitionerRole): a role without a network of its own takes those of
  the affiliations in which its ``organization`` participates, at the places that the affiliation lists (or at all),
  as long as both periods last. ``network_source`` says which: role or organization. Nothing in a role refers to
  an InsurancePlan; ``insurance_plans`` names, by their ids, the plans that list the row's network.
- accepting_new_patients: ``newpatients`` of the role, else of its HealthcareServices, else of the location,
  what is said of the network before what is said of all. newpt is yes; nopt, existptonly and existptfam are no.
- telehealth: a HealthcareService of the row is virtual. languages: of the Practitioner and the services.
- effective_date, termination_date: ``period``; a year or month means its first day, or its last.

Set aside: ``no_network`` (no network is named, which would match every network; ``constants:
{network_id: …}`` says which one it is), ``inactive`` (``active: false`` without a period that ended, or of
what it refers to), ``too_many_listings``, and damage. A listing is no proof that a provider sees patients.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from sca_analysis.readers.fhir import Found, Json, read_resources, siblings, types_in
from sca_analysis.readers.fhir_references import (
    NUCC,
    accepting_of,
    codes_of,
    codes_of_each,
    index,
    key_of,
    keys_of,
    name_of,
    networks_of,
    nodes,
    npi_of,
    period_of,
    raw_of,
    refuse_options,
    text,
    write_rows,
)
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.tables import DIRECTORY, Table

_LISTING = ("PractitionerRole", "OrganizationAffiliation")
_REFERRED = frozenset(
    ("Practitioner", "Organization", "Location", "HealthcareService", "OrganizationAffiliation", "InsurancePlan")
)
_SEEN = _REFERRED | {*_LISTING, "Endpoint"}
_BATCH = 25_000  # resources
#: Most listings of one role or affiliation: its locations times its networks times its specialties.
MAX_LISTINGS = 1_000_000
#: Columns beside the canonical ones.
# fmt: off
OWN = (
    "resource_type", "resource_id", "network_name", "network_source", "insurance_plans", "organization_npi",
    "organization_name",
)
# fmt: on
_DATES = ("effective_date", "termination_date")
_PLAIN = ("resource_type", "resource_id", "npi", "provider_name", "provider", "organization", "is_closed", *_DATES)
_LISTS = ("locations", "networks", "taxonomy", "services", "accepting")
_SCHEMA = pa.schema(
    [("file", pa.int64()), ("place", pa.int64())]
    + [(n, pa.string()) for n in _PLAIN]
    + [(n, pa.list_(pa.string())) for n in _LISTS]
)


def read_directory(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map a file of Plan-Net resources onto ``directory``; see the module.

    Raises
    ------
    ExportError
        If the table is another one, exports.yaml asks for what is not here, or the file is no FHIR in JSON.

    """
    return read_all(con, [path], table, source, work)


def read_all(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], table: Table, source: Source, work: Path) -> Raw:
    """Map several files, in their order, as ``read_directory`` one."""
    refuse_options(table, DIRECTORY, source, "fhir-plan-net")
    malformed: list[Malformed] = []
    found = (row | {"file": n} for n, path in enumerate(paths) for row in _rows(path, malformed, n))
    rows = write_rows(_SCHEMA, found, work)
    scan = f"read_parquet({quote(str(rows))}, file_row_number=true)"
    listing = f"resource_type IN ({', '.join(map(quote, _LISTING))})"
    [(total, listings)] = con.execute(f"SELECT count(*), count(*) FILTER ({listing}) FROM {scan}").fetchall()
    looked_up = index(con, siblings(paths[0], source.path) if listings else [], _REFERRED, work)
    given = "network_id" in source.constants or "network_id" in source.columns
    results = []
    for start in range(0, max(total, 1), _BATCH):  # lists that are put together stay in memory: some at a time
        results.append(quote(str(work / f"{rows.stem}-{start}.parquet")))
        batch = f"(SELECT * FROM {scan} WHERE file_row_number >= {start} AND file_row_number < {start + _BATCH})"
        con.execute(f"COPY ({_list(batch, listing, looked_up, needs_network=not given)}) TO {results[-1]}")
    listed = f"read_parquet([{', '.join(results)}])"
    broken = con.execute(f"SELECT place, reason, file FROM {listed} WHERE reason IS NOT NULL").fetchall()
    malformed += [Malformed(place, reason, file=file) for place, reason, file in broken]
    good = f"(SELECT * FROM {listed} WHERE reason IS NULL)"
    several = len(paths) > 1
    return raw_of(paths[0], table, source, "fhir-plan-net", good, listing, OWN, malformed, several=several)


def recognise(head: bytes, name: str) -> bool:
    """Tell by its first bytes whether a file listed under ``directory`` holds resources of Plan-Net."""
    del name
    return bool(types_in(head) & _SEEN)


def _rows(path: Path, malformed: list[Malformed], file: int = 0) -> Iterator[dict[str, object]]:
    """Yield one row a resource, and put what is none into ``malformed``."""
    for found in read_resources(path):
        if found.reason:
            malformed.append(Malformed(found.place, found.reason, file=file))
        elif found.body["resourceType"] in _LISTING:
            yield _role(found)
        else:
            yield {"place": found.place, "resource_type": found.body["resourceType"]}


def _role(found: Found) -> dict[str, object]:
    """The columns of a role or affiliation, still with its references."""
    role = found.body
    kind = text(role, "resourceType")
    provider = role.get("practitioner" if kind == "PractitionerRole" else "participatingOrganization")
    own = _contained(role, provider)
    start, end = period_of(role)
    return {
        "place": found.place,
        "resource_type": kind,
        "resource_id": text(role, "id"),
        "npi": npi_of(provider) or npi_of(own),
        "provider_name": name_of(own) or text(provider, "display"),
        "provider": key_of(provider),
        "organization": key_of(role.get("organization")),
        "is_closed": "true" if role.get("active") is False and not end else "",
        "effective_date": start,
        "termination_date": end,
        "locations": keys_of(role, "location"),
        "networks": networks_of(role),
        "taxonomy": codes_of(role, "specialty", NUCC) or codes_of_each(nodes(own, "qualification"), "code"),
        "services": keys_of(role, "healthcareService"),
        "accepting": accepting_of(role),
    }


def _contained(role: Json, reference: object) -> Json:
    given = text(reference, "reference")
    own = [c for c in nodes(role, "contained") if given.startswith("#") and text(c, "id") == given[1:]]
    return own[0] if own else {}


def _list(rows: str, listing: str, looked_up: str, *, needs_network: bool) -> str:
    """SQL for one row a listing, with the reason why it is none; and one for every other resource."""
    # the services of a role, together
    served = (
        f"SELECT u.file_row_number, list_distinct(flatten(list(s.taxonomy))) AS taxonomy, "
        "list_distinct(flatten(list(s.locations))) AS locations, flatten(list(s.accepting)) AS accepting, "
        "max(nullif(s.delivery, '')) AS delivery, string_agg(nullif(s.languages, ''), ';') AS languages "
        "FROM (SELECT file_row_number, unnest(services) AS service FROM numbered) u "
        f"JOIN {looked_up} s ON s.key = u.service GROUP BY ALL"
    )
    # lists to unfold: the role's own, else what its services say, else the provider's; at least one of each
    unfolded = (
        "SELECT r.* EXCLUDE (locations, networks, taxonomy, services), s.accepting AS service_accepting, "
        "s.delivery, s.languages AS service_languages, "
        "p.npi AS own_npi, p.name AS own_name, p.active AS provider_active, p.languages AS own_languages, "
        f"{_first('r.locations', 's.locations')} AS l, {_first('r.networks')} AS w, "
        f"{_first('r.taxonomy', 's.taxonomy', 'p.taxonomy')} AS t, "
        "coalesce(m.most, 1) AS most_networks "
        f"FROM numbered r LEFT JOIN served s USING (file_row_number) LEFT JOIN {looked_up} p ON p.key = r.provider "
        "LEFT JOIN (SELECT organization, count(*) AS most FROM held GROUP BY organization) m USING (organization)"
    )
    held = (
        "SELECT target AS organization, unnest(networks) AS network, locations AS places, "
        f"nullif(starts, '') AS starts, nullif(ends, '') AS ends FROM {looked_up} "
        "WHERE starts_with(key, 'OrganizationAffiliation/') AND target <> '' AND (active = 'true' OR ends <> '')"
    )
    plans = (
        "SELECT network, string_agg(DISTINCT id, ';' ORDER BY id) AS ids FROM ("
        f"SELECT id, unnest(networks) AS network FROM {looked_up} "
        "WHERE starts_with(key, 'InsurancePlan/') AND active = 'true') GROUP BY network"
    )
    few = f"len(l) * greatest(len(w), most_networks) * len(t) <= {MAX_LISTINGS}"
    located = f"SELECT * EXCLUDE (l), unnest(l) AS at_location FROM unfolded WHERE {few}"
    # networks through the organisation, for a role that has none of its own
    through = (
        "SELECT DISTINCT r.file_row_number, r.at_location, h.network, h.starts, h.ends FROM located r JOIN held h "
        "ON h.organization = r.organization AND (len(h.places) = 0 OR r.at_location IS NULL "
        "OR list_contains(h.places, r.at_location)) "
        "WHERE r.resource_type = 'PractitionerRole' AND r.w[1] IS NULL"
    )
    networked = (
        "SELECT r.* EXCLUDE (w), h.network IS NOT NULL AS is_through, h.starts, h.ends, "
        "unnest(CASE WHEN h.network IS NULL THEN r.w ELSE [h.network] END) AS at_network FROM located r "
        "LEFT JOIN through h "
        "ON h.file_row_number = r.file_row_number AND h.at_location IS NOT DISTINCT FROM r.at_location"
    )
    each = f"SELECT * EXCLUDE (t), unnest(t) AS taxonomy_code FROM ({networked})"
    inactive = " OR ".join(
        f"{c} = 'false'" for c in ("e.provider_active", "place_of.active", "network_of.active", "org.active")
    )
    languages = "string_split(concat_ws(';', nullif(e.own_languages, ''), e.service_languages), ';')"
    columns = (
        "e.file_row_number, e.file, e.place, CASE "
        + ("WHEN at_network IS NULL THEN 'no_network' " if needs_network else "")
        + f"WHEN is_closed = 'true' OR {inactive} THEN 'inactive' END AS reason, resource_type, resource_id, "
        "coalesce(nullif(e.npi, ''), own_npi) AS npi, "
        "coalesce(nullif(own_name, ''), nullif(provider_name, '')) AS provider_name, taxonomy_code, "
        "coalesce(network_of.id, regexp_extract(at_network, '[^/]+$')) AS network_id, "
        "place_of.zip, place_of.latitude, place_of.longitude, "
        "greatest(nullif(effective_date, ''), e.starts) AS effective_date, "
        f"least(nullif(termination_date, ''), e.ends) AS termination_date, {_accepting()} AS accepting_new_patients, "
        "CASE e.delivery WHEN 'virtual' THEN 'true' WHEN 'physical' THEN 'false' END AS telehealth, "
        f"array_to_string(list_sort(list_distinct({languages})), ';') AS languages, "
        "coalesce(place_of.id, regexp_extract(at_location, '[^/]+$')) AS location_id, network_of.name AS network_name, "
        "CASE WHEN is_through THEN 'organization' WHEN at_network IS NOT NULL THEN 'role' END AS network_source, "
        "insured.ids AS insurance_plans, org.npi AS organization_npi, org.name AS organization_name"
    )
    listed = (
        f"SELECT {columns} FROM each e LEFT JOIN {looked_up} place_of ON place_of.key = at_location "
        f"LEFT JOIN {looked_up} network_of ON network_of.key = at_network "
        f"LEFT JOIN {looked_up} org ON org.key = e.organization "
        f"LEFT JOIN ({plans}) insured ON insured.network = at_network"
    )
    nothing = "".join(f", CAST(NULL AS VARCHAR) AS {name(c)}" for c in (*DIRECTORY.names, *OWN[2:]))
    return (
        f"WITH numbered AS MATERIALIZED (SELECT * FROM {rows} WHERE {listing}), "
        f"served AS ({served}), held AS ({held}), unfolded AS ({unfolded}), located AS ({located}), "
        f"through AS ({through}), each AS ({each}) "
        f"SELECT * FROM ({listed} UNION ALL BY NAME "
        "SELECT file_row_number, file, place, CAST(NULL AS VARCHAR) AS reason, "
        f"resource_type, resource_id{nothing} FROM {rows} WHERE NOT ({listing}) UNION ALL BY NAME "
        "SELECT file_row_number, file, place, 'too_many_listings' AS reason, resource_type, resource_id "
        f"FROM unfolded WHERE NOT ({few})) "
        "ORDER BY file_row_number, location_id, network_id, taxonomy_code"
    )


def _first(*lists: str) -> str:
    whens = " ".join(f"WHEN len({one}) > 0 THEN {one}" for one in lists)
    return f"CASE {whens} ELSE [CAST(NULL AS VARCHAR)] END"


def _accepting() -> str:
    """SQL for what the nearest resource that says anything says, of the row's network or of all."""
    levels = ("e.accepting", "service_accepting", "place_of.accepting")
    of_network = "coalesce(at_network, '') || "
    whens = []
    for level in levels:
        for network in (of_network, ""):
            no = ", ".join(f"{network}'={code}'" for code in ("nopt", "existptonly", "existptfam"))
            whens.append(f"WHEN list_contains({level}, {network}'=newpt') THEN 'true'")
            whens.append(f"WHEN list_has_any({level}, [{no}]) THEN 'false'")
    return f"CASE {' '.join(whens)} END"
