"""One reader per export format; adding a format is one file here, one line below and a test."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sca_analysis.errors import ExportError
from sca_analysis.readers import (
    entered_yaml,
    fhir_claims,
    fhir_directory,
    ma_hsd,
    nppes,
    qhp,
    rif,
    synthea,
    transparency,
    tuva,
    x12_claims,
    x12_members,
    x12_remittance,
)
from sca_analysis.readers.csv import read_csv, read_parquet
from sca_analysis.readers.medicare_fees import read_facility, read_non_facility
from sca_analysis.readers.source import Raw, Source
from sca_analysis.tables import Table

Reader = Callable[[duckdb.DuckDBPyConnection, Path, Table, Source, Path], Raw]
ReaderOfAll = Callable[[duckdb.DuckDBPyConnection, Sequence[Path], Table, Source, Path], Raw]
Recogniser = Callable[[bytes, str], bool]
_HEAD = 64 * 1024  # bytes that a recogniser looks at
_TOGETHER = 64 * 1024 * 1024  # bytes of small files that are read in one go


class Format(NamedTuple):
    """A format: its reader, and what tells it by the first bytes of a file and its name, under some tables.

    ``read_all`` reads many files in one go, for a format that comes as many small ones.
    """

    read: Reader
    recognises: Recogniser | None = None
    tables: tuple[str, ...] = ()
    read_all: ReaderOfAll | None = None


READERS: dict[str, Format] = {
    "csv": Format(read_csv),
    "parquet": Format(read_parquet),
    "entered-yaml": Format(entered_yaml.read_entered, entered_yaml.recognise, ("entered",)),
    "fhir-eob": Format(fhir_claims.read_claims, fhir_claims.recognise, ("claims",), fhir_claims.read_all),
    "fhir-plan-net": Format(
        fhir_directory.read_directory, fhir_directory.recognise, ("directory",), fhir_directory.read_all
    ),
    "ma-hsd": Format(ma_hsd.read_ma_hsd, ma_hsd.recognise_ma_hsd, ("directory",)),
    "medicare-fees": Format(read_non_facility, tables=("fees",)),
    "medicare-fees-facility": Format(read_facility, tables=("fees",)),
    "nppes": Format(nppes.read_nppes, nppes.recognise_nppes, ("directory", "providers")),
    "qhp-providers": Format(qhp.read_qhp_providers, qhp.recognise_qhp_providers, ("directory",)),
    "rif-beneficiary": Format(rif.read_beneficiary, rif.recognise_beneficiary, ("members",)),
    "rif-carrier": Format(rif.read_carrier, rif.recognise_carrier, ("claims",)),
    "rif-outpatient": Format(rif.read_outpatient, rif.recognise_outpatient, ("claims",)),
    "synthea": Format(synthea.read_synthea, synthea.recognise_synthea, ("claims", "directory", "members")),
    "tic-allowed-amounts": Format(transparency.read_allowed_amounts, tables=("fees",)),
    "tic-in-network-rates": Format(transparency.read_in_network_rates, transparency.recognise, ("fees",)),
    "tuva-eligibility": Format(tuva.read_eligibility, tuva.recognise_eligibility, ("members",)),
    "tuva-medical-claim": Format(tuva.read_medical_claim, tuva.recognise_medical_claim, ("claims",)),
    "x12-835": Format(x12_remittance.read_remittance, x12_remittance.recognise, ("claims",)),
    "x12-837": Format(x12_members.read_837, x12_claims.recognise, ("claims", "members")),
}


def list_formats() -> list[tuple[str, str, str]]:
    """Return each format with its tables and what tells a file of it: its content, or ``format:`` in exports.yaml."""
    return [
        (n, ", ".join(f.tables) or "any", "content" if f.recognises or not f.tables else "format:")
        for n, f in READERS.items()
    ]


def group(paths: Sequence[Path], table: Table, source: Source) -> list[tuple[str, list[Path]]]:
    """Return the files of an entry in their order with their formats, together where they are read in one go.

    Raises
    ------
    ExportError
        If one of them is no file that ends.

    """
    groups: list[tuple[str, list[Path]]] = []
    size = 0
    for path in paths:
        if not (path.is_file() or path.is_dir()):  # a pipe or a device may never end
            raise ExportError(f"{path.name} is a pipe or a device, where a file of {table.name} is expected.")
        chosen = "" if path.is_dir() else source.format or recognise(path, table, source)
        size += path.stat().st_size
        together = chosen in READERS and READERS[chosen].read_all is not None and size <= _TOGETHER
        if together and groups and groups[-1][0] == chosen:
            groups[-1][1].append(path)
        else:
            groups.append((chosen, [path]))
            size = path.stat().st_size
    return groups


def read(
    con: duckdb.DuckDBPyConnection, paths: Sequence[Path], table: Table, source: Source, work: Path, chosen: str
) -> Raw:
    """Read files, as ``group`` puts them together, by the reader of their format.

    Raises
    ------
    ExportError
        If the format is not known, or the reader refuses the file.

    """
    if paths[0].is_dir():
        raise ExportError(f"{paths[0].name} is a folder, where a file of {table.name} is expected.")
    if chosen not in READERS:
        raise ExportError(
            f"exports.yaml: {table.name}: format {chosen!r} is not known; known are {', '.join(sorted(READERS))}."
        )
    reader = READERS[chosen]
    if len(paths) > 1 and reader.read_all is not None:
        return reader.read_all(con, paths, table, source, work)
    return reader.read(con, paths[0], table, source, work)


def recognise(path: Path, table: Table, source: Source) -> str:
    """Return the format of a file by its content: Parquet or delimited text if nothing else is plain.

    Of Parquet the column names tell. An entry that maps columns speaks of a table, so it is read as one.
    """
    is_parquet = path.suffix == ".parquet"
    plain = "parquet" if is_parquet else "csv"
    if source.columns:
        return plain
    try:
        if is_parquet:
            head = ",".join(pq.read_schema(path).names).encode()
        else:
            with path.open("rb") as file:
                head = file.read(_HEAD)
    except (OSError, ValueError, pa.ArrowException):
        return plain  # whose reader says what is wrong
    asked = (n for n, f in READERS.items() if f.recognises and table.name in f.tables and f.recognises(head, path.name))
    return next(asked, plain)
