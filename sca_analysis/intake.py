"""Read every file of an exports folder, check every row, and keep the accepted tables as Parquet.

In: the files that ``folder`` found. Out: a folder with one Parquet file a table, which any engine reads, and the
account of all other rows beside them. It is the only way from an export to a table.
"""

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
from tqdm import tqdm

from sca_analysis import check, remittances, standards
from sca_analysis.errors import ExportError
from sca_analysis.folder import Config, Plan, show_path, stamp
from sca_analysis.readers import group, nucc, read
from sca_analysis.readers.source import Source, quote
from sca_analysis.rules import SQL_TYPES
from sca_analysis.tables import CLAIMS, EXPORTS, FEES, FINDINGS, MEMBERS, Table

#: Environment variable: the most memory that the engine takes, such as 3GB; beyond it, it works on disk.
MEMORY = "SCA_MEMORY"
_LARGE = 1 / 8  # of the memory allowed: exports from which the rows, two to three times that, are staged on disk
_PACKED = 6  # how many times larger a .gz or .parquet becomes, about
# numbers that hardly repeat, as those of claims, are given no dictionary: soon seen, less to write and to read
_KEPT_AS = "FORMAT parquet, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 5000"
Files = Sequence[tuple[Table, Source, list[Path]]]


@dataclass(frozen=True)
class Account:
    """What became of the files: the rows of ``Exports.files``, rows set aside, findings, tables missing, files beside.

    ``beside`` has the stamp of each before the rows that it completes were read. ``has_future``: a date was
    later than the period covered, so that the day of the run matters.
    """

    files: list[tuple[str, str, str, int, int, int, dict[str, int]]]
    set_aside: pd.DataFrame
    findings: pd.DataFrame
    missing: tuple[str, ...]
    beside: dict[Path, tuple[int, int] | None]
    has_future: bool


def take_in(root: Path, config: Config, files: Files, period_end: date, target: Path) -> Account:
    """Read and check files, and write the accepted rows of each table to ``target``.

    Parameters
    ----------
    root : Path
        The exports folder.
    config : Config
    files : sequence of (Table, Source, list of Path)
    period_end : date
        Dates of past events cannot lie after it.
    target : Path
        Gets ``TABLE.parquet`` of each table of ``tables.EXPORTS``, with no rows where there is no file; claims are all
        versions, with ``is_current`` for the one that counts. ``TABLE.repeats.parquet`` are the rows that were set
        aside because they repeat the key of another.

    Raises
    ------
    ExportError
        If a file cannot be used.

    """
    every = [path for *_, paths in files for path in paths]
    size = sum(p.stat().st_size * (_PACKED if p.suffix in (".gz", ".parquet") else 1) for p in every)
    con, work = connect(size)
    try:
        loaded, beside = load(con, work, root, files, period_end)
        found = {one.table for one in loaded}
        joined = remittances.bring_together(con, [one for one in loaded if one.table == CLAIMS.name])
        for table in EXPORTS.values():
            if table.name in found:
                check.resolve_repeats(con, table)
        _create_accepted(con, found, config.plan)
        counted = check.count_reasons(con, loaded)
        broken = check.list_findings(con, loaded)
        account = Account(
            files=_count_files(loaded, counted),
            set_aside=check.list_set_aside(con, [f for f, (_, why) in zip(loaded, counted, strict=True) if why]),
            findings=_list_findings(con, loaded, found, [*broken, *joined], _read_codes(root, config)),
            missing=tuple(t for t in EXPORTS if t not in found),
            beside=beside,
            has_future=_has_future([reason for _, why in counted for reason in why], broken),
        )
        _write(con, found, target)
    finally:
        con.close()
        shutil.rmtree(work, ignore_errors=True)
    return account


def read_only(path: Path, table: Table) -> tuple[duckdb.DuckDBPyConnection, pd.DataFrame]:
    """Return a connection with the rows of a single file in ``judged(table)``, and what was set aside of it.

    Raises
    ------
    ExportError
        If the file cannot be used.

    """
    con, work = connect()
    loaded, _ = load(con, work, path.parent, [(table, Source(path=path.name), [path])], latest_day())
    check.resolve_repeats(con, table)
    return con, check.list_set_aside(con, loaded)


