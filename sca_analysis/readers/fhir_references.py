"""The elements of a FHIR resource, and the resources that others refer to, as a table to join.

Providers, places, networks and members of a FHIR export lie in resources of their own, often in files
of their own. ``index`` writes what is needed of them into a table of the connection, once for all
files of a glob; the readers of claims and of the directory join it by ``Type/id`` or urn.
"""

import calendar
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sca_analysis.errors import ExportError
from sca_analysis.readers.fhir import Found, Json, read_resources
from sca_analysis.readers.source import Malformed, Raw, Source, map_columns, map_selection, quote
from sca_analysis.tables import Table

NUCC = "nucc.org/provider-taxonomy"
_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_ID = re.compile(r"[A-Za-z0-9.\-_|]+")  # more than the standard's, as servers do
_PLAN_NET = "davinci-pdex-plan-net/StructureDefinition/"
_BATCH = 5_000  # rows held before they are written
# fmt: off
_PLAIN = (
    "key", "id", "updated", "npi", "name", "active", "zip", "latitude", "longitude", "languages", "delivery", "target",
    "member_number", "network", "starts", "ends",
)
# fmt: on
_LISTS = ("taxonomy", "locations", "accepting", "networks")
INDEX = pa.schema([(n, pa.string()) for n in _PLAIN] + [(n, pa.list_(pa.string())) for n in _LISTS])


def nodes(node: object, name: str) -> list[Json]:
    """Return the elements of ``node`` called ``name``: none, the only one, or those of a list."""
    value = node.get(name) if isinstance(node, dict) else None
    if isinstance(value, list):
        return [v for v in value if isinstance(v, dict)]
    return [value] if isinstance(value, dict) else []


def text(node: object, *names: str) -> str:
    """Return the text at the end of a path of names, blank where there is none."""
    for name in names:
        if not isinstance(node, dict):
            return ""
        node = node.get(name)
    return node if isinstance(node, str) else ""


def codings(concept: object) -> list[tuple[str, str]]:
    """Return system (in lower case) and code of each coding of a CodeableConcept."""
    return [(text(c, "system").lower(), text(c, "code").strip()) for c in nodes(concept, "coding")]


def codes_of(node: object, name: str, system: str) -> list[str]:
    """Return the distinct codes, of a system that contains ``system``, of the concepts called ``name``."""
    found = (code for concept in nodes(node, name) for where, code in codings(concept) if system in where and code)
    return list(dict.fromkeys(found))


def npi_of(node: object) -> str:
    """Return the NPI among the identifiers of a resource or reference, else blank."""
    for one in nodes(node, "identifier"):
        system = text(one, "system").lower()
        kinds = [code for _, code in codings(one.get("type"))]
        if text(one, "use") != "old" and (system.endswith(("us-npi", "113883.4.6")) or (not system and "NPI" in kinds)):
            return text(one, "value").strip()
    return ""


def key_of(reference: object) -> str:
    """Return ``Type/id`` of a reference, relative or absolute, or its urn; blank where it has neither."""
    given = text(reference, "reference").strip()
    if given.startswith("urn:"):
        return given
    parts = given.partition("/_history/")[0].rsplit("/", 2)[-2:]
    return "/".join(parts) if len(parts) == 2 and _TYPE.fullmatch(parts[0]) and _ID.fullmatch(parts[1]) else ""


def day_of(moment: str) -> str:
    """Return the day of a FHIR dateTime, as written; an incomplete date stays as it is."""
    return moment[:10] if len(moment) > 10 and moment[10] == "T" else moment


def period_of(resource: Json) -> tuple[str, str]:
    """Return the first and last day of ``period``; a year or month means its first day, or its last (R4, Period)."""
    return _day(text(resource, "period", "start"), last=False), _day(text(resource, "period", "end"), last=True)


def _day(moment: str, *, last: bool) -> str:
    """Return the first or last day that a FHIR dateTime means; other text as it is."""
    day = day_of(moment)
    if re.fullmatch(r"\d{4}", day):
        return f"{day}-12-31" if last else f"{day}-01-01"
    if re.fullmatch(r"[1-9]\d{3}-(0[1-9]|1[0-2])", day):
        end = calendar.monthrange(int(day[:4]), int(day[5:]))[1]
        return f"{day}-{end}" if last else f"{day}-01"
    return day


def networks_of(resource: Json) -> list[str]:
    """Return the keys of the networks of a role, affiliation or insurance plan, by R4 and by Plan-Net."""
    networks = keys_of(resource, "network")
    for plan in nodes(resource, "plan"):
        networks += keys_of(plan, "network")
    for one in extensions(resource, "network-reference"):
        networks += keys_of(one, "valueReference")
    return list(dict.fromkeys(networks))


