"""One reader per export format; adding a format is one file here, one line below and a test."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb

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
    x12_remittance,
)
from sca_analysis.readers.csv import read_csv, read_parquet
from sca_analysis.readers.medicare_fees import read_facility, read_non_facility
from sca_analysis.readers.source import Raw, Source
from sca_analysis.tables import Table

Reader = Callable[[duckdb.DuckDBPyConnection, Path, Table, Source, Path], Raw]
Recogniser = Callable[[bytes, str], bool]
_HEAD = 64 * 1024  # bytes that a recogniser looks at


class Format(NamedTuple):
    """A format: its reader, and what tells it by the first bytes of a file and its name, under some tables."""

    read: Reader
    recognises: Recogniser | None = None
    tables: tuple[str, ...] = ()


READERS: dict[str, Format] = {
    "csv": Format(read_csv),
    "parquet": Format(read_parquet),
    "entered-yaml": Format(entered_yaml.read_entered, entered_yaml.recognise, ("entered",)),
    "fhir-eob": Format(fhir_claims.read_claims, fhir_claims.recognise, ("claims",)),
    "fhir-plan-net": Format(fhir_directory.read_directory, fhir_directory.recognise, ("directory",)),
    "ma-hsd": Format(ma_hsd.read_ma_hsd, ma_hsd.recognise_ma_hsd, ("directory",)),
    "medicare-fees": Format(read_non_facility),
    "medicare-fees-facility": Format(read_facility),
    "nppes": Format(nppes.read_nppes, nppes.recognise_nppes, ("directory", "providers")),
    "qhp-providers": Format(qhp.read_qhp_providers, qhp.recognise_qhp_providers, ("directory",)),
    "rif-beneficiary": Format(rif.read_beneficiary, rif.recognise_beneficiary, ("members",)),
    "rif-carrier": Format(rif.read_carrier, rif.recognise_carrier, ("claims",)),
    "rif-outpatient": Format(rif.read_outpatient, rif.recognise_outpatient, ("claims",)),
    "synthea": Format(synthea.read_synthea, synthea.recognise_synthea, ("claims", "directory", "members")),
    "tic-allowed-amounts": Format(transparency.read_allowed_amounts),
    "tic-in-network-rates": Format(transparency.read_in_network_rates, transparency.recognise, ("fees",)),
    "tuva-eligibility": Format(tuva.read_eligibility, tuva.recognise_eligibility, ("members",)),
    "tuva-medical-claim": Format(tuva.read_medical_claim, tuva.recognise_medical_claim, ("claims",)),
    "x12-835": Format(x12_remittance.read_remittance, x12_remittance.recognise, ("claims",)),
    "x12-837": Format(x12_claims.read_claims, x12_claims.recognise, ("claims",)),
}


def read(con: duckdb.DuckDBPyConnection, path: Path, table: Table, source: Source, work: Path) -> Raw:
    """Read one file by the reader of its format, which is recognised where exports.yaml does not say it.

    Raises
    ------
    ExportError
        If the format is not known, or the reader refuses the file.

    """
    if path.is_dir():
        raise ExportError(f"{path.name} is a folder, where a file of {table.name} is expected.")
    chosen = source.format or recognise(path, table, source)
    if chosen not in READERS:
        raise ExportError(
            f"exports.yaml: {table.name}: format {chosen!r} is not known; known are {', '.join(sorted(READERS))}."
        )
    return READERS[chosen].read(con, path, table, source, work)


def recognise(path: Path, table: Table, source: Source) -> str:
    """Return the format of a file by its content: Parquet by suffix, else delimited text if nothing else is plain.

    An entry that maps columns speaks of a table, so it is read as one.
    """
    if path.suffix == ".parquet":
        return "parquet"
    if source.columns:
        return "csv"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return "csv"  # whose reader says what is wrong
    asked = (n for n, f in READERS.items() if f.recognises and table.name in f.tables and f.recognises(head, path.name))
    return next(asked, "csv")
