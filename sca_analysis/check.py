"""Give raw rows their types, and accept each or set it aside with the reason.

Question: which rows of an export can be relied on? In: canonical columns as text, from a
reader. Out: a typed staging table in DuckDB in which every row has a problem or none, the
list of rows set aside, and the findings on accepted rows. Rows read = accepted + set aside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb
import numpy as np
import pandas as pd

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote
from sca_analysis.rules import MEANINGS, SQL_TYPES, Rule, class_of, rules_for, staged, text_of, value_of
from sca_analysis.tables import SET_ASIDE, Table


@dataclass
class Loaded:
    """One file after its check: what was read, under which rules."""

    table: str
    path: str
    format: str
    first_rowid: int
    rows: int
    first_row: int
    rules: list[Rule]
    notes: list[Rule]
    malformed: list[Malformed] = field(default_factory=list)


def stage(
    con: duckdb.DuckDBPyConnection, table: Table, raw: Raw, source: Source, path: str, period_end: date
) -> Loaded:
    """Append a file's rows, typed and judged, to the staging table of ``table``.

    Raises
    ------
    ExportError
        If the file cannot be read to its end.

    """
    strict, notes = rules_for(table, list(raw.columns), source, period_end)
    con.execute(_create_staging(table))
    before = _count(con, f"SELECT count(*) FROM {staging(table)}")
    statement = f"INSERT INTO {staging(table)} {_select(table, raw, source, strict, notes)}"
    try:
        con.execute(statement)
    except duckdb.Error as error:
        raise ExportError(f"{path} cannot be read as {raw.format}: {_first_line(error)}") from error
    rows = _count(con, f"SELECT count(*) FROM {staging(table)}") - before
    return Loaded(table.name, path, raw.format, before, rows, raw.first_row, strict, notes, list(raw.malformed()))


def resolve_repeats(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Set duplicates aside and, for claims, infer reversals and mark the version that counts.

    Two rows with one key are ``duplicate_row`` if all columns agree, else ``duplicate_key``;
    the first in file order is kept. A reversal does not repeat the line that it reverses.
    """
    rows = staging(table)
    line = [k for k in table.key if k != "claim_version"]
    same = " AND ".join(f"s.{name(k)} IS NOT DISTINCT FROM m.{name(k)}" for k in line)
    keys = ", ".join(name(k) for k in line)
    # rows whose key occurs once, nearly all, take no part in what follows
    con.execute(f"CREATE OR REPLACE TEMP TABLE many AS SELECT {keys} FROM {rows} GROUP BY {keys} HAVING count(*) > 1")
    if _count(con, "SELECT count(*) FROM many") == 0:
        return
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW repeated AS SELECT s.rowid AS id, s.* FROM {rows} s JOIN many m ON {same}"
    )
    if table.name == "claims":
        _infer_reversals(con, rows)
    partition = ", ".join(name(k) for k in table.key)
    if table.name == "claims":
        partition += ", claim_status IS NOT DISTINCT FROM 'reversed'"
    con.execute(
        f"""
        UPDATE {rows} SET _problem = d.problem FROM (
            SELECT id, CASE WHEN h = first_value(h) OVER w THEN 'duplicate_row' ELSE 'duplicate_key' END AS problem,
                   row_number() OVER w AS n
            FROM (SELECT *, hash({", ".join(name(c) for c in table.names)}) AS h FROM repeated WHERE _problem IS NULL)
            WINDOW w AS (PARTITION BY {partition} ORDER BY id)
        ) d WHERE d.n > 1 AND {rows}.rowid = d.id
        """
    )
    if table.name == "claims":
        _mark_current(con, rows)


