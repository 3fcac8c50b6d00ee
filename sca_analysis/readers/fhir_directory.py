"""FHIR Da Vinci PDex Plan-Net (R4) as the directory.

A PractitionerRole lists a practitioner, an OrganizationAffiliation its participating organisation: one
row for each of its locations, networks and specialties. What it refers to is looked up in all files
that the same glob of ``exports.yaml`` gives (``plan-net/*.ndjson``), or in the file itself. Every other
resource is a row that is not selected, by its ``resource_type``, so that each is accounted for.

- npi, provider_name: of the Practitioner or organisation. A role without a practitioner has no NPI.
- taxonomy_code: NUCC codes of ``specialty``, else of its HealthcareServices, else of the qualifications.
- zip, latitude, longitude, location_id: of ``location``, else of the locations of its HealthcareServices.
  The address of an organisation is none of a location: without one the row lacks its ZIP.
- network_id: the id that ``network-reference`` or ``network`` refers to.
- accepting_new_patients: ``newpatients`` of the role, else of its HealthcareServices, else of the location,
  what is said of the network before what is said of all. newpt is yes; nopt, existptonly and existptfam are no.
- telehealth: a HealthcareService of the row is virtual. languages: of the Practitioner and the services.
- effective_date, termination_date: ``period``; a year or month means its first day, or its last.

Set aside: ``no_network`` (no network is named, which would match every network; ``constants:
{network_id: …}`` says which one it is), ``inactive`` (``active: false`` without a period that ended, or of
what it refers to), ``too_many_listings``, and damage. A listing is no proof that a provider sees patients.
"""

import calendar
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from sca_analysis.readers.fhir import Found, Json, read_resources, siblings, types_in
from sca_analysis.readers.fhir_references import (
    NUCC,
    accepting_of,
    codes_of,
    codes_of_each,
    day_of,
    extensions,
    index,
    key_of,
    keys_of,
    name_of,
    nodes,
    npi_of,
    raw_of,
    refuse_options,
    text,
    write_rows,
)
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.tables import DIRECTORY, Table

_LISTING = ("PractitionerRole", "OrganizationAffiliation")
_REFERRED = frozenset(("Practitioner", "Organization", "Location", "HealthcareService"))
_SEEN = _REFERRED | {*_LISTING, "InsurancePlan", "Endpoint"}
_BATCH = 25_000  # resources
#: Most listings of one role or affiliation: its locations times its networks times its specialties.
MAX_LISTINGS = 1_000_000
#: Columns beside the canonical ones.
OWN = ("resource_type", "resource_id", "network_name", "organization_npi", "organization_name")
_DATES = ("effective_date", "termination_date")
_PLAIN = ("resource_type", "resource_id", "npi", "provider_name", "provider", "organization", "is_closed", *_DATES)
_LISTS = ("locations", "networks", "taxonomy", "services", "accepting")
_SCHEMA = pa.schema(
    [("place", pa.int64())] + [(n, pa.string()) for n in _PLAIN] + [(n, pa.list_(pa.string())) for n in _LISTS]
)


