"""The accepted tables of an exports folder, over an engine, with an account of all other rows.

In: a folder with ``exports.yaml`` or with files in canonical names. Out: ``Exports``, whose
tables are narwhals frames, with the rows set aside and the findings beside.
"""

import shutil
import tempfile
from calendar import monthrange
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pandas as pd
import pyarrow as pa

from sca_analysis import cache, check, engines, intake, keeping, standards
from sca_analysis.errors import ExportError
from sca_analysis.folder import CONFIG, Config, Plan, Reference, find_files, read_config, show_path, stamp
from sca_analysis.readers import nucc
from sca_analysis.tables import EXPORTS, Table


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
    paths : tuple of Path
        The files read.
    hashes : dict of Path to str
        Their SHA-256; none where a file could not be read in whole for it.
    beside : dict of Path to str
        The files beside them that were read too, or looked for, with their SHA-256; blank where there is none.
    store : engines.Store
        Where the tables are.

    """

    folder: Path
    plan: Plan
    files: pd.DataFrame
    set_aside: pd.DataFrame
    findings: pd.DataFrame
    missing: tuple[str, ...]
    paths: tuple[Path, ...]
    hashes: dict[Path, str]
    beside: dict[Path, str]
    store: engines.Store = field(repr=False)
    _made: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: str | Path, engine: str = engines.DEFAULT) -> "Exports":
        """Read and check an exports folder, or take up what an earlier run has read of the same content.

        Parameters
        ----------
        folder : str or Path
        engine : str
            What works on the tables, of ``engines.ENGINES``. DuckDB reads and checks for all.

        Raises
        ------
        ExportError
            If the folder, its exports.yaml or a file cannot be used: one sentence, saying
            what, where and what to do.

        """
        engines.refuse_unknown(engine)
        root = Path(folder)
        config = read_config(root)
        references = _learn_codes(root, config.reference)
        files = [(table, source, find_files(root, source)) for table, source in config.sources()]
        paths = (*(path for *_, found in files for path in found), *references)
        tables, hashes = _take_up(root, config, files, paths)
        try:
            read, set_aside, findings, missing, beside = cache.recall(tables, root)
            store = engines.open_store(tables, engine)
        except BaseException:
            shutil.rmtree(tables, ignore_errors=True)
            raise
        return cls(root, config.plan, read, set_aside, findings, missing, paths, hashes, beside, store)

    def table(self, name: str) -> nw.LazyFrame[Any]:
        """Return the accepted rows of a table (``tables.EXPORTS``); without its file, no rows.

        ``claims`` holds the version that counts of each line; ``claim_versions`` holds all.
        Without a members file, ``members`` is the members seen in claims, with their last ZIP.
        """
        return self.store.table(name)

    def frame(self, name: str) -> pd.DataFrame:
        """Return a small table as pandas; money and rates stay exact decimals."""
        return to_pandas(self.table(name))

    def lift(self, rows: pa.Table) -> nw.LazyFrame[Any]:
        """Return rows that were worked out here as a frame of the same engine, to join with its tables."""
        return self.store.lift(rows)

    def lift_keys(self, keys: pd.DataFrame) -> nw.LazyFrame[Any]:
        """Return columns of text as a frame of the same engine, each row once, to join with those that have them."""
        schema = pa.schema([(column, pa.string()) for column in keys])
        return self.lift(pa.Table.from_pandas(keys.drop_duplicates(), schema, preserve_index=False))

    def once(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return a table that is worked out the first time that it is asked for, by a name that says what it is."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name].copy(deep=False)  # who changes it changes a copy

    def repeats(self, name: str) -> pd.DataFrame:
        """Return the rows of a table that were set aside because they repeat the key of another."""
        return self.frame(name) if name in self.missing else to_pandas(self.store.repeats(name))

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The tables as views in DuckDB, whatever the engine."""
        return self.store.connection

    @cached_property
    def last_day(self) -> date:
        """The last day of the newest claim month: the default as-of date.

        Raises
        ------
        ExportError
            If no claim was accepted.

        """
        newest = to_pandas(self.table("claims").select(nw.col("service_date").max()))["service_date"].iloc[0]
        if pd.isna(newest):
            raise ExportError(
                f"no claim line in {self.folder} was accepted: run `sca check` to see the reasons row by row."
            )
        return date(newest.year, newest.month, monthrange(newest.year, newest.month)[1])

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
    types |= {t: pd.Int64Dtype() for t in arrow.schema.types if pa.types.is_integer(t)}  # engines count in several
    types[pa.bool_()] = pd.BooleanDtype()
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
    con, bad = intake.read_only(path, table)
    if len(bad):
        first = bad.iloc[0]
        raise ExportError(
            f"{path.name}: {bad['rows'].sum()} rows cannot be used, first row {first['row']} ({first['reason']}); "
            "correct them."
        )
    columns = ", ".join(f'"{c}"' for c in table.names)
    return to_pandas(nw.from_native(con.sql(f"SELECT {columns} FROM {check.judged(table)} ORDER BY _row")))


def _take_up(root: Path, config: Config, files: intake.Files, paths: tuple[Path, ...]) -> tuple[Path, dict[Path, str]]:
    """Return a folder for this run alone with the tables of these files, and the files' hashes."""
    day = config.period_end or intake.latest_day()
    kept = keeping.place()
    before = {path: stamp(path) for path in paths}
    try:
        hashes = cache.hash_files(paths)
    except OSError:  # the reader of that file says so better
        kept, hashes = None, {}
    named = [(table.name, show_path(path, root), hashes.get(path)) for table, _, found in files for path in found]
    asked = config.model_dump(mode="json", exclude={"period_end"})
    key = cache.key_of({"asked": asked, "files": named, "references": sorted(hashes.values())})
    for _ in range(2):
        if kept and (entry := cache.find(kept, key, root, day)):
            with suppress(FileNotFoundError):  # it was deleted meanwhile
                return cache.hold(entry), hashes
        unfinished = cache.start(kept) if kept else Path(tempfile.mkdtemp(prefix="sca-"))
        try:
            account = intake.take_in(root, config, files, day, unfinished)
            cache.describe(unfinished, account, root, day)
            if not kept or any(stamp(path) != was for path, was in (before | account.beside).items()):
                return unfinished, hashes
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        entry = cache.finish(unfinished, key, root, day)
        if entry == unfinished:
            return unfinished, hashes
        with suppress(FileNotFoundError):
            return cache.hold(entry), hashes
    raise ExportError(f"{kept} is deleted again and again while it is written to: wait until that has ended.")


def _learn_codes(folder: Path, reference: Reference) -> list[Path]:
    """Make the codes of the folder's own code sets known, and return the files read."""
    if not reference.taxonomy:
        return []
    path = folder / reference.taxonomy
    if not path.is_file():
        raise ExportError(f"{folder / CONFIG}: reference: there is no file {reference.taxonomy!r}: correct the path.")
    standards.learn_taxonomy(nucc.read_new_codes(path))
    return [path]
