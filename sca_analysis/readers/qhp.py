"""``qhp-providers``: ``providers.json`` of marketplace plans (CMS QHP provider and formulary APIs), as a directory.

A row is one provider, plan, address and specialty, and run of plan years: the tiers of a plan are one row, the
years its span (1 January of the first to 31 December of the last). ``network_id`` is the plan's id, ``location_id``
the street address. Individuals give ``specialty``, facilities ``facility_type``; a name that is exactly one of the
NUCC code set or of CMS's specialties (``reference/specialty_names.csv``) becomes its code, any other is set aside as
no taxonomy code: translate it under ``values: {taxonomy_code: …}``. "Accepting in some locations" says nothing of
one location: unknown.

The file is read as a stream, provider by provider. Set aside: ``not_a_resource`` (no JSON object), ``no_plan`` (a
blank network would match every plan), a provider that is no JSON (``malformed_record``) or is nested too deep, and
where no next one can be told, the rest of the file as one record. Places are numbers of providers in the file.
``keep`` may name the columns of ``COLUMNS``.
"""

import csv
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import duckdb

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Malformed, Raw, Source, map_columns, map_selection, name, quote
from sca_analysis.readers.transparency_stream import CutError, DamagedError, open_stream
from sca_analysis.tables import DIRECTORY, Table

Record = dict[str, Any]
#: The reader's own columns; those of the directory carry its names.
COLUMNS = (
    "place", "npi", "type", "provider_name", "taxonomy_code", "specialty", "network_id", "zip", "location_id",
    "effective_date", "termination_date", "accepting_new_patients", "languages",
)  # fmt: skip
_ACCEPTING = {"accepting": "yes", "true": "yes", "not accepting": "no", "false": "no"}
_LONGEST = 200  # characters of a text that is kept; names of people and places are shorter


@cache
def load_specialty_names() -> dict[str, str]:
    """Return the NUCC code of each specialty name, in lower case."""
    with files("sca_analysis").joinpath("reference", "specialty_names.csv").open(encoding="utf-8") as stream:
        return {row["name"].casefold(): row["taxonomy_code"] for row in csv.DictReader(stream)}