def read_directory(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map a file of Plan-Net resources onto ``directory``; see the module.

    Raises
    ------
    ExportError
        If the table is another one, exports.yaml asks for what is not here, or the file is no FHIR in JSON.

    """
    refuse_options(table, DIRECTORY, source, "fhir-plan-net")
    malformed: list[Malformed] = []
    rows = write_rows(_SCHEMA, _rows(path, malformed), work)
    scan = f"read_parquet({quote(str(rows))}, file_row_number=true)"
    listing = f"resource_type IN ({', '.join(map(quote, _LISTING))})"
    [(total, listings)] = con.execute(f"SELECT count(*), count(*) FILTER ({listing}) FROM {scan}").fetchall()
    looked_up = index(con, siblings(path, source.path) if listings else [], _REFERRED, work)
    given = "network_id" in source.constants or "network_id" in source.columns
    results = []
    for start in range(0, max(total, 1), _BATCH):  # lists that are put together stay in memory: some at a time
        results.append(quote(str(work / f"{rows.stem}-{start}.parquet")))
        batch = f"(SELECT * FROM {scan} WHERE file_row_number >= {start} AND file_row_number < {start + _BATCH})"
        con.execute(f"COPY ({_list(batch, listing, looked_up, needs_network=not given)}) TO {results[-1]}")
    listed = f"read_parquet([{', '.join(results)}])"
    broken = con.execute(f"SELECT place, reason FROM {listed} WHERE reason IS NOT NULL").fetchall()
    malformed += [Malformed(place, reason) for place, reason in broken]
    good = f"(SELECT * FROM {listed} WHERE reason IS NULL)"
    return raw_of(path, table, source, "fhir-plan-net", good, listing, OWN, malformed)


def recognise(head: bytes, name: str) -> bool:
    """Tell by its first bytes whether a file listed under ``directory`` holds resources of Plan-Net."""
    del name
    return bool(types_in(head) & _SEEN)


def _rows(path: Path, malformed: list[Malformed]) -> Iterator[dict[str, object]]:
    """Yield one row a resource, and put what is none into ``malformed``."""
    for found in read_resources(path):
        if found.reason:
            malformed.append(Malformed(found.place, found.reason))
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
    networks = keys_of(role, "network")
    for one in extensions(role, "network-reference"):
        networks += [k for k in keys_of(one, "valueReference") if k not in networks]
    end = _day(text(role, "period", "end"), last=True)
    return {
        "place": found.place,
        "resource_type": kind,
        "resource_id": text(role, "id"),
        "npi": npi_of(provider) or npi_of(own),
        "provider_name": name_of(own) or text(provider, "display"),
        "provider": key_of(provider),
        "organization": key_of(role.get("organization")),
        "is_closed": "true" if role.get("active") is False and not end else "",
        "effective_date": _day(text(role, "period", "start"), last=False),
        "termination_date": end,
        "locations": keys_of(role, "location"),
        "networks": networks,
        "taxonomy": codes_of(role, "specialty", NUCC) or codes_of_each(nodes(own, "qualification"), "code"),
        "services": keys_of(role, "healthcareService"),
        "accepting": accepting_of(role),
    }


def _contained(role: Json, reference: object) -> Json:
    given = text(reference, "reference")
    own = [c for c in nodes(role, "contained") if given.startswith("#") and text(c, "id") == given[1:]]
    return own[0] if own else {}


def _day(moment: str, *, last: bool) -> str:
    """Return the first or last day that a FHIR dateTime means (R4, Period); other text as it is."""
    day = day_of(moment)
    if re.fullmatch(r"\d{4}", day):
        return f"{day}-12-31" if last else f"{day}-01-01"
    if re.fullmatch(r"[1-9]\d{3}-(0[1-9]|1[0-2])", day):
        end = calendar.monthrange(int(day[:4]), int(day[5:]))[1]
        return f"{day}-{end}" if last else f"{day}-01"
    return day


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
        f"{_first('r.taxonomy', 's.taxonomy', 'p.taxonomy')} AS t "
        f"FROM numbered r LEFT JOIN served s USING (file_row_number) "
        f"LEFT JOIN {looked_up} p ON p.key = r.provider"
    )
    few = f"len(l) * len(w) * len(t) <= {MAX_LISTINGS}"
    each = f"SELECT * EXCLUDE (l), unnest(l) AS at_location FROM unfolded WHERE {few}"
    each = f"SELECT * EXCLUDE (w), unnest(w) AS at_network FROM ({each})"
    each = f"SELECT * EXCLUDE (t), unnest(t) AS taxonomy_code FROM ({each})"
    inactive = " OR ".join(
        f"{c} = 'false'" for c in ("e.provider_active", "place_of.active", "network_of.active", "org.active")
    )
    languages = "string_split(concat_ws(';', nullif(e.own_languages, ''), e.service_languages), ';')"
    columns = (
        "e.file_row_number, e.place, CASE "
        + ("WHEN at_network IS NULL THEN 'no_network' " if needs_network else "")
        + f"WHEN is_closed = 'true' OR {inactive} THEN 'inactive' END AS reason, resource_type, resource_id, "
        "coalesce(nullif(e.npi, ''), own_npi) AS npi, "
        "coalesce(nullif(own_name, ''), nullif(provider_name, '')) AS provider_name, taxonomy_code, "
        "coalesce(network_of.id, regexp_extract(at_network, '[^/]+$')) AS network_id, "
        "place_of.zip, place_of.latitude, place_of.longitude, "
        f"effective_date, termination_date, {_accepting()} AS accepting_new_patients, "
        "CASE e.delivery WHEN 'virtual' THEN 'true' WHEN 'physical' THEN 'false' END AS telehealth, "
        f"array_to_string(list_sort(list_distinct({languages})), ';') AS languages, "
        "coalesce(place_of.id, regexp_extract(at_location, '[^/]+$')) AS location_id, network_of.name AS network_name, "
        "org.npi AS organization_npi, org.name AS organization_name"
    )
    listed = (
        f"SELECT {columns} FROM each e LEFT JOIN {looked_up} place_of ON place_of.key = at_location "
        f"LEFT JOIN {looked_up} network_of ON network_of.key = at_network "
        f"LEFT JOIN {looked_up} org ON org.key = e.organization"
    )
    nothing = "".join(f", CAST(NULL AS VARCHAR) AS {name(c)}" for c in (*DIRECTORY.names, *OWN[2:]))
    return (
        f"WITH numbered AS MATERIALIZED (SELECT * FROM {rows} WHERE {listing}), "
        f"served AS ({served}), unfolded AS ({unfolded}), each AS ({each}) "
        f"SELECT * FROM ({listed} UNION ALL BY NAME SELECT file_row_number, place, CAST(NULL AS VARCHAR) AS reason, "
        f"resource_type, resource_id{nothing} FROM {rows} WHERE NOT ({listing}) UNION ALL BY NAME "
        "SELECT file_row_number, place, 'too_many_listings' AS reason, resource_type, resource_id "
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