def name_of(resource: Json) -> str:
    """Return the name of a person (given names, then family) or of an organisation."""
    if plain := text(resource, "name"):
        return plain
    ordered = sorted(nodes(resource, "name"), key=lambda n: text(n, "use") in ("old", "maiden", "nickname"))
    for one in ordered:
        given = one.get("given")
        parts = [*(given if isinstance(given, list) else [given]), one.get("family")]
        if shown := text(one, "text") or " ".join(p.strip() for p in parts if isinstance(p, str)):
            return shown
    return ""


def extensions(node: Json, name: str) -> list[Json]:
    """Return the extensions of Plan-Net called ``name``."""
    return [e for e in nodes(node, "extension") if text(e, "url").endswith(_PLAN_NET + name)]


def accepting_of(resource: Json) -> list[str]:
    """Return what a resource says of new patients, as ``network=code``; without a network it holds for all."""
    said = []
    for one in extensions(resource, "newpatients"):
        parts = {text(e, "url"): e for e in nodes(one, "extension")}
        network = key_of((parts.get("fromNetwork") or parts.get("network") or {}).get("valueReference"))
        for _, code in codings((parts.get("acceptingPatients") or {}).get("valueCodeableConcept")):
            said.append(f"{network}={code}")
    return said


def keys_of(node: object, name: str) -> list[str]:
    """Return the distinct keys of the references called ``name``."""
    return list(dict.fromkeys(key for one in nodes(node, name) if (key := key_of(one))))


def write_rows(schema: pa.Schema, rows: Iterable[dict[str, object]], work: Path) -> Path:
    """Write rows to a Parquet file in ``work``, some at a time."""
    with tempfile.NamedTemporaryFile(dir=work, suffix=".parquet", delete=False) as file:
        path = Path(file.name)
    batch: list[dict[str, object]] = []
    with pq.ParquetWriter(path, schema) as writer:
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(_table(schema, batch))
                batch = []
        writer.write_table(_table(schema, batch))
    return path


def _table(schema: pa.Schema, rows: Sequence[dict[str, object]]) -> pa.Table:
    # pyarrow's own from_pylist takes four times as long
    return pa.Table.from_arrays([pa.array([r.get(f.name) for r in rows], f.type) for f in schema], schema=schema)


def index(con: duckdb.DuckDBPyConnection, files: Sequence[Path], types: frozenset[str], work: Path) -> str:
    """Return the name of a table of the resources in ``files``, of some types, that others may refer to.

    One row a key; of a resource that is there several times the one last updated counts, then the first.
    The table is made once a connection, as long as no file changes.
    """
    seen = hashlib.sha256(" ".join(sorted(types)).encode())
    for path in files:
        status = path.stat()
        seen.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="surrogateescape"))
    table = f"fhir_{seen.hexdigest()[:32]}"
    [(made,)] = con.execute(f"SELECT count(*) FROM duckdb_tables() WHERE table_name = {quote(table)}").fetchall()
    if not made:
        path = write_rows(INDEX, _describe_all(files, types), work)
        con.execute(
            f"CREATE TEMP TABLE {table} AS SELECT * EXCLUDE (file_row_number) "
            f"FROM read_parquet({quote(str(path))}, file_row_number=true) "
            "QUALIFY row_number() OVER (PARTITION BY key ORDER BY updated DESC NULLS LAST, file_row_number) = 1"
        )
        path.unlink()
    return table


def _describe_all(files: Sequence[Path], types: frozenset[str]) -> Iterator[dict[str, object]]:
    for path in files:
        for found in read_resources(path, types):
            if found.body.get("resourceType") in types:
                described = describe(found.body)
                for key in own_keys(found):
                    yield {"key": key, **described}


def own_keys(found: Found) -> list[str]:
    """Return the keys by which others may refer to a resource."""
    key = f"{text(found.body, 'resourceType')}/{text(found.body, 'id')}"
    by_url = key_of({"reference": found.url})
    return list(dict.fromkeys(k for k in (key if text(found.body, "id") else "", by_url) if k))


