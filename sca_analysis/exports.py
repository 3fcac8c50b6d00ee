"""Open an exports folder: read every file, check every row, hand out the accepted tables.

In: a folder with ``exports.yaml`` or with files in canonical names. Out: ``Exports``, whose
tables are narwhals frames over the engine, with the rows set aside and the findings beside.
"""

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import narwhals as nw
import pandas as pd
import pyarrow as pa
import yaml
from pydantic import BeforeValidator, Field, ValidationError
from tqdm import tqdm

from sca_analysis import check, remittances, standards
from sca_analysis.errors import ExportError
from sca_analysis.readers import group, nucc, read
from sca_analysis.readers.source import Entry, Source, quote
from sca_analysis.rules import SQL_TYPES
from sca_analysis.tables import CLAIMS, EXPORTS, FEES, FINDINGS, MEMBERS, Table

CONFIG = "exports.yaml"
SUFFIXES = (".csv", ".csv.gz", ".parquet")
ENGINES = ("duckdb",)


PlanKind = Literal["medicare-advantage", "marketplace", "medicaid", "employer"]


class Plan(Entry):
    """The plan that the exports describe."""

    name: str = "Plan"
    network_id: str | None = None
    locality: str | None = None  # Medicare locality whose fees count as the plan's, such as NY-01
    kind: PlanKind | None = None  # which rules apply to the plan: cited in request letters
    standard: str | None = None  # name of a packaged standard, or a file of one, as `sca gaps --standards`


class Reference(Entry):
    """Newer editions of code sets than the packaged ones."""

    taxonomy: str | None = None  # NUCC's taxonomy code set, as published


def _listed(value: object) -> object:
    """One entry may be written without the dash of a list."""
    return [value] if isinstance(value, dict) else value


Sources = Annotated[list[Source], BeforeValidator(_listed)]


class Config(Entry):
    """``exports.yaml``: the plan, the end of the period, and the files of each table."""

    plan: Plan = Plan()
    reference: Reference = Reference()
    period_end: date | None = Field(default=None, description="last day that events can have; blank = today")
    claims: Sources = Field(default_factory=list)
    directory: Sources = Field(default_factory=list)
    members: Sources = Field(default_factory=list)
    benefits: Sources = Field(default_factory=list)
    fees: Sources = Field(default_factory=list)
    agreements: Sources = Field(default_factory=list)
    standards: Sources = Field(default_factory=list)
    counties: Sources = Field(default_factory=list)
    providers: Sources = Field(default_factory=list)
    travel_times: Sources = Field(default_factory=list)
    entered: Sources = Field(default_factory=list)

    def sources(self) -> Iterator[tuple[Table, Source]]:
        """Yield each table with each of its sources, in the order in which they are read."""
        for table in EXPORTS.values():
            for source in getattr(self, table.name):
                yield table, source