def load(
    con: duckdb.DuckDBPyConnection, work: Path, root: Path, files: Files, period_end: date
) -> tuple[list[check.Loaded], dict[Path, tuple[int, int] | None]]:
    """Stage every file; return them, and the files beside them that were read too, or looked for, each with its stamp.

    Raises
    ------
    ExportError
        If a file cannot be used.

    """
    loaded: list[check.Loaded] = []
    beside: dict[Path, tuple[int, int] | None] = {}
    # a bar only for people, and only for what takes longer than two seconds
    total = sum(len(paths) for *_, paths in files)
    bar = tqdm(desc="Reading exports", unit="file", total=total, delay=2, disable=not sys.stdout.isatty())
    for table, source, found_paths in files:
        for chosen, paths in group(found_paths, table, source):
            with tempfile.TemporaryDirectory(dir=work) as copies:  # rewritten files hold members: gone once read
                raw = read(con, paths, table, source, Path(copies), chosen)
                beside |= {path: stamp(path) for path in raw.beside if path not in beside}
                shown = [show_path(path, root) for path in paths]
                loaded += check.stage(con, table, raw, source, shown, period_end, first=len(loaded))
            bar.update(len(paths))
    bar.close()
    return loaded, beside


def _write(con: duckdb.DuckDBPyConnection, found: set[str], target: Path) -> None:
    """Write the accepted rows of each table, in file order, and the repeats."""
    wanted = {f"{t}.parquet": f"SELECT * FROM {t}" for t in EXPORTS if t != CLAIMS.name}
    wanted[f"{CLAIMS.name}.parquet"] = "SELECT * FROM claim_versions"
    for table in (EXPORTS[t] for t in found):
        columns = ", ".join(f'"{c}"' for c in table.names)
        # by the number, of which the engine knows where it can be, and not by the reason made of it
        wanted[f"{table.name}.repeats.parquet"] = f"SELECT {columns} FROM {check.judged(table)} WHERE _repeat > 0"
    try:
        for name, rows in wanted.items():
            con.execute(f"COPY ({rows}) TO {quote(str(target / name))} ({_KEPT_AS})")
    except duckdb.Error as error:
        raise ExportError(
            f"the tables read cannot be kept in {target.parent}: free some room there, or set SCA_CACHE to a folder "
            "that has it."
        ) from error


def _has_future(reasons: Sequence[str], broken: Sequence[check.Finding]) -> bool:
    rules = [rule for *_, rule, _, _, _, _ in broken]
    return any(one.startswith("date_in_future") for one in (*reasons, *rules))


def latest_day() -> date:
    """Return the day that has begun furthest east (UTC+14): the same on every machine, and nobody's day is after it."""
    return (datetime.now(UTC) + timedelta(hours=14)).date()


def connect(size: int = 0) -> tuple[duckdb.DuckDBPyConnection, Path]:
    """Return a DuckDB that never touches the network, and its own folder for temporary files, gone with it.

    ``MEMORY`` of the environment limits what it holds. Where exports of ``size`` [bytes] are much of that, it keeps its
    tables in that folder, compressed.
    """
    work = Path(tempfile.mkdtemp(prefix="sca-"))
    con = duckdb.connect()
    for setting in (
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "enable_progress_bar = false",
        "TimeZone = 'UTC'",
        # it moves a cast into the CSV reader, where a value that does not fit loses the row, also under try_cast
        "disabled_optimizers = 'type_pushdown'",
        # or it writes all of a table anew for the change of a few rows, and once more at its end, which is thrown away
        "checkpoint_threshold = '1TB'",
        "checkpoint_on_detach = 'DISABLED'",
    ):
        con.execute(f"SET {setting}")
    con.execute("PRAGMA disable_checkpoint_on_shutdown")
    con.execute("SET temp_directory = ?", [str(work)])
    if limit := os.environ.get(MEMORY):
        try:
            con.execute("SET memory_limit = ?", [limit])
        except duckdb.Error as error:
            shutil.rmtree(work, ignore_errors=True)
            raise ExportError(f"{MEMORY} is {limit!r}, which is no amount of memory: write it like 3GB.") from error
    if size:
        query = f"SELECT {size} > {_LARGE} * parse_formatted_bytes(current_setting('memory_limit'))"
        [(is_large,)] = con.execute(query).fetchall()
        if is_large:
            con.execute(f"ATTACH {quote(str(work / 'intake.duckdb'))} AS staged")
            con.execute("USE staged")
    weakref.finalize(con, shutil.rmtree, work, ignore_errors=True)
    return con, work