def describe(resource: Json) -> dict[str, object]:
    """Return what a claim or listing needs of a resource that it refers to: the columns of ``INDEX``."""
    kind = text(resource, "resourceType")
    said: dict[str, object] = {
        "id": text(resource, "id") or None,
        "updated": text(resource, "meta", "lastUpdated"),
        "npi": npi_of(resource),
        "name": name_of(resource),
        "active": "false" if is_inactive(resource) else "true",
    }
    if kind == "Practitioner":
        said["taxonomy"] = codes_of_each(nodes(resource, "qualification"), "code")
        said["languages"] = languages_of(resource)
    elif kind == "PractitionerRole":
        said["taxonomy"] = codes_of(resource, "specialty", NUCC)
        said["target"] = key_of(resource.get("practitioner")) or key_of(resource.get("organization"))
        said["npi"] = npi_of(resource.get("practitioner"))
    elif kind == "Location":
        said["zip"] = text(resource, "address", "postalCode")
        said["latitude"], said["longitude"] = (text(resource, "position", n) for n in ("latitude", "longitude"))
        said["accepting"] = accepting_of(resource)
    elif kind == "HealthcareService":
        said["taxonomy"] = codes_of(resource, "specialty", NUCC)
        said["locations"] = keys_of(resource, "location")
        said["languages"] = languages_of(resource)
        said["accepting"] = accepting_of(resource)
        said["delivery"] = _delivery_of(resource)
    elif kind in ("OrganizationAffiliation", "InsurancePlan"):
        said["target"] = key_of(resource.get("participatingOrganization"))
        said["locations"] = keys_of(resource, "location")
        said["networks"] = networks_of(resource)
        said["starts"], said["ends"] = period_of(resource)
    elif kind == "Patient":
        said["zip"] = next((z for a in nodes(resource, "address") if (z := text(a, "postalCode"))), "")
        said["member_number"] = _member_number(resource)
    elif kind == "Coverage":
        said["member_number"] = text(resource, "subscriberId")
        said["network"] = text(resource, "network")
    return said


def is_inactive(resource: Json) -> bool:
    """Tell whether a resource says that it is not, or no longer, in use."""
    out_of_use = {"Location": ("inactive", "suspended"), "InsurancePlan": ("draft", "retired")}
    return resource.get("active") is False or text(resource, "status") in out_of_use.get(
        text(resource, "resourceType"), ()
    )


def codes_of_each(found: Iterable[Json], name: str) -> list[str]:
    """Return the distinct NUCC codes of the concepts called ``name`` in each element."""
    return list(dict.fromkeys(code for one in found for code in codes_of(one, name, NUCC)))


def languages_of(resource: Json) -> str:
    """Return the languages of ``communication``, separated by ``;``."""
    found = []
    for concept in nodes(resource, "communication"):
        inner = concept.get("language") if "language" in concept else concept  # R5 and Patient nest it
        shown = [text(c, "display") or text(c, "code") for c in nodes(inner, "coding")]
        found.append(next((s for s in shown if s), text(inner, "text")))
    return ";".join(dict.fromkeys(f for f in found if f))


def _delivery_of(resource: Json) -> str:
    """``virtual`` or ``physical``; virtual where both are offered."""
    kinds = {
        code
        for one in extensions(resource, "delivery-method")
        for e in nodes(one, "extension")
        if text(e, "url") in ("type", "virtualModalities")
        for _, code in codings(e.get("valueCodeableConcept"))
    }
    return "" if not kinds else "physical" if kinds == {"physical"} else "virtual"


def _member_number(patient: Json) -> str:
    """The identifier of type MB (HL7 table 0203: member number)."""
    for one in nodes(patient, "identifier"):
        if any(code == "MB" for _, code in codings(one.get("type"))):
            return text(one, "value").strip()
    return ""


def raw_of(
    path: Path,
    table: Table,
    source: Source,
    chosen: str,
    relation: str,
    is_row: str,
    own: Sequence[str],
    malformed: list[Malformed],
    *,
    several: bool = False,
) -> Raw:
    """Return the rows of files as ``check`` takes them: those of which ``is_row`` (SQL) is false are not selected."""
    header = [*table.names, *own]
    selected, selector = map_selection(source, header, path.name)
    return Raw(
        path=path,
        format=chosen,
        relation=relation,
        columns=map_columns(table, source, header, path.name),
        selected=f"{is_row} AND ({selected})",
        selector=", ".join(s for s in ("resource_type", selector) if s),
        first_row=1,
        place="place",
        file="file" if several else "",
        malformed=lambda: malformed,
    )


def refuse_options(table: Table, meant: Table, source: Source, chosen: str) -> None:
    """Refuse another table, and options of exports.yaml that mean nothing for FHIR.

    Raises
    ------
    ExportError
        Naming the first of them.

    """
    if table.name != meant.name:
        raise ExportError(f"exports.yaml: {table.name}: format {chosen} is for {meant.name} only.")
    given = {k for k in ("join", "delimiter", "encoding", "skip_rows") if getattr(source, k)}
    if given:
        raise ExportError(f"exports.yaml: {table.name}: format {chosen} does not take `{min(given)}`; leave it out.")