@dataclass(frozen=True)
class Exports:
    """The accepted rows of an exports folder, and an account of all others.

    Attributes
    ----------
    folder : Path
    plan : Plan
    files : DataFrame
        One row a file: table, path, format, rows_read, accepted, set_aside, reasons (dict). Rows are
        records of the file: where one row is made of several (``Raw.stands_for``), they count.
    set_aside : DataFrame
        Columns of ``tables.SET_ASIDE``.
    findings : DataFrame
        Columns of ``tables.FINDINGS``.
    missing : tuple of str
        Tables that the folder does not hold.

    """

    folder: Path
    plan: Plan
    files: pd.DataFrame
    set_aside: pd.DataFrame
    findings: pd.DataFrame
    missing: tuple[str, ...]
    paths: tuple[Path, ...]
    connection: duckdb.DuckDBPyConnection = field(repr=False)

    @classmethod
    def open(cls, folder: str | Path, engine: str = "duckdb") -> "Exports":
        """Read and check an exports folder.

        Parameters
        ----------
        folder : str or Path
        engine : str
            ``duckdb``.

        Raises
        ------
        ExportError
            If the folder, its exports.yaml or a file cannot be used: one sentence, saying
            what, where and what to do.

        """
        if engine not in ENGINES:
            raise ExportError(f"engine {engine!r} is not known; known are {', '.join(ENGINES)}.")
        root = Path(folder)
        config = read_config(root)
        references = _learn_codes(root, config.reference)
        files = [(table, source, find_files(root, source)) for table, source in config.sources()]
        con, work = _connect()
        period_end = config.period_end or date.today()
        loaded: list[check.Loaded] = []
        # a bar only for people, and only for what takes longer than two seconds
        total = sum(len(paths) for *_, paths in files)
        bar = tqdm(desc="Reading exports", unit="file", total=total, delay=2, disable=not sys.stdout.isatty())
        for table, source, found_paths in files:
            for chosen, paths in group(found_paths, table, source):
                with tempfile.TemporaryDirectory(dir=work) as copies:  # rewritten files hold members: gone once read
                    raw = read(con, paths, table, source, Path(copies), chosen)
                    shown = [_shown(path, root) for path in paths]
                    loaded += check.stage(con, table, raw, source, shown, period_end, first=len(loaded))
                bar.update(len(paths))
        bar.close()
        found = {one.table for one in loaded}
        joined = remittances.bring_together(con, [one for one in loaded if one.table == CLAIMS.name])
        for table in EXPORTS.values():
            if table.name in found:
                check.resolve_repeats(con, table)
        _create_accepted(con, found, config.plan)
        return cls(
            folder=root,
            plan=config.plan,
            files=_count_files(con, loaded),
            set_aside=check.list_set_aside(con, loaded),
            findings=_list_findings(con, loaded, found, joined),
            missing=tuple(t for t in EXPORTS if t not in found),
            paths=(*(path for *_, paths in files for path in paths), *references),
            connection=con,
        )

    def table(self, name: str) -> nw.LazyFrame[Any]:
        """Return the accepted rows of a table (``tables.EXPORTS``); without its file, no rows.

        ``claims`` holds the version that counts of each line; ``claim_versions`` holds all.
        Without a members file, ``members`` is the members seen in claims, with their last ZIP.
        """
        return nw.from_native(self.connection.table(name))

    def frame(self, name: str) -> pd.DataFrame:
        """Return a small table as pandas; money and rates stay exact decimals."""
        return to_pandas(self.table(name))

    def repeats(self, name: str) -> pd.DataFrame:
        """Return the rows of a table that were set aside because they repeat the key of another."""
        if name in self.missing:
            return self.frame(name)
        columns = ", ".join(f'"{c}"' for c in EXPORTS[name].names)
        rows = (
            f"SELECT {columns} FROM {check.judged(EXPORTS[name])} WHERE _problem IN ('duplicate_row', 'duplicate_key')"
        )
        return to_pandas(nw.from_native(self.connection.sql(rows)))

    @cached_property
    def last_day(self) -> date:
        """The last day of the newest claim month: the default as-of date.

        Raises
        ------
        ExportError
            If no claim was accepted.

        """
        [(day,)] = self.connection.execute("SELECT last_day(max(service_date)) FROM claims").fetchall()
        if not isinstance(day, date):
            raise ExportError(
                f"no claim line in {self.folder} was accepted: run `sca check` to see the reasons row by row."
            )
        return day

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """How far each column of the tables read is filled: table, column, filled, rows, share."""
        rows = []
        for table in (t for t in EXPORTS.values() if t.name not in self.missing):
            counts = ", ".join(f'count("{c}")' for c in table.names)
            [(total, *filled)] = self.connection.execute(f"SELECT count(*), {counts} FROM {table.name}").fetchall()
            rows += [
                (table.name, c, n, total, n / total if total else 0.0) for c, n in zip(table.names, filled, strict=True)
            ]
        return pd.DataFrame(rows, columns=["table", "column", "filled", "rows", "share_filled"])

    def overrides(self, name: str) -> pd.DataFrame | None:
        """Return the folder's own ``standards`` or ``counties``, or None where it has none."""
        return None if name in self.missing else self.frame(name)