def _create_accepted(con: duckdb.DuckDBPyConnection, found: set[str], plan: Plan) -> None:
    """Create a view of the accepted rows of each table, empty where there is no file; of claims, all versions too."""
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
            every = rows.replace(" FROM ", ", _current AS is_current FROM ", 1)
            con.execute(f"CREATE VIEW claim_versions AS {every}")
            rows += " AND _current"
        if table is MEMBERS and table.name not in found:
            con.execute(f"CREATE TABLE {table.name} AS {_members_from_claims()}")  # reckoned once, asked several times
            continue
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
        f"WHERE _problem IS NULL GROUP BY procedure_code, {locality} ORDER BY min(_row)"
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
    return f"SELECT {chosen} FROM claims GROUP BY member_id ORDER BY member_id"


def _count_files(
    loaded: Sequence[check.Loaded], counted: Sequence[tuple[int, dict[str, int]]]
) -> list[tuple[str, str, str, int, int, int, dict[str, int]]]:
    """Count rows by file; rows read, accepted and set aside are each counted for themselves."""
    rows = []
    for one, (accepted, reasons) in zip(loaded, counted, strict=True):
        read = one.records + sum(m.rows for m in one.malformed)
        rows.append((one.table, one.path, one.format, read, accepted, sum(reasons.values()), reasons))
    return rows


def _list_findings(
    con: duckdb.DuckDBPyConnection,
    loaded: list[check.Loaded],
    found: set[str],
    rows: list[check.Finding],
    newer: pd.DataFrame,
) -> pd.DataFrame:
    """Return what was found out about rows together with what is found out here, of all files at once."""
    [(unlisted, lines)] = con.execute(
        "SELECT count(*) FILTER (WHERE d.npi IS NULL), count(*) FROM claims c "
        "LEFT JOIN (SELECT DISTINCT npi FROM directory) d ON d.npi = c.provider_npi"
    ).fetchall()
    if unlisted:
        meaning = "claim lines of providers that the directory does not list: out of network, unless the claim says in"
        rows.append(("claims", "", "information", "not_in_directory", "provider_npi", unlisted, lines, meaning))
    rows += _list_disagreeing_fees(con) if "fees" in found else []
    rows += _list_codes(con, newer)
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


def _read_codes(root: Path, config: Config) -> pd.DataFrame:
    """Return the codes that only the folder's own NUCC release has: not those that another folder's taught us."""
    packaged = standards.load_packaged_taxonomy()
    if not config.reference.taxonomy:
        return packaged.iloc[:0]
    codes = nucc.read_new_codes(root / config.reference.taxonomy)
    return codes[~codes["taxonomy_code"].isin(packaged["taxonomy_code"])]


def _list_codes(con: duckdb.DuckDBPyConnection, newer: pd.DataFrame) -> list[check.Finding]:
    """Find taxonomy codes of no known NUCC release, and those that only the folder's own release has."""
    known_codes = {*standards.load_packaged_taxonomy()["taxonomy_code"], *newer["taxonomy_code"]}
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
        unknown = {code for code, _ in codes} - known_codes
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
            f"FROM {check.judged(FEES)} WHERE _problem IS NULL GROUP BY {', '.join(FEES.key)})"
        ).fetchall()
        if different:
            found.append(("fees", "", "warning", "fees_disagree", fee, different, keys, meaning))
    return found