def _infer_reversals(con: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Take a negative line without a status as a reversal where a positive version stands beside it."""
    con.execute(
        f"""
        UPDATE {rows} SET _problem = NULL, _class = NULL, claim_status = 'reversed', _inferred = true
        WHERE rowid IN (
            SELECT n.id FROM repeated n SEMI JOIN repeated p
            ON n.claim_id = p.claim_id AND n.line_number = p.line_number AND p._problem IS NULL AND p.billed_amount >= 0
            WHERE n._problem LIKE 'negative_amount%' AND n.claim_status IS NULL
        )
        """
    )


def _mark_current(con: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Of the accepted versions of a line the highest counts; at one height a reversal, then the later row."""
    con.execute(
        f"""
        UPDATE {rows} SET _current = false WHERE rowid IN (
            SELECT id FROM repeated WHERE _problem IS NULL
            QUALIFY row_number() OVER (
                PARTITION BY claim_id, line_number
                ORDER BY claim_version DESC NULLS LAST, (claim_status IS NOT DISTINCT FROM 'reversed') DESC, id DESC
            ) > 1
        )
        """
    )


def list_set_aside(con: duckdb.DuckDBPyConnection, loaded: Sequence[Loaded]) -> pd.DataFrame:
    """Return every row set aside, in file order: the columns of ``tables.SET_ASIDE``."""
    parts = []
    for one in loaded:
        bad = con.execute(
            f"SELECT rowid - {one.first_rowid} AS row, coalesce(_class, 'whole row') AS value_class, "
            f"_problem AS reason FROM staging_{one.table} WHERE _problem IS NOT NULL AND {_in_file(one)}"
        ).df()
        # DuckDB numbered the well-formed records only: each malformed one before a row moves it on
        gaps = np.array(sorted(m.row for m in one.malformed), dtype=np.int64)
        place = bad["row"].to_numpy(dtype=np.int64) + one.first_row
        bad["row"] = place + np.searchsorted(gaps - np.arange(len(gaps)), place, side="right")
        lost = pd.DataFrame(
            {
                "row": [m.row for m in one.malformed],
                "value_class": "whole row",
                "reason": [m.reason for m in one.malformed],
            }
        )
        part = pd.concat([p for p in (bad, lost) if len(p)] or [bad], ignore_index=True)
        part["column"] = [reason.partition(":")[2] for reason in part["reason"]]
        parts.append(part.assign(table=one.table, path=one.path).sort_values("row", kind="stable"))
    if not parts:
        return pd.DataFrame(columns=list(SET_ASIDE.names))
    return pd.concat(parts, ignore_index=True)[list(SET_ASIDE.names)]


def list_findings(con: duckdb.DuckDBPyConnection, one: Loaded) -> list[tuple[str, str, str, str, str, int, int, str]]:
    """Return the findings on the accepted rows of one file (see tables.FINDINGS)."""
    sums = [f"count(*) FILTER (WHERE (_notes & {1 << i}) <> 0)" for i in range(len(one.notes))]
    notes = list(one.notes)
    if one.table == "claims":
        sums += ["count(*) FILTER (WHERE _inferred)", "count(*) FILTER (WHERE NOT _current)"]
        notes += [
            Rule("reversal_inferred", "claim_status", "", "information"),
            Rule("superseded", "claim_version", "", "information"),
        ]
    counted = con.execute(
        f"SELECT count(*), {', '.join(sums) or '0'} FROM staging_{one.table} WHERE _problem IS NULL AND {_in_file(one)}"
    ).fetchall()[0]
    total, *counts = counted
    return [
        (one.table, one.path, n.level, n.name, n.column, count, total, MEANINGS[n.name])
        for n, count in zip(notes, counts, strict=False)
        if count
    ]


def staging(table: Table) -> str:
    """Return the name of the staging table of ``table``."""
    return f"staging_{table.name}"


def _in_file(one: Loaded) -> str:
    return f"rowid BETWEEN {one.first_rowid} AND {one.first_rowid + one.rows - 1}"


def _create_staging(table: Table) -> str:
    columns = ", ".join(f"{name(c.name)} {SQL_TYPES[c.kind]}" for c in table.columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {staging(table)} ({columns}, _problem VARCHAR, _class VARCHAR, "
        "_notes BIGINT, _current BOOLEAN, _inferred BOOLEAN)"
    )


def _select(table: Table, raw: Raw, source: Source, strict: Sequence[Rule], notes: Sequence[Rule]) -> str:
    """Text, then values, then judgement: three projections that DuckDB runs as one scan."""
    present = [c for c in table.columns if c.name in raw.columns]
    texts = ", ".join(f"{text_of(c, raw.columns[c.name])} AS {name('t_' + c.name)}" for c in present)
    values = ", ".join(f"{value_of(c, source.date_format)} AS {name(c.name)}" for c in present)
    problems = " ".join(f"WHEN {r.broken} THEN {quote(r.reason)}" for r in strict)
    classes = " ".join(f"WHEN {r.broken} THEN {class_of('t_' + r.column)}" for r in strict)
    bits = " + ".join(f"(CASE WHEN {r.broken} THEN {1 << i} ELSE 0 END)" for i, r in enumerate(notes)) or "0"
    final = ", ".join(staged(c, c.name in raw.columns) for c in table.columns)
    unselected = f"WHEN NOT _selected THEN {quote('not_selected:' + raw.selector)}"
    return (
        f"SELECT {final}, CASE {unselected} {problems} END, "
        f"CASE WHEN NOT _selected THEN 'whole row' {classes} END, {bits}, true, false "
        f"FROM (SELECT *, {values} FROM (SELECT {texts}, {raw.selected} AS _selected FROM {raw.relation}))"
    )


def _count(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])


def _first_line(error: Exception) -> str:
    """The first line of DuckDB's message without its advice, which speaks of DuckDB's options."""
    return str(error).splitlines()[0].rstrip(".") + "."