def to_pandas(frame: nw.LazyFrame[Any]) -> pd.DataFrame:
    """Collect a frame as pandas. Decimals keep their Arrow type, so that cents stay exact."""
    arrow: pa.Table = frame.collect(backend="pyarrow").to_native()
    types = {t: pd.ArrowDtype(t) for t in arrow.schema.types if pa.types.is_decimal(t)}
    types |= {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    return arrow.to_pandas(types_mapper=types.get, date_as_object=False)


def read_table(path: Path, table: Table) -> pd.DataFrame:
    """Return a single file of a table (CSV or Parquet in canonical columns), all of whose rows must be good.

    Raises
    ------
    ExportError
        If it cannot be read, or a row would be set aside: says which row, and why.

    """
    if not path.exists():
        raise ExportError(f"there is no file {path}: correct the path.")
    con, work = _connect()
    source = Source(path=path.name)
    with tempfile.TemporaryDirectory(dir=work) as copies:
        [(chosen, paths)] = group([path], table, source)
        raw = read(con, paths, table, source, Path(copies), chosen)
        loaded = check.stage(con, table, raw, source, [path.name], date.today())
    check.resolve_repeats(con, table)
    bad = check.list_set_aside(con, loaded)
    if len(bad):
        first = bad.iloc[0]
        raise ExportError(
            f"{path.name}: {bad['rows'].sum()} rows cannot be used, first row {first['row']} ({first['reason']}); "
            "correct them."
        )
    columns = ", ".join(f'"{c}"' for c in table.names)
    return to_pandas(nw.from_native(con.sql(f"SELECT {columns} FROM {check.judged(table)} ORDER BY _row")))


def read_config(folder: Path) -> Config:
    """Return ``exports.yaml`` of a folder or, without one, what its file names say.

    Raises
    ------
    ExportError
        If there is no such folder, no exports in it, or exports.yaml is not as it should be.

    """
    if not folder.is_dir():
        raise ExportError(f"there is no exports folder {folder}: give one with --data.")
    path = folder / CONFIG
    if path.exists():
        config = _parse_config(path)
    else:
        found = {t: [f"{t}{s}" for s in SUFFIXES if (folder / f"{t}{s}").exists()] for t in EXPORTS}
        double = [names for names in found.values() if len(names) > 1]
        if double:
            raise ExportError(f"{folder} holds {' and '.join(double[0])}: keep one, or list both in {CONFIG}.")
        config = Config.model_validate({t: [{"path": n} for n in names] for t, names in found.items()})
    absent = [t.name for t in EXPORTS.values() if t.required and not getattr(config, t.name)]
    if absent:
        what = f"lists no files for {' and '.join(absent)}" if path.exists() else f"has no {CONFIG} and no files named"
        names = "" if path.exists() else f" {', '.join(f'{a}.csv' for a in absent)}"
        raise ExportError(f"{path if path.exists() else folder} {what}{names}: claims and directory are required.")
    return config


def find_files(folder: Path, source: Source) -> list[Path]:
    """Return the files that the path or glob of a source means, sorted by name.

    Raises
    ------
    ExportError
        If there are none.

    """
    pattern = source.path
    try:
        if (folder / pattern).exists():  # also where its name holds a bracket
            found = [folder / pattern]
        elif any(c in pattern for c in "*?["):
            base, wild = _split_glob(folder, pattern)
            found = sorted(p for p in base.glob(wild) if p.is_file()) if base.is_dir() else []
        else:
            found = []
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder / CONFIG}: the path {pattern!r} is none that can be looked for.") from error
    if not found:
        raise ExportError(
            f"{folder / CONFIG}: no file matches {pattern!r}: correct the path, it is relative to the folder."
        )
    return found