def read_qhp_providers(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Map ``providers.json`` (also .gz) onto ``directory``; parameters and result as of ``read_csv``.

    Raises
    ------
    ExportError
        If the table is another, exports.yaml asks for what this format has not, or the file is no JSON array.

    """
    del con
    if table.name != DIRECTORY.name:
        raise ExportError(f"exports.yaml: {table.name}: format qhp-providers is for {DIRECTORY.name} only.")
    if surplus := source.model_fields_set & {"delimiter", "encoding", "skip_rows", "join", "date_format"}:
        raise ExportError(f"exports.yaml: directory: format qhp-providers takes no {min(surplus)}; remove it.")
    malformed: list[Malformed] = []
    with tempfile.NamedTemporaryFile("w", dir=work, suffix=".csv", delete=False, newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for place, record in _records(path, work, malformed):
            rows = _rows(record) if isinstance(record, dict) else "not_a_resource"
            if isinstance(rows, str):
                malformed.append(Malformed(place, rows))
            else:
                writer.writerows((place, *row) for row in rows)
    columns = ", ".join(f"{quote(c)}: 'VARCHAR'" for c in COLUMNS)
    selected, selector = map_selection(source, COLUMNS, path.name)
    return Raw(
        path=path,
        format="qhp-providers",
        relation=f"read_csv({quote(file.name)}, delim=',', quote='\"', escape='\"', header=false, auto_detect=false, "
        f"columns={{{columns}}}, nullstr='', parallel=false)",
        columns=map_columns(table, source, COLUMNS, path.name),
        selected=selected,
        selector=selector,
        first_row=1,
        place=f"CAST({name('place')} AS BIGINT)",
        malformed=lambda: malformed,
    )


def recognise_qhp_providers(head: bytes, name: str) -> bool:
    """Tell providers.json by the keys of its first provider."""
    del name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    is_provider = re.search(rb'"type"\s*:\s*"(individual|facility|group)"', text, re.IGNORECASE)
    return text.startswith(b"[") and b'"npi"' in text and is_provider is not None


def _records(path: Path, work: Path, malformed: list[Malformed]) -> Iterator[tuple[int, object]]:
    """Yield each element of the array with its number; a damaged one is malformed, and so is what follows the last."""
    place = done = 0
    with open_stream(path, work) as stream:
        if stream.peek() != "[":
            raise ExportError(f"{path.name} is no JSON array of providers: check the path and the format.")
        try:
            for place, _ in enumerate(stream.elements(), start=1):
                try:
                    record, _ = stream.value()
                except DamagedError as error:
                    stream.pass_over()
                    malformed.append(Malformed(place, str(error)))
                else:
                    yield place, record
                done = place
            is_whole = not stream.peek()
        except (CutError, DamagedError):
            is_whole = False
    if not is_whole:
        if not done:
            raise ExportError(f"{path.name} holds no provider that can be read as JSON: export it again.")
        malformed.append(Malformed(done + 1, "malformed_record"))


def _rows(record: Record) -> list[tuple[str, ...]] | str:
    """Return the rows of one provider, in ``COLUMNS`` without the place, or why it has none."""
    spans = _spans(record)
    if not spans:
        return "no_plan"
    people, facility = _texts(record.get("specialty") or record.get("speciality")), _texts(record.get("facility_type"))
    specialties = dict.fromkeys(people or facility or [""])
    places = dict.fromkeys(
        (_text(a.get("zip")), " ".join(filter(None, (_text(a.get("address")), _text(a.get("address_2"))))))
        for a in _objects(record.get("addresses") or record.get("address"))
    ) or {("", ""): None}
    known = load_specialty_names()
    codes = {s: known.get(s.casefold(), s) for s in specialties}
    chosen = {code: s for s, code in reversed(codes.items())}  # two names of one code are one row
    first = (_text(record.get("npi")), _text(record.get("type")).upper(), _name(record))
    last = (
        _ACCEPTING.get(_text(record.get("accepting")).casefold(), ""),
        "; ".join(_texts(record.get("languages"))),
    )
    return [
        (*first, code, chosen[code], plan, zip_code, street, start, end, *last)
        for (plan, start, end), (zip_code, street), code in product(spans, places, dict.fromkeys(codes.values()))
    ]


def _spans(record: Record) -> list[tuple[str, str, str]]:
    """Return plan, first and last day of each run of its years; a plan without years is open."""
    years: dict[str, set[int]] = {}
    is_open: set[str] = set()
    for plan in _objects(record.get("plans")):
        if not (plan_id := _text(plan.get("plan_id"))):
            continue
        given = [int(y) for y in _texts(plan.get("years")) if re.fullmatch(r"[12]\d{3}", y)]
        years.setdefault(plan_id, set()).update(given)
        if not given:
            is_open.add(plan_id)
    spans = []
    for plan_id, known in years.items():
        if plan_id in is_open:
            spans.append((plan_id, "", ""))
            continue
        firsts = sorted(y for y in known if y - 1 not in known)
        lasts = sorted(y for y in known if y + 1 not in known)
        spans += [(plan_id, f"{a}-01-01", f"{b}-12-31") for a, b in zip(firsts, lasts, strict=True)]
    return spans


def _name(record: Record) -> str:
    given = record.get("name")
    if isinstance(given, dict):
        parts = (_text(given.get(k)) for k in ("first", "middle", "last", "suffix"))
        return " ".join(p for p in parts if p)
    return _text(record.get("facility_name") or record.get("group_name") or given)


def _objects(value: object) -> list[Record]:
    return [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, dict)]


def _texts(value: object) -> list[str]:
    return [t for v in (value if isinstance(value, list) else [value]) if (t := _text(v))]


def _text(value: object) -> str:
    """Return a scalar as one line of text; lists, objects and null are none."""
    if value is None or isinstance(value, (list, dict)):
        return ""
    # a lone surrogate, which JSON may spell, is no text that can be written
    text = str(value).encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
    return " ".join(text.split())[:_LONGEST]