def _split_glob(folder: Path, pattern: str) -> tuple[Path, str]:
    """Split at the first part with a wildcard, since a glob cannot hold `..`."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if any(c in part for c in "*?["))
    return folder.joinpath(*parts[:first]), str(Path(*parts[first:]))


class _RepeatedKeyError(yaml.MarkedYAMLError):
    """A name that stands twice in one mapping."""


class _Loader(yaml.BaseLoader):
    """Text only, and no name twice: YAML would keep the last and drop the files of the others."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, or say which line repeats a name."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise _RepeatedKeyError(problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _parse_config(path: Path) -> Config:
    try:
        # every scalar stays text: `on`, `NO` and 02138 mean what they say, and pydantic gives types
        given = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        twice = isinstance(error, _RepeatedKeyError)
        what = "repeats a name: list all entries under one" if twice else "is not valid YAML: check indentation, colons"
        raise ExportError(f"{path}{place} {what}{'' if twice else ' and quotes there'}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} cannot be read: save it as UTF-8 text.") from error
    if not isinstance(given, dict):
        raise ExportError(f"{path} should hold `claims:` and `directory:` with their files; it holds something else.")
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        what = "is not a name that is known there" if unknown else first["msg"].removeprefix("Value error, ").lower()
        raise ExportError(f"{path}: {place}: {what}; correct that entry.") from error


def _connect() -> tuple[duckdb.DuckDBPyConnection, Path]:
    """Return a DuckDB that never touches the network, and its own folder for temporary files."""
    work = Path(tempfile.mkdtemp(prefix="sca-"))
    con = duckdb.connect()
    for setting in (
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "enable_progress_bar = false",
        "TimeZone = 'UTC'",
    ):
        con.execute(f"SET {setting}")
    con.execute("SET temp_directory = ?", [str(work)])
    weakref.finalize(con, shutil.rmtree, work, ignore_errors=True)
    return con, work


def _learn_codes(folder: Path, reference: Reference) -> list[Path]:
    """Make the codes of the folder's own code sets known, and return the files read."""
    if not reference.taxonomy:
        return []
    path = folder / reference.taxonomy
    if not path.is_file():
        raise ExportError(f"{folder / CONFIG}: reference: there is no file {reference.taxonomy!r}: correct the path.")
    standards.learn_taxonomy(nucc.read_new_codes(path))
    return [path]


def _create_accepted(con: duckdb.DuckDBPyConnection, found: set[str], plan: Plan) -> None:
    """Create a view of the accepted rows of each table, empty where there is no file."""
    for table in EXPORTS.values():
        columns = ", ".join(f'"{c.name}"' for c in table.columns)
        if table.name in found:
            if plan.network_id and table in (CLAIMS, MEMBERS):
                own = f'coalesce("network_id", {quote(plan.network_id)}) AS "network_id"'
                columns = columns.replace('"network_id"', own)
            rows = f"SELECT {columns} FROM {check.judged(table)} WHERE _problem IS NULL"
        else:
            nothing = ", ".join(f'CAST(NULL AS {SQL_TYPES[c.kind]}) AS "{c.name}"' for c in table.columns)
            rows = f"SELECT {nothing} WHERE false"
        if table is CLAIMS:
            con.execute(f"CREATE VIEW claim_versions AS {rows}")
            rows += " AND _current"
        if table is MEMBERS and table.name not in found:
            rows = _members_from_claims()
        if table is FEES and table.name in found:
            rows = _merge_fees(plan.locality)
        con.execute(f"CREATE VIEW {table.name} AS {rows}")


def _merge_fees(own: str | None) -> str:
    """SQL for one row a procedure and locality, the plan's own being blank: of each fee the first in file order."""
    fees = [c.name for c in FEES.columns if c.name not in FEES.key]
    locality = f"nullif(locality, {quote(own)})" if own else "locality"
    chosen = ", ".join(f"arg_min({f}, _row) AS {f}" for f in fees)  # arg_min passes blanks over
    return (
        f"SELECT procedure_code, {locality} AS locality, {chosen} FROM {check.judged(FEES)} "
        f"WHERE _problem IS NULL GROUP BY procedure_code, {locality}"
    )


def _members_from_claims() -> str:
    """SQL for the members seen in claims: always covered, at the ZIP of their newest claim."""
    # claims of one day are told apart by their numbers, so that two runs choose the same
    newest = "(service_date, claim_id, line_number)"
    columns = {"member_id": "member_id", "zip": f"arg_max(member_zip, {newest})"}
    columns["network_id"] = f"arg_max(network_id, {newest})"
    chosen = ", ".join(
        f"{columns[c.name]} AS {c.name}" if c.name in columns else f"CAST(NULL AS {SQL_TYPES[c.kind]}) AS {c.name}"
        for c in MEMBERS.columns
    )
    return f"SELECT {chosen} FROM claims GROUP BY member_id"


def _count_files(con: duckdb.DuckDBPyConnection, loaded: list[check.Loaded]) -> pd.DataFrame:
    """Count rows by file; rows read, accepted and set aside are each counted for themselves."""
    rows = []
    for one, (accepted, reasons) in zip(loaded, check.count_reasons(con, loaded), strict=True):
        read = one.records + sum(m.rows for m in one.malformed)
        rows.append((one.table, one.path, one.format, read, accepted, sum(reasons.values()), reasons))
    return pd.DataFrame(rows, columns=["table", "path", "format", "rows_read", "accepted", "set_aside", "reasons"])


def _list_findings(
    con: duckdb.DuckDBPyConnection, loaded: list[check.Loaded], found: set[str], joined: list[check.Finding]
) -> pd.DataFrame:
    rows = [*check.list_findings(con, loaded), *joined]
    [(unlisted, lines)] = con.execute(
        "SELECT count(*) FILTER (WHERE d.npi IS NULL), count(*) FROM claims c "
        "LEFT JOIN (SELECT DISTINCT npi FROM directory) d ON d.npi = c.provider_npi"
    ).fetchall()
    if unlisted:
        meaning = "claim lines of providers that the directory does not list: out of network, unless the claim says in"
        rows.append(("claims", "", "information", "not_in_directory", "provider_npi", unlisted, lines, meaning))
    rows += _list_disagreeing_fees(con) if "fees" in found else []
    rows += _list_codes(con)
    if "members" not in found:
        [(members,)] = con.execute("SELECT count(*) FROM members").fetchall()
        meaning = "no members file: members are those seen in claims, so people without claims are left out"
        rows.append(("members", "", "information", "members_from_claims", "member_id", members, members, meaning))
    for one in (one for one in loaded if (one.table, one.format) == (MEMBERS.name, "x12-837")):
        accepted = check.count_of(
            con, f"SELECT count(*) FROM judged_members WHERE _problem IS NULL AND {check.rows_in([one])}"
        )
        meaning = (
            "members as claims name them: without days of coverage each counts as covered always, and people without "
            "claims are left out"
        )
        rows.append(
            ("members", one.path, "information", "members_from_claims", "effective_date", accepted, accepted, meaning)
        )
    return pd.DataFrame(rows, columns=list(FINDINGS.names))


def _list_codes(con: duckdb.DuckDBPyConnection) -> list[check.Finding]:
    """Find taxonomy codes of no known NUCC release, and those that only the folder's own release has."""
    taxonomy = standards.load_taxonomy()
    newer = taxonomy[~taxonomy["taxonomy_code"].isin(standards.load_packaged_taxonomy()["taxonomy_code"])]
    has_specialty = newer["specialty"].notna()
    known = {
        "taxonomy_newer": set(newer.loc[has_specialty, "taxonomy_code"]),
        "taxonomy_newer_open": set(newer.loc[~has_specialty, "taxonomy_code"]),
    }
    meanings = {
        "taxonomy_unknown": "that are not in the NUCC code set: counted under no specialty",
        "taxonomy_newer": "that only the NUCC file of the folder has: counted as the others of their classification",
        "taxonomy_newer_open": "that only the NUCC file of the folder has, in a classification that does not tell the "
        "specialty: counted under none",
    }
    found: list[check.Finding] = []
    for table in ("claims", "directory"):
        codes = con.execute(
            f"SELECT taxonomy_code, count(*) FROM {table} WHERE taxonomy_code IS NOT NULL GROUP BY 1"
        ).fetchall()
        unknown = {code for code, _ in codes} - set(taxonomy["taxonomy_code"])
        for rule, concerned in ({"taxonomy_unknown": unknown} | known).items():
            if rows := sum(n for code, n in codes if code in concerned):
                total, meaning = sum(n for _, n in codes), f"taxonomy codes {meanings[rule]}"
                found.append((table, "", "information", rule, "taxonomy_code", rows, total, meaning))
    return found


def _list_disagreeing_fees(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str, str, str, int, int, str]]:
    """Find fees that several rows of one procedure and locality give, with different amounts."""
    meaning = "several files give this fee of a procedure and locality, with different amounts: the first file counts"
    found = []
    for fee in (c.name for c in FEES.columns if c.name not in FEES.key):
        [(different, keys)] = con.execute(
            f"SELECT count(*) FILTER (WHERE n > 1), count(*) FROM (SELECT count(DISTINCT {fee}) AS n "
            f"FROM {check.staging(FEES)} WHERE _problem IS NULL GROUP BY {', '.join(FEES.key)})"
        ).fetchall()
        if different:
            found.append(("fees", "", "warning", "fees_disagree", fee, different, keys, meaning))
    return found


def _shown(path: Path, root: Path) -> str:
    """The path as it is shown: relative to the folder where it lies in it."""
    return (path.relative_to(root) if path.is_relative_to(root) else Path(os.path.relpath(path, root))).as_posix()
